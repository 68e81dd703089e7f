#include "millrace/runtime/roster.h"

#include "millrace/control/plan_fold.h"
#include "millrace/sql/planner.h"
#include "support/catch.h"
#include "support/stamped.h"
#include "support/two_shards_sql.h"

namespace millrace::runtime {
namespace {

using std::chrono::seconds;

/// A stream of two partitions with one view, and a roster on a clock that ticks once a round.
struct World {
  explicit World(bool alone = false) : roster(alone) {
    const auto statements = PlanScript(test::kTwoShardsSql).value();
    Apply(control::Claim{1, "c", {"coordinator", 99}});
    Apply(control::DefineStream{{1, 0}, std::get<StreamSpec>(statements[0])});
    Apply(control::Define{
        {1, 0}, std::get<PipelineSpec>(statements[1]), {Offset(0), Offset(0)}, Offset(1)});
  }
  void Apply(const control::Record& record) {
    REQUIRE(fold.Apply(fold.next_offset(), 1000, test::Stamped(fold, record)) ==
            control::Verdict::kValid);
  }
  ShardId Shard(int partition) const {
    return {*fold.Current("default", "r"), PartitionId(partition)};
  }
  void Assign(int partition, uint64_t instance) {
    const Epoch epoch = fold.shards().at(Shard(partition)).epoch;
    Apply(control::Assign{
        {1, 0}, Shard(partition), {Name(instance), instance}, Epoch(epoch.value + 1)});
  }
  void Commit(int partition) {
    const control::ShardState& shard = fold.shards().at(Shard(partition));
    Apply(control::Commit{Shard(partition),
                          shard.epoch,
                          CutNumber(shard.last_cut.value + 1),
                          shard.next_offset,
                          "m",
                          {},
                          {}});
  }
  static std::string Name(uint64_t instance) { return "w" + std::to_string(instance % 10); }
  Status Join(uint64_t instance, uint64_t predecessor = 0) {
    Hello hello;
    hello.process = {Name(instance), instance};
    hello.predecessor = predecessor;
    return roster.Joined(std::move(hello), now);
  }
  ShardReport Reported(int partition, const std::string& state) {
    ShardReport shard;
    shard.info.shard = Shard(partition);
    shard.info.epoch = fold.shards().at(Shard(partition)).epoch;
    shard.info.state = state;
    return shard;
  }
  /// Rounds in which those report.
  void Rounds(int n, const std::vector<uint64_t>& reporting, bool at_end = true) {
    for (int i = 0; i < n; ++i) {
      now += seconds(1);
      for (const uint64_t instance : reporting)
        REQUIRE(roster.Reported(instance, reports[instance]));
      roster.Round(fold, now, at_end);
    }
  }
  bool Knows(uint64_t instance) const { return roster.Find(instance) != nullptr; }
  control::PlanInput Input() const { return roster.Input(fold, now); }

