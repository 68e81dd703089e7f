#include "millrace/log_embedded/embedded_log.h"

#include "contract/log_contract.h"
#include "support/temp_dir.h"

using namespace millrace;
using log_embedded::EmbeddedLog;

TEST_CASE("the embedded log keeps the contract of logs") {
  const test::TempDir dir;
  test::TestExecutor executor(std::chrono::seconds(5));
  test::CheckLogContract(executor, [&] {
    return test::LogFixture{EmbeddedLog::Open(dir.Sub("log")).value(), EmbeddedLog::kMaxRecordBytes,
                            [&](Micros by) { executor.ShiftWall(by); }};
  });
}
