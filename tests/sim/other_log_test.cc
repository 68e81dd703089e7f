#include "sim/other_log.h"

#include "support/catch.h"

namespace millrace::sim {

TEST_CASE("a shard whose rows the store has otherwise halts, says so, and can be skipped") {
  CHECK(RunWithAnotherLog() == "");
}

TEST_CASE("a replay is not cut before the shard has made what the store has") {
  CHECK(RunThroughALongReplay() == "");
}

}  // namespace millrace::sim
