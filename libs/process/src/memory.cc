#include "memory.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>

namespace millrace::process {
namespace {

constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

/// "max", and a file that is not there, are no limit.
int64_t LimitIn(const std::string& path) {
  std::ifstream in(path);
  std::string text;
  if (!(in >> text)) return kNone;
  int64_t limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  return error == std::errc() && limit > 0 ? limit : kNone;
}

/// Of a group and of those above it, down to the mount. A container may see its own group as the
/// root of the mount, whatever it is named.
int64_t LeastUpwards(const std::string& mount, std::string group, const std::string& file) {
  int64_t least = LimitIn(mount + "/" + file);
  while (group.size() > 1) {
    least = std::min(least, LimitIn(mount + group + "/" + file));
    group = group.substr(0, group.rfind('/'));
  }
  return least;
}

std::string ReadAll(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

int64_t CgroupMemoryLimit(const std::string& proc_self_cgroup, const std::string& mount) {
  // Each line is NUMBER:CONTROLLERS:PATH; that of version 2 is 0::PATH.
  int64_t least = kNone;
  std::istringstream lines(proc_self_cgroup);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, LeastUpwards(mount, group, "memory.max"));
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      least = std::min(least, LeastUpwards(mount + "/memory", group, "memory.limit_in_bytes"));
    }
  }
  return least;
}

int64_t MemoryLimit() {
  const int64_t machine = int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  return std::min(machine, CgroupMemoryLimit(ReadAll("/proc/self/cgroup"), "/sys/fs/cgroup"));
}

}  // namespace millrace::process
