#include "millrace/log/in_memory_log.h"
#include "contract/log_contract.h"

using namespace millrace;

TEST_CASE("the log in memory keeps the contract of logs") {
  test::TestExecutor executor;
  test::CheckLogContract(executor, [] { return std::make_unique<InMemoryLog>(); });
}
