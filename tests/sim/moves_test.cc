#include "sim/moves.h"

#include "millrace/base/log.h"
#include "support/catch.h"

namespace millrace::sim {

TEST_CASE("a worker that stops hands its shards to one that has followed them") {
  CHECK(Drain() == "");
}

TEST_CASE("a worker may die at any moment of its drain") {
  const int after = GENERATE(range(0, 5000, 400));
  INFO("after " << after << " ms");
  CHECK(DeathInADrain(after) == "");
}

TEST_CASE("a worker that only its commits tell of keeps its shards, which lists show as unknown") {
  CHECK(SilentOwner() == "");
}

TEST_CASE("a worker that does not reach the tables gives its shards to one that does") {
  CHECK(CutOffFromTheTables() == "");
}

TEST_CASE("a process may die or stand still at each crash point of a drain") {
  const std::string point =
      GENERATE("assign.before_append", "assign.after_append", "follow.before_takeover",
               "follow.after_takeover", "drain.moved_away", "drain.before_bye");
  const bool pause = GENERATE(false, true);
  INFO(point << (pause ? " pause" : " crash"));
  CHECK(CrashInADrain(point, pause) == "");
}

TEST_CASE("a follower for good owns its shard as soon as the owner is dead, without a restore") {
  CHECK(FollowerForGood() == "");
}

TEST_CASE("a shard goes to the worker that it is pinned to, and elsewhere while that is gone") {
  CHECK(Pinned() == "");
}

TEST_CASE("a follower that is behind the commits is opened anew, not made the owner") {
  CHECK(FollowerBehindTheCommits() == "");
}

TEST_CASE("a follower that becomes the owner names no object of a checkpoint that was let go") {
  CHECK(FollowerOfAnOldCheckpoint() == "");
}

TEST_CASE("a checkpoint whose objects are gone is lost only if it still counts") {
  CHECK(SlowFollower() == "");
}

TEST_CASE("an owner that finds a newer fence catches up before it concludes anything") {
  CHECK(ReplacedBeforeItKnows() == "");
}

}  // namespace millrace::sim
