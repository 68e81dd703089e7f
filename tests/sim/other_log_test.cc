#include "sim/other_log.h"

#include "support/catch.h"

namespace millrace::sim {

TEST_CASE("a shard whose rows the store has otherwise halts, says so, and can be skipped") {
  CHECK(RunWithAnotherLog() == "");
}

TEST_CASE("a replay is not cut before the shard has made what the store has") {
  CHECK(RunThroughALongReplay() == "");
}

TEST_CASE("a result file of another log is neither replaced nor taken for the shard's own") {
  CHECK(RunWithAnotherFile() == "");
}

}  // namespace millrace::sim
