#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>

#include "millrace/log_embedded/embedded_log.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/test_executor.h"

using namespace millrace;

namespace {

/// Syncs of the log's files so far.
std::atomic<int> synced{0};

}  // namespace

/// Stands before the one of the C library.
extern "C" int fdatasync(int fd) {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
  if (path.string().find("millrace-test-") != std::string::npos) ++synced;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

TEST_CASE("a topic and an append are synced to disk before they are acknowledged") {
  const test::TempDir dir;
  test::TestExecutor executor{std::chrono::seconds(5)};
  const auto log = log_embedded::EmbeddedLog::Open(dir.Sub("log")).value();
  const int before_topic = synced;
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"t", 1})).ok());
  CHECK(synced > before_topic);
  for (int i = 0; i < 5; ++i) {
    const int before = synced;
    REQUIRE(executor.RunUntilDone(log->Append("t", PartitionId(0), {"k", "v", {}})).ok());
    CHECK(synced > before);
  }
}
