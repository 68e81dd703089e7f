#include "millrace/log/in_memory_log.h"
#include "contract/log_contract.h"

using namespace millrace;

TEST_CASE("the log in memory keeps the contract of logs") {
  test::TestExecutor executor;
  const int64_t hole_after = GENERATE(0, 1, 3);
  test::CheckLogContract(executor, [&] {
    InMemoryLog::Options options;
    options.max_record_bytes = 1 << 20;
    options.hole_after = hole_after;
    return test::LogFixture{std::make_unique<InMemoryLog>(options), options.max_record_bytes,
                            [&](Micros by) { executor.ShiftWall(by); }};
  });
}

TEST_CASE("two logs in memory have different identities of one length") {
  test::TestExecutor executor;
  InMemoryLog one;
  InMemoryLog other;
  const std::string a = executor.RunUntilDone(one.Identity()).value();
  const std::string b = executor.RunUntilDone(other.Identity()).value();
  CHECK(a != b);
  CHECK(a.size() == b.size());
}
