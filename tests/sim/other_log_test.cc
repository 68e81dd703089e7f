#include "sim/other_log.h"

#include "sim/scenario.h"
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

TEST_CASE(
    "a shard forgets records that its log lost and replaced, and goes on with those there are") {
  const MissedBy kind = GENERATE(MissedBy::kPause, MissedBy::kLink, MissedBy::kDrop);
  INFO("kind=" << static_cast<int>(kind));
  CHECK(RunPastALostEnd(kind) == "");
}

TEST_CASE("what a reader had fetched before the log lost it is not read") {
  CHECK(RunWithAReaderAhead() == "");
}

TEST_CASE("a shard that was to make what the store has halts where its log ends before that") {
  CHECK(RunUpToALostEnd() == "");
}

TEST_CASE("a log that loses committed records while a shard runs halts it, and a skip goes on") {
  const bool grows = GENERATE(false, true);
  INFO("grows=" << grows);
  Scenario s("json", Scenario::Quick(), "file_interval = '1 hour'");
  s.identities = false;
  s.Send(40);
  s.Sleep(seconds(3));
  const int64_t committed = s.Counted();
  const Offset end = s.End();
  s.cluster.process().Pause(seconds(5));
  s.cluster.log.LoseEnd(s.stream.topic, PartitionId(0), Offset(end.value - 8));
  if (grows) s.Send(20);
  s.Sleep(seconds(10));
  const operations::ShardInfo shard = s.Shard();
  REQUIRE(shard.state == "halted");
  // Ticks of the shard itself stand in the place of records that are lost.
  CHECK_THAT(shard.message,
             ContainsText("the log is not the one that the checkpoint was made from") &&
                 ContainsText("lowest="));
  CHECK(s.cluster.metrics.count("millrace_worker_lost_records_total") >= 8);
  REQUIRE(s.Skip(s.Advised()).ok());
  s.Send(20);
  s.Finish();
  CHECK(s.Shard().state == "running");
  CHECK(s.Counted() > committed);
}

}  // namespace millrace::sim
