#include <algorithm>

#include "millrace/base/log.h"
#include "sim/fleet.h"
#include "support/catch.h"
#include "support/two_shards_sql.h"

namespace millrace::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Two coordinators and two workers, with one view on two partitions.
struct Small {
  Small() {
    Wait(seconds(20), [&] { return fleet.Leader() != nullptr; });
    const auto applied = Ask<Result<operations::ApplyReport>>(
        [](auto& c) { return c.Apply(test::kTwoShardsSql, false); });
    REQUIRE((applied && applied->ok()));
    REQUIRE(Wait(seconds(30), [&] { return AllRun(); }));
  }

  static runtime::Options Options() {
    runtime::Options options;
    options.beat_interval = seconds(2);
    return options;
  }
  template <typename F>
  bool Wait(Executor::Duration limit, F&& done) {
    for (const auto end = world.now() + limit; world.now() < end && !done();) {
      fleet.Step();
      world.RunUntil([] { return false; }, milliseconds(100));
    }
    return done();
  }
  /// The answer of whoever leads.
  template <typename T, typename F>
  std::optional<T> Ask(F&& ask) {
    Process* const leader = fleet.Leader();
    if (leader == nullptr) return std::nullopt;
    return cluster.On(&leader->executor(), ask(leader->coordinator()), seconds(5));
  }
  bool AllRun() {
    const auto shards =
        Ask<Result<std::vector<operations::ShardInfo>>>([](auto& c) { return c.ListShards(); });
    return shards && shards->ok() && (*shards)->size() == 2 &&
           std::all_of((*shards)->begin(), (*shards)->end(),
                       [](const auto& shard) { return shard.state == "running"; });
  }
  size_t LeaderSlot() {
    for (size_t i = 0; i < fleet.size(); ++i)
      if (fleet.process(i) == fleet.Leader()) return i;
    return fleet.size();
  }
  int64_t Number() { return cluster.ReadControlLog().fold.leader().n; }

  SimWorld world{5};
  Cluster cluster{&world, Faults(), Options()};
  Fleet fleet{&world,
              &cluster,
              Options(),
              {{"lead-one", Process::Role::kCoordinator},
               {"lead-two", Process::Role::kCoordinator},
               {"work-one", Process::Role::kWorker},
               {"work-two", Process::Role::kWorker}}};
};

}  // namespace

TEST_CASE("a leader that wakes behind a successor of its name gives up the lead") {
  SetLogLevel(LogLevel::kOff);
  Small s;
  const size_t slot = s.LeaderSlot();
  REQUIRE(slot < s.fleet.size());
  Process* const replaced = s.fleet.process(slot);
  // It wakes before its silence lets another one claim, and no worker has a link to it any more.
  s.fleet.Pause(slot, seconds(5), true);
  s.Wait(seconds(6), [] { return false; });
  REQUIRE(replaced->leads());
  CHECK(s.Wait(seconds(30), [&] { return !replaced->leads(); }));
  CHECK(replaced->alive());
  CHECK(s.Wait(seconds(20), [&] { return s.AllRun(); }));
  // And who leads then goes on leading.
  const int64_t number = s.Number();
  s.Wait(seconds(60), [] { return false; });
  CHECK(s.Number() == number);
}

TEST_CASE("a leader keeps the lead while one of two workers does not reach it") {
  SetLogLevel(LogLevel::kOff);
  Small s;
  const int64_t number = s.Number();
  for (size_t i = 2; i < 4; ++i) {
    // From the worker to both coordinators.
    s.fleet.CutOff(i, true, true, seconds(40));
    s.Wait(seconds(45), [] { return false; });
    CHECK(s.Number() == number);
  }
}

}  // namespace millrace::sim
