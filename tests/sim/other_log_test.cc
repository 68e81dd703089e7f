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

TEST_CASE("a halt before the store's rows are made again gives none of this log's rows up") {
  CHECK(RunIntoDamageWhileUnproved() == "");
}

}  // namespace millrace::sim