  control::Fold fold;
  Roster roster;
  Roster::Duration now{seconds(100)};
  std::map<uint64_t, Report> reports;
};

/// Three workers that have reported for a while.
struct Three : World {
  Three() {
    for (const uint64_t instance : {1, 2, 3}) REQUIRE(Join(instance).ok());
    Rounds(8, {1, 2, 3});
  }
};

}  // namespace

TEST_CASE("a leader is deaf if most of the workers that answer have no answer of it") {
  World w;
  CHECK_FALSE(w.roster.LeaderIsDeaf(1));
  for (const uint64_t instance : {11, 12, 13}) REQUIRE(w.Join(instance).ok());
  w.reports[11].leader = w.reports[12].leader = 1;
  w.Rounds(1, {11, 12, 13});
  CHECK_FALSE(w.roster.LeaderIsDeaf(1));
  CHECK(w.roster.LeaderIsDeaf(2));
  w.reports[11].leader = 0;
  w.Rounds(1, {11, 12, 13});
  CHECK(w.roster.LeaderIsDeaf(1));
  // One that is silent tells nothing.
  w.Rounds(2, {11, 12});
  CHECK_FALSE(w.roster.LeaderIsDeaf(1));
}

TEST_CASE("a worker is dead after five rounds without a report") {
  Three w;
  w.Rounds(4, {1, 2});
  CHECK(w.Knows(3));
  CHECK_FALSE(w.roster.Find(3)->answers());
  w.Rounds(1, {1, 2});
  CHECK_FALSE(w.Knows(3));
  CHECK(w.Knows(1));
  REQUIRE(w.Input().departures.size() == 1);
  CHECK_FALSE(w.Input().departures[0].planned);
}

TEST_CASE("a worker whose link broke is dead after two rounds, unless another link comes") {
  Three w;
  w.roster.Broke(2);
  w.roster.Broke(3);
  w.Rounds(1, {1});
  REQUIRE(w.Join(2).ok());
  w.Rounds(1, {1});
  CHECK(w.Knows(2));
  CHECK_FALSE(w.Knows(3));
}

TEST_CASE("a worker that said Bye is gone at once and does not come back") {
  Three w;
  w.roster.Left(3, w.now);
  CHECK_FALSE(w.Knows(3));
  CHECK(w.Input().departures.at(0).planned);
  CHECK_FALSE(w.roster.Reported(3, {}));
  CHECK(w.Join(3).error().code == Code::kConflict);
}

TEST_CASE("a successor's word ends its predecessor at once and for good") {
  Three w;
  w.Assign(0, 3);
  w.Assign(1, 1);
  REQUIRE(w.Join(13, 3).ok());
  CHECK_FALSE(w.Knows(3));
  w.Rounds(1, {1, 2, 13});
  CHECK_FALSE(w.Knows(3));  // though the fold still names it
  CHECK(w.Join(3).error().code == Code::kConflict);
  CHECK(w.Input().bundles.begin()->second.owner == control::InstanceName({"w3", 3}));
  CHECK_FALSE(w.Input().members.contains(control::InstanceName({"w3", 3})));
}

TEST_CASE("a worker that was taken for dead may come back") {
  Three w;
  w.Rounds(5, {1, 2});
  REQUIRE_FALSE(w.Knows(3));
  CHECK_FALSE(w.roster.Reported(3, {}));
  CHECK(w.Join(3).ok());
  CHECK(w.roster.Find(3)->answers());
}

TEST_CASE("a silent worker whose commits are read is unreachable, and keeps what it has") {
  Three w;
  w.Assign(0, 3);
  for (int round = 0; round < 12; ++round) {
    w.Rounds(1, {1, 2});
    w.Commit(0);
  }
  REQUIRE(w.Knows(3));
  CHECK(w.roster.Find(3)->unreachable);
  CHECK_FALSE(w.Input().members.at(control::InstanceName({"w3", 3})).reachable);
  CHECK_FALSE(w.roster.Takers().contains(control::InstanceName({"w3", 3})));
  w.Rounds(1, {1, 2, 3});
  CHECK_FALSE(w.roster.Find(3)->unreachable);
  w.Commit(0);
  w.Rounds(5, {1, 2});
  CHECK_FALSE(w.Knows(3));
}

TEST_CASE("a commit of the owner before shows nothing of the one that is there now") {
  Three w;
  w.Assign(0, 2);
  w.Commit(0);
  w.Rounds(4, {1, 2});
  w.Commit(0);
  w.Assign(0, 3);
  w.Rounds(1, {1, 2});
  CHECK_FALSE(w.Knows(3));
}

TEST_CASE("an observer from whom more than half fall silent waits five rounds more") {
  Three w;
  w.Rounds(9, {1});
  CHECK(w.Knows(2));
  CHECK(w.Knows(3));
  w.Rounds(1, {1});
  CHECK_FALSE(w.Knows(2));
  CHECK_FALSE(w.Knows(3));
}

TEST_CASE("an observer that was paused counts from the beginning") {
  Three w;
  w.Rounds(4, {1, 2});
  w.now += seconds(600);
  w.Rounds(1, {});
  w.Rounds(4, {});
  for (const uint64_t instance : {1, 2, 3}) CHECK(w.Knows(instance));
  w.Rounds(4, {1, 2});
  CHECK_FALSE(w.Knows(3));
}

TEST_CASE("a round in which the control log was not read to its end is no evidence") {
  Three w;
  w.Rounds(20, {1, 2}, false);
  CHECK(w.Knows(3));
  w.Rounds(4, {1, 2});
  CHECK(w.Knows(3));
  w.Rounds(1, {1, 2});
  CHECK_FALSE(w.Knows(3));
}

TEST_CASE(
    "a coordinator that is new calls nobody dead, and takes owners that it never heard for "
    "living") {
  World w;
  w.Assign(0, 1);
  w.Assign(1, 2);
  REQUIRE(w.Join(3).ok());
  REQUIRE(w.Join(4).ok());
  w.roster.Broke(4);
  w.Rounds(5, {3});
  CHECK(w.Knows(4));
  REQUIRE(w.Input().members.size() == 4);
  CHECK(control::PlanMoves(w.Input(), {}).assigns.empty());
  w.Join(1).Ignore("it is new");
  w.Rounds(1, {1, 3});
  CHECK_FALSE(w.Knows(4));
  w.Rounds(4, {1, 3});
  CHECK_FALSE(w.Knows(2));
  const control::Plan plan = control::PlanMoves(w.Input(), {});
  REQUIRE(plan.assigns.size() == 1);
  CHECK(plan.assigns[0].bundle.partition == PartitionId(1));
}

TEST_CASE("who is alone takes every other owner for dead") {
  World w(true);
  w.Assign(0, 1);
  w.Assign(1, 2);
  REQUIRE(w.Join(3).ok());
  CHECK(control::PlanMoves(w.Input(), {}).assigns.size() == 2);
}

TEST_CASE("a follower is level when two reports in a row say so") {
  Three w;
  w.Assign(0, 1);
  w.Assign(1, 1);
  ShardReport follows = w.Reported(0, "following");
  const auto followers = [&] { return w.Input().bundles.begin()->second.followers; };
  const std::string second = control::InstanceName({"w2", 2});
  CHECK(followers().empty());
  w.reports[2].shards = {follows};
  w.Rounds(1, {1, 2, 3});
  CHECK(followers() == std::map<std::string, bool>{{second, false}});
  w.reports[2].shards[0].level = true;
  w.Rounds(1, {1, 2, 3});
  CHECK_FALSE(followers().at(second));
  w.Rounds(1, {1, 2, 3});
  CHECK(followers().at(second));
  w.reports[2].shards[0].level = false;
  w.Rounds(1, {1, 2, 3});
  CHECK_FALSE(followers().at(second));
}

TEST_CASE("the load of a shard goes with it to its next owner") {
  Three w;
  w.Assign(0, 1);
  const auto load = [&] { return w.Input().bundles.begin()->second.load; };
  for (int round = 1; round <= 40; ++round) {
    w.reports[1].shards = {w.Reported(0, "running")};
    w.reports[1].shards[0].busy = std::chrono::milliseconds(500) * round;
    w.Rounds(1, {1, 2, 3});
  }
  CHECK(load().slow == 500'000'000);
  w.Assign(0, 2);
  w.reports[2].shards = {w.Reported(0, "running")};
  w.Rounds(1, {1, 2, 3});
  CHECK(load().slow == 500'000'000);
  w.reports[2].shards[0].busy = std::chrono::milliseconds(100);
  w.Rounds(1, {1, 2, 3});
  CHECK(load().slow < 500'000'000);
  CHECK(load().slow > 490'000'000);
}

TEST_CASE("the load of a shard is its owner's word, and a shard that is named twice counts once") {
  Three w;
  w.Assign(0, 1);
  const auto load = [&] { return w.Input().bundles.begin()->second.load; };
  for (int round = 1; round <= 40; ++round) {
    ShardReport mine = w.Reported(0, "running");
    mine.busy = std::chrono::milliseconds(500) * round;
    ShardReport other = mine;
    other.busy *= 2;
    w.reports[1].shards = {mine, mine};
    w.reports[2].shards = {other};
    w.Rounds(1, {1, 2, 3});
  }
  CHECK(load().slow == 500'000'000);
}

TEST_CASE("a shard that was being opened in three workers that died is held") {
  World w;
  REQUIRE(w.Join(9).ok());
  w.Rounds(6, {9});
  for (const uint64_t instance : {1, 2, 11}) {
    REQUIRE(w.Join(instance).ok());
    w.Assign(0, instance);
    w.reports[instance].shards = {w.Reported(0, "opening")};
    w.Rounds(1, {9, instance});
    w.Rounds(10, {9});
    CHECK_FALSE(w.Knows(instance));
  }
  const control::Plan plan = control::PlanMoves(w.Input(), {});
  REQUIRE(plan.unowned.size() == 1);
  CHECK(plan.unowned.begin()->second == control::Unowned::kHeld);
  CHECK(plan.unowned.begin()->first.partition == PartitionId(0));
}

TEST_CASE("a worker that cannot reach a store leaves, if another one reaches it") {
  Three w;
  const std::string first = control::InstanceName({"w1", 1});
  w.reports[1].cannot = "has not reached the table store for 30 s";
  w.Rounds(1, {1, 2, 3});
  CHECK(w.Input().members.at(first).draining);
  w.reports[2].cannot = w.reports[3].cannot = w.reports[1].cannot;
  w.Rounds(1, {1, 2, 3});
  CHECK_FALSE(w.Input().members.at(first).draining);
}

TEST_CASE("a coordinator knows a thousand workers and no more") {
  World w;
  for (uint64_t instance = 1; instance <= Roster::kMostWorkers; ++instance)
    REQUIRE(w.Join(instance).ok());
  CHECK(w.Join(5000).error().code == Code::kResourceExhausted);
  CHECK(w.Join(1).ok());
  w.roster.Left(7, w.now);
  CHECK(w.Join(5000).ok());
}

}  // namespace millrace::runtime
