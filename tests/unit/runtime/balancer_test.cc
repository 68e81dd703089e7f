#include "millrace/runtime/balancer.h"

#include "leading.h"
#include "silent_worker.h"

namespace millrace::runtime {
namespace {

/// A leader with one view and workers that report once a round.
struct Office : Leading {
  Office() {
    DefineView({Offset(0), Offset(0)});
    executor.Spawn(desk.Rounds());
    Join(9);
    Rounds(6, {9});
  }
  ~Office() { desk.Stop(); }

  static std::string Name(uint64_t instance) { return "w" + std::to_string(instance % 10); }
  void Join(uint64_t instance) {
    Hello hello;
    hello.process = {Name(instance), instance};
    REQUIRE(On([&] { return desk.Open(hello, std::make_shared<SilentWorker>()); }).ok());
  }
  void Rounds(int n, const std::vector<uint64_t>& reporting) {
    for (int i = 0; i < n; ++i) {
      for (const uint64_t instance : reporting)
        CHECK(On([&] { return desk.Take(instance, reports[instance]); }).ok());
      executor.RunFor(std::chrono::seconds(1));
    }
    REQUIRE(executor.RunUntilDone(balancer.PlanOnce()).ok());
  }
  /// A worker that dies while it opens the first shard.
  void DieOpening(uint64_t instance) {
    Join(instance);
    ShardReport shard;
    shard.info.shard = Shard(0);
    shard.info.state = "opening";
    reports[instance].shards = {shard};
    Rounds(1, {9, instance});
    Rounds(11, {9});
    CHECK(desk.roster().Find(instance) == nullptr);
  }
  int64_t Count(const std::string& state) const {
    const auto states = balancer.Workers();
    const auto at = states.find(state);
    return at == states.end() ? 0 : at->second;
  }
  bool Says(const std::string& text) const {
    return balancer.Troubles().find(text) != std::string::npos;
  }

  std::map<uint64_t, Report> reports;
  WorkerDesk desk{{false, [this](uint64_t instance) { return balancer.AnswerTo(instance); },
                   [this] { balancer.Wake(); }},
                  &reader};
  Balancer balancer{&reader, &leadership, &desk};
};

}  // namespace

TEST_CASE_METHOD(Office, "workers are counted and told of by what is wrong with them") {
  CHECK(Count("ready") == 1);
  CHECK(balancer.Troubles().empty());
  Join(1);
  Rounds(1, {9, 1});
  CHECK(Count("ready") == 2);
  reports[1].cannot = "has not reached the table store for 30 s";
  Rounds(1, {9, 1});
  CHECK(Count("cannot") == 1);
  CHECK(Says("worker w1 has not reached the table store for 30 s"));
  reports[1] = {};
  reports[1].draining = true;
  Rounds(1, {9, 1});
  CHECK(Count("draining") == 1);
  Rounds(3, {9});
  CHECK(Count("silent") == 1);
  CHECK(Count("ready") == 1);
}

TEST_CASE_METHOD(Office, "a worker that keeps dying, and what it dies of, are told and counted") {
  DieOpening(1);
  DieOpening(11);
  Join(21);
  Rounds(1, {9, 21});
  CHECK(Count("shaky") == 1);
  CHECK(Says("worker w1 died twice in ten minutes, it gets only what nobody else can take"));
  CHECK(balancer.Unowned().empty());
  // A third death, under another name, and what they have in common is held.
  DieOpening(2);
  // Its owner lives, so it stays there.
  CHECK(balancer.Unowned().empty());
  Join(8);
  Rounds(11, {8});
  CHECK(balancer.Unowned() == std::map<control::Unowned, int64_t>{{control::Unowned::kHeld, 1}});
  CHECK(Says("1 partitions have no worker (held), see `millrace shard list`"));
  CHECK(balancer.WhyUnowned(Shard(0)).find("millrace shard release") != std::string::npos);
  REQUIRE(On([&] { return balancer.Release(Shard(0)); }));
  Rounds(1, {8});
  CHECK(balancer.Unowned().empty());
}

TEST_CASE_METHOD(Office, "what a shard was given to a worker for is counted") {
  using Moves = std::map<std::string_view, int64_t>;
  CHECK(balancer.Moves() == Moves{{"new", 2}});
  Join(8);
  Rounds(11, {8});
  CHECK(balancer.Moves() == Moves{{"new", 2}, {"orphan", 2}});
  ShardReport shard;
  shard.info.shard = Shard(0);
  shard.info.state = "waiting";
  shard.info.epoch = reader.fold().shards().at(Shard(0)).epoch;
  reports[8].shards = {shard};
  Rounds(1, {8});
  CHECK(balancer.Moves() == Moves{{"new", 2}, {"orphan", 2}, {"again", 1}});
}

TEST_CASE_METHOD(Office, "one that leads no more tells and counts nothing") {
  DieOpening(1);
  DieOpening(11);
  Join(21);
  Rounds(1, {9, 21});
  REQUIRE(Count("shaky") == 1);
  CHECK(executor.RunUntilDone(writer.Write(control::Claim{2, reader.fold().cluster(), {"b", 5}}))
            .value() == control::Verdict::kValid);
  REQUIRE(executor.RunUntilDone(balancer.PlanOnce()).ok());
  CHECK(balancer.Workers().empty());
  CHECK_FALSE(Says("w1"));
}

}  // namespace millrace::runtime
