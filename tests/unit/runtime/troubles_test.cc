#include "millrace/runtime/troubles.h"

#include "support/catch.h"
#include "support/test_executor.h"

namespace millrace::runtime {

TEST_CASE("a part that fails is named with its first time, last reason and advice until it works") {
  test::TestExecutor executor;
  executor.RunUntilDone([](test::TestExecutor* e) -> Task<bool> {
    Troubles troubles("v@7/p0");
    CHECK_FALSE(troubles.any());
    CHECK(troubles.Text().empty());
    const std::string since = FormatTimestamp(e->Wall());
    troubles.Failed("cut", "see to the disk", Unavailable("no space"));
    co_await Delay(std::chrono::minutes(5));
    troubles.Failed("cut", "see to the disk", Unavailable("an input/output error"));
    troubles.Failed("sink_tables", "see to the table", Unavailable("locked"));
    CHECK(troubles.failing("cut"));
    CHECK_FALSE(troubles.failing("sink_files"));
    CHECK(troubles.failing_for("cut", std::chrono::minutes(5)));
    CHECK_FALSE(troubles.failing_for("cut", std::chrono::minutes(6)));
    CHECK_FALSE(troubles.failing_for("sink_tables", std::chrono::seconds(1)));
    CHECK(troubles.Text().find("cut fails since " + since) == 0);
    CHECK(troubles.Text().find("see to the disk error=\"an input/output error\"; sink_tables") !=
          std::string::npos);
    troubles.Worked("cut");
    troubles.Worked("sink_files");
    CHECK_FALSE(troubles.failing("cut"));
    CHECK(troubles.any());
    troubles.Worked("sink_tables");
    CHECK(troubles.Text().empty());
    co_return true;
  }(&executor));
}

}  // namespace millrace::runtime
