#include "millrace/base/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include "millrace/base/facts.h"

namespace millrace::descriptors {

int Limit() {
  constexpr auto kMost = static_cast<rlim_t>(std::numeric_limits<int>::max());
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kLeast;
  return static_cast<int>(std::min(limit.rlim_cur, kMost));
}

int EndOfConnections(int limit) { return limit - kForFiles; }

int EndOfShards(int limit) {
  const int end = EndOfConnections(limit);
  return end - std::min(kForConnections, end / 4);
}

namespace {

/// Whether the lowest descriptor that is free lies below `end`.
Status Room(int end, int limit, std::string_view what) {
  const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (next >= 0) close(next);
  if (next >= 0 && next < end) return {};
  return Unavailable(what, {{"open", next >= 0 ? next : limit}, {"limit", limit}});
}

}  // namespace

Status RoomForShard() {
  const int limit = Limit();
  return Room(EndOfShards(limit), limit,
              "the process has no descriptors left for another shard; raise the limit (ulimit -n), "
              "or drop pipelines");
}

Status RoomForConnection() {
  const int limit = Limit();
  return Room(EndOfConnections(limit), limit,
              "the process has no descriptors left for another connection; raise the limit (ulimit "
              "-n), or close connections");
}

}  // namespace millrace::descriptors
