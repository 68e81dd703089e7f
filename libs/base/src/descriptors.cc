#include "millrace/base/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <string>

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

Status RoomForShard() {
  const int limit = Limit();
  const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (next >= 0) close(next);
  if (next >= 0 && next < EndOfShards(limit)) return {};
  return Unavailable(
      "the process has no descriptors left for another shard: raise the limit (ulimit -n), or drop "
      "pipelines open=" +
      std::to_string(next >= 0 ? next : limit) + " limit=" + std::to_string(limit));
}

}  // namespace millrace::descriptors
