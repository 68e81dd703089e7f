#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <system_error>

#include "millrace/driver/thread_driver.h"
#include "support/catch.h"

namespace millrace {
namespace {

/// Address space that this process has, in bytes.
rlim_t AddressSpace() {
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST_CASE("a driver that gets too few threads says so, and ends those it had") {
  const pid_t child = fork();
  if (child == 0) {
    // Room for some stacks of 8 MiB, and not for all.
    const rlimit limit{AddressSpace() + (64 << 20), RLIM_INFINITY};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
    try {
      ThreadDriver driver({.cores = 2, .blocking_threads = 1'000, .on_failure = {}});
    } catch (const std::system_error&) {
      _exit(0);
    }
    _exit(1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace millrace
