
#include "plan_world.h"
#include "support/catch.h"

// What every plan must hold (docs/assignment.md), over random clusters by seed.

namespace millrace::control {
namespace {

constexpr int kSeeds = 300;
constexpr int kWorlds = 10;  ///< that run for a while
constexpr Ticks kMinute = 60'000;
/// So many bundles that no single one makes its worker hot when the mean falls.
constexpr int64_t kMany = 600;

class Dice {
 public:
  explicit Dice(int seed) : random_(static_cast<uint64_t>(seed)) {}
  int64_t Below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  bool OneIn(int64_t n) { return Below(n) == 0; }

 private:
  std::mt19937_64 random_;
};

/// Anything that may happen at once: the dead, the silent, the leaving, the new, moves under way.
PlanInput AnyCluster(Dice* dice, PlanMemory* memory) {
  PlanInput input;
  input.now = 10'000 * kMinute;
  // Half of them are calm, so that there are moves for balance.
  const bool calm = dice->OneIn(2);
  std::vector<std::string> instances;
  if (!calm) instances.push_back("gone");
  const int64_t workers = calm ? 2 + dice->Below(9) : dice->Below(9);
  for (int64_t i = 0; i < workers; ++i) {
    const std::string instance = "i" + std::to_string(dice->Below(1'000'000));
    Member& member = input.members[instance];
    member.name = "w" + std::to_string(i);
    member.executors = 1 + dice->Below(8);
    member.joined = input.now - dice->Below(30 * kMinute);
    member.draining = dice->OneIn(calm ? 60 : 8);
    member.standby = dice->OneIn(10);
    member.reachable = !dice->OneIn(calm ? 60 : 10);
    if (dice->OneIn(4)) member.memory_limit = 1'000'000'000;
    if (!calm && dice->OneIn(20)) member.versions = "next";
    instances.push_back(instance);
  }
  const auto any = [&] {
    return instances[static_cast<size_t>(dice->Below(static_cast<int64_t>(instances.size())))];
  };
  const int64_t bundles = dice->Below(120);
  const bool owned = calm || !dice->OneIn(4);
  for (int i = 0; i < bundles; ++i) {
    const BundleId id = BundleNumber(i);
    Bundle& bundle = input.bundles[id];
    bundle.state_bytes = dice->Below(100'000'000);
    bundle.load = {dice->Below(kBusy / 4), dice->Below(kBusy / 4), true};
    bundle.owner = owned && (calm || !dice->OneIn(30)) ? any() : "";
    if (dice->OneIn(10)) memory->wishes[id] = {any(), Why::kHot, input.now - dice->Below(90'000)};
    if (dice->OneIn(12)) bundle.followers[any()] = dice->OneIn(2);
    if (dice->OneIn(20)) memory->excluded[{id, any()}] = input.now + dice->Below(kMinute);
    if (dice->OneIn(20)) memory->moved[id] = {input.now - dice->Below(20 * kMinute), any()};
  }
  const int64_t departures = calm ? 0 : dice->Below(6);
  for (int64_t i = 0; i < departures; ++i) {
    Departure departure{"w" + std::to_string(dice->Below(4)),
                        input.now - dice->Below(60 * kMinute),
                        dice->OneIn(3),
                        {}};
    if (bundles > 0) departure.at_work.insert(BundleNumber(static_cast<int>(dice->Below(2))));
    input.departures.push_back(departure);
  }
  for (const auto& [instance, member] : input.members) {
    memory->streaks[instance] = {static_cast<int>(dice->Below(5)), static_cast<int>(dice->Below(5)),
                                 static_cast<int>(dice->Below(5))};
  }
  return input;
}

/// The same work on every bundle at all times.
PlanWorld::Work Constant(std::vector<int64_t> loads) {
  return [loads = std::move(loads)](int i, Ticks) { return loads[static_cast<size_t>(i)]; };
}

/// Random capacities and constant random loads that fill at most nine tenths of them, placed at
/// random.
PlanWorld AnyConstant(Dice* dice, int64_t bundles) {
  const int64_t workers = 2 + dice->Below(9);
  std::vector<int64_t> executors;
  int64_t capacity = 0;
  for (int64_t i = 0; i < workers; ++i) capacity += executors.emplace_back(1 + dice->Below(8));
  std::vector<int64_t> loads;
  int64_t sum = 0;
  for (int64_t i = 0; i < bundles; ++i) sum += loads.emplace_back(1 + dice->Below(1000));
  const int64_t full = capacity * kBusy / 10 * (1 + dice->Below(9));
  for (int64_t& load : loads) load = full / sum * load;
  PlanWorld world(static_cast<int>(bundles), Constant(loads));
  for (int64_t i = 0; i < workers; ++i)
    world.Join("w" + std::to_string(i), executors[static_cast<size_t>(i)]);
  std::vector<std::string> instances;
  for (const auto& [instance, member] : world.input.members) instances.push_back(instance);
  for (auto& [id, bundle] : world.input.bundles)
    bundle.owner = instances[static_cast<size_t>(dice->Below(workers))];
  return world;
}

double Potential(const PlanInput& input, const std::map<BundleId, std::string>& owners) {
  std::map<std::string, double> sums;
  for (const auto& [id, owner] : owners)
    sums[owner] += static_cast<double>(input.bundles.at(id).load.slow) / 1e9;
  double potential = 0;
  for (const auto& [instance, sum] : sums)
    potential += sum * sum / static_cast<double>(input.members.at(instance).executors);
  return potential;
}

TEST_CASE("every bundle has an owner or a reason, and no plan names a worker that cannot take it") {
  for (int seed = 0; seed < kSeeds; ++seed) {
    CAPTURE(seed);
    Dice dice(seed);
    PlanMemory memory;
    const PlanInput input = AnyCluster(&dice, &memory);
    const Plan plan = PlanMoves(input, memory);
    std::map<BundleId, std::string> owners;
    for (const auto& [id, bundle] : input.bundles) owners[id] = bundle.owner;
    for (const Move& move : plan.assigns) {
      REQUIRE(input.members.contains(move.to));
      const Member& target = input.members.at(move.to);
      CHECK(target.reachable);
      CHECK_FALSE(target.draining);
      if (move.why != Why::kOrphan) CHECK_FALSE(target.standby);
      CHECK_FALSE(plan.unowned.contains(move.bundle));
      owners[move.bundle] = move.to;
    }
    for (const auto& [id, owner] : owners)
      CHECK(input.members.contains(owner) != plan.unowned.contains(id));
    std::map<std::string, int> incoming;
    for (const auto& [id, wish] : plan.memory.wishes) {
      REQUIRE(input.members.contains(wish.target));
      const Member& target = input.members.at(wish.target);
      CHECK(target.reachable);
      CHECK_FALSE(target.draining);
      CHECK_FALSE(target.standby);
      CHECK(owners.at(id) != wish.target);
      ++incoming[wish.target];
    }
    for (const Move& move : plan.started) {
      CHECK(incoming[move.to] <= (move.why == Why::kDrain ? 8 : 4));
      CHECK(plan.memory.wishes.size() <= 64);
      CHECK_FALSE(memory.excluded.contains({move.bundle, move.to}));
      CHECK(plan.memory.wishes.at(move.bundle).target == move.to);
    }
  }
}

TEST_CASE("a move for balance is made only while nothing else goes on") {
  int balanced = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    CAPTURE(seed);
    Dice dice(seed);
    PlanMemory memory;
    const PlanInput input = AnyCluster(&dice, &memory);
    bool quiet = true;
    for (const auto& [instance, member] : input.members) {
      quiet &= member.reachable && !member.draining && input.now - member.joined >= 10'000 &&
               member.versions == input.members.begin()->second.versions;
    }
    for (const Departure& departure : input.departures)
      quiet &= !departure.planned || input.now - departure.at >= 3 * kMinute;
    const Plan plan = PlanMoves(input, memory);
    for (const Move& move : plan.started) {
      if (move.why == Why::kDrain) continue;
      ++balanced;
      CHECK(quiet);
      CHECK(plan.unowned.empty());
    }
  }
  CHECK(balanced > 0);
}

TEST_CASE("a constant load comes to rest, and each move on the way lowers the potential") {
  int longest = 0;
  int moves = 0;
  for (int seed = 0; seed < kWorlds; ++seed) {
    CAPTURE(seed);
    Dice dice(seed);
    PlanWorld world = AnyConstant(&dice, 1 + dice.Below(300));
    int last = 0;
    for (int second = 1; second <= 1800; ++second) {
      std::map<BundleId, std::string> owners;
      for (const auto& [id, bundle] : world.input.bundles) owners[id] = bundle.owner;
      for (const auto& [id, wish] : world.memory.wishes) owners[id] = wish.target;
      const PlanInput before = world.input;
      world.Step();
      for (const Move& move : world.plan.started) {
        const double high = Potential(before, owners);
        owners[move.bundle] = move.to;
        CHECK(Potential(before, owners) < high);
      }
      if (!world.plan.started.empty()) last = second;
    }
    moves += world.moves;
    longest = std::max(longest, last);
  }
  CHECK(moves > 0);
  // Newcomers are none after ten minutes. What is left then takes some evaluations.
  CHECK(longest < 900);
}

TEST_CASE("a join moves only to the newcomer, and at most its share") {
  for (int seed = 0; seed < kWorlds; ++seed) {
    CAPTURE(seed);
    Dice dice(seed);
    PlanWorld world = AnyConstant(&dice, kMany);
    world.Run(1200);
    world.moves_to.clear();
    const std::string newcomer = world.Join("newcomer", 4);
    world.Run(900);
    int64_t sum = 0;
    int64_t capacity = 0;
    int64_t his = 0;
    for (const auto& [id, bundle] : world.input.bundles) {
      sum += bundle.load.slow;
      if (bundle.owner == newcomer) his += bundle.load.slow;
    }
    for (const auto& [instance, member] : world.input.members) capacity += member.executors;
    for (const auto& [instance, count] : world.moves_to) CHECK(instance == newcomer);
    CHECK(his <= sum / capacity * 4);
  }
}

TEST_CASE("newcomers get their share also of a cluster that has next to nothing to do") {
  PlanWorld world(8, [](int, Ticks) { return kBusy / 1'000; });
  for (const std::string name : {"a", "b", "c"}) world.Join(name, 2);
  world.Run(700);
  world.Join("d", 2);
  world.Join("e", 2);
  world.Run(300);
  std::map<std::string, int> owned;
  for (const auto& [id, bundle] : world.input.bundles) ++owned[bundle.owner];
  CHECK(owned.size() == 5);
  for (const auto& [instance, bundles] : owned) CHECK(bundles <= 3);
  world.moves_to.clear();
  world.Run(1'200);
  CHECK(world.moves_to.empty());
}

TEST_CASE("a leave moves only what the one that leaves has, and all of it") {
  for (int seed = 0; seed < kWorlds; ++seed) {
    CAPTURE(seed);
    Dice dice(seed);
    PlanWorld world = AnyConstant(&dice, kMany);
    world.Run(1200);
    const std::vector<std::string> before = world.Owners();
    const std::string leaver = world.input.members.begin()->first;
    const bool crash = dice.OneIn(2);
    if (crash) {
      world.Leave(leaver, false);
      world.Run(5);
    } else {
      world.input.members.at(leaver).draining = true;
      for (int second = 0; second < 1200 && world.Owns(leaver); ++second) world.Step();
      CHECK_FALSE(world.Owns(leaver));
      world.Leave(leaver, true);
      world.Run(60);
    }
    const std::vector<std::string> after = world.Owners();
    for (size_t i = 0; i < before.size(); ++i) {
      if (before[i] != leaver) CHECK(after[i] == before[i]);
      CHECK(after[i] != leaver);
    }
  }
}

TEST_CASE("neither names of workers nor the clock's zero change a plan") {
  for (int seed = 0; seed < kSeeds; ++seed) {
    CAPTURE(seed);
    Dice dice(seed);
    PlanMemory memory;
    const PlanInput input = AnyCluster(&dice, &memory);
    PlanInput other = input;
    PlanMemory later = memory;
    const auto renamed = [](const std::string& name) {
      return "z" + std::string(name.rbegin(), name.rend());
    };
    const Ticks shift = 77 * kMinute;
    other.now += shift;
    for (auto& [instance, member] : other.members) {
      member.name = renamed(member.name);
      member.joined += shift;
    }
    for (Departure& departure : other.departures) {
      departure.name = renamed(departure.name);
      departure.at += shift;
    }
    for (auto& [id, wish] : later.wishes) wish.since += shift;
    for (auto& [pair, until] : later.excluded) until += shift;
    for (auto& [id, moved] : later.moved) moved.at += shift;
    const Plan a = PlanMoves(input, memory);
    const Plan b = PlanMoves(other, later);
    CHECK(a.assigns == b.assigns);
    CHECK(a.started == b.started);
    CHECK(a.unowned == b.unowned);
  }
}

TEST_CASE("a move that never ends is given up, its pair left alone, and delays no other") {
  PlanWorld world(100, [](int, Ticks) { return kBusy / 25; });
  const std::string old = world.Join("old");
  world.Run(700);
  const std::string fresh = world.Join("fresh");
  while (world.memory.wishes.empty()) world.Step();
  const BundleId stuck = world.memory.wishes.begin()->first;
  world.never_level.insert(stuck);
  world.Run(200);
  CHECK(world.Excess() < 3);
  CHECK(world.input.bundles.at(stuck).owner == old);
  CHECK(world.memory.excluded.contains({stuck, fresh}));
}

TEST_CASE("what keeps killing its workers is held until an operator releases it") {
  PlanWorld world(100, [](int, Ticks) { return kBusy / 100; });
  for (int i = 0; i < 4; ++i) world.Join("w" + std::to_string(i));
  const BundleId bad = BundleNumber(7);
  for (int death = 0; death < 3; ++death) {
    world.Run(1);
    CHECK(world.plan.unowned.empty());
    world.Leave(world.input.bundles.at(bad).owner, false);
    world.input.departures.back().at_work = {bad, BundleNumber(death)};
  }
  world.Run(1);
  CHECK(world.plan.unowned == std::map<BundleId, Unowned>{{bad, Unowned::kHeld}});
  // It keeps nobody else from a worker.
  world.Run(60);
  CHECK(world.plan.unowned.size() == 1);
  world.input.bundles.at(bad).released = world.input.now;
  world.Run(1);
  CHECK(world.plan.unowned.empty());
  CHECK(world.input.members.contains(world.input.bundles.at(bad).owner));
}

TEST_CASE("deaths of one worker, or with everything at work, hold nothing") {
  PlanInput input;
  input.now = 100 * kMinute;
  input.members["i"].name = "alive";
  for (int i = 0; i < 100; ++i) input.bundles[BundleNumber(i)];
  for (int i = 0; i < 3; ++i)
    input.departures.push_back({"one", input.now - kMinute, false, {BundleNumber(3)}});
  CHECK(PlanMoves(input, {}).unowned.empty());
  for (Departure& departure : input.departures) {
    departure.name += std::to_string(departure.at_work.size() + input.departures.size());
    for (const auto& [id, bundle] : input.bundles) departure.at_work.insert(id);
  }
  input.departures[0].name = "another";
  CHECK(PlanMoves(input, {}).unowned.empty());
}

TEST_CASE("a worker that keeps dying gets only what nobody else can take") {
  PlanInput input;
  input.now = 100 * kMinute;
  input.members["new"].name = "shaky";
  input.members["other"].name = "steady";
  for (int i = 0; i < 2; ++i) input.departures.push_back({"shaky", input.now - kMinute, false, {}});
  for (int i = 0; i < 50; ++i) input.bundles[BundleNumber(i)];
  for (const Move& move : PlanMoves(input, {}).assigns) CHECK(move.to == "other");
  input.members.erase("other");
  CHECK(PlanMoves(input, {}).assigns.size() == 50);
}

TEST_CASE("a start of everything waits for the workers that are expected, while they come") {
  PlanInput input;
  input.now = 1'000'000;
  input.expected = 3;
  for (int32_t p = 0; p < 6; ++p) input.bundles[{Offset(1), PartitionId(p)}].owner = "dead";
  const auto joins = [&](const std::string& instance) {
    Member& member = input.members[instance];
    member.name = instance;
    member.joined = input.now;
  };
  const auto all_are = [&](Unowned why) {
    const Plan plan = PlanMoves(input, {});
    return plan.assigns.empty() && plan.unowned.size() == 6 &&
           std::all_of(plan.unowned.begin(), plan.unowned.end(),
                       [&](const auto& u) { return u.second == why; });
  };
  CHECK(all_are(Unowned::kNoWorker));
  joins("a");
  CHECK(all_are(Unowned::kExpecting));
  input.now += 9'000;
  joins("b");
  input.now += 9'000;
  CHECK(all_are(Unowned::kExpecting));
  // Ten seconds without another one.
  PlanInput late = input;
  late.now += 1'000;
  CHECK(PlanMoves(late, {}).assigns.size() == 6);
  // All are there.
  PlanInput full = input;
  full.members["c"].name = "c";
  full.members["c"].joined = full.now;
  const Plan spread = PlanMoves(full, {});
  CHECK(spread.assigns.size() == 6);
  std::map<std::string, int> got;
  for (const Move& move : spread.assigns) ++got[move.to];
  CHECK(got == std::map<std::string, int>{{"a", 2}, {"b", 2}, {"c", 2}});
  // One worker that dies is no start of everything.
  input.bundles.begin()->second.owner = "a";
  CHECK(PlanMoves(input, {}).assigns.size() == 5);
}

TEST_CASE("an orphan goes to a follower, if one lives, and else nowhere without the memory") {
  PlanInput input;
  input.now = 100 * kMinute;
  for (const char* instance : {"a", "b", "c"}) {
    input.members[instance].name = instance;
    input.members[instance].memory_limit = 1'000'000;
  }
  Bundle& bundle = input.bundles[BundleNumber(0)];
  bundle.owner = "dead";
  bundle.load = {kBusy, kBusy, true};
  bundle.state_bytes = 950'000;
  CHECK(PlanMoves(input, {}).unowned.at(BundleNumber(0)) == Unowned::kNoMemory);
  bundle.followers = {{"dead", true}, {"b", false}};
  CHECK(PlanMoves(input, {}).assigns.at(0).to == "b");
  bundle.followers["c"] = true;
  CHECK(PlanMoves(input, {}).assigns.at(0).to == "c");
  input.members.at("c").draining = true;
  CHECK(PlanMoves(input, {}).assigns.at(0).to == "b");
  input.members.clear();
  CHECK(PlanMoves(input, {}).unowned.at(BundleNumber(0)) == Unowned::kNoWorker);
}

TEST_CASE("balance follows a load only when both averages agree") {
  PlanWorld world(40, [](int, Ticks) { return kBusy / 20; });
  const std::string busy = world.Join("busy");
  const std::string idle = world.Join("idle");
  world.Run(700);
  PlanInput input = world.input;
  PlanMemory memory = world.memory;
  const auto evaluate = [&] {
    input.now += 10'000;
    const Plan plan = PlanMoves(input, memory);
    memory = plan.memory;
    return plan.started.size();
  };
  for (auto& [id, bundle] : input.bundles)
    if (bundle.owner == busy) bundle.load.quick *= 3;
  for (int i = 0; i < 10; ++i) CHECK(evaluate() == 0);
  for (auto& [id, bundle] : input.bundles) bundle.load.slow = bundle.load.quick;
  CHECK(evaluate() == 0);
  CHECK(evaluate() == 0);
  CHECK(evaluate() > 0);
}

TEST_CASE("a newcomer does not get a bundle that is more than its share") {
  // One worker is full by a large bundle and many small ones; the others have little.
  const auto work = [](int i, Ticks) { return i == 0 ? kBusy * 9 / 5 : kBusy / 10; };
  PlanWorld world(55, work);
  std::vector<std::string> old;
  for (int i = 0; i < 5; ++i) old.push_back(world.Join("w" + std::to_string(i)));
  world.Run(700);
  for (int i = 0; i < 55; ++i) {
    world.input.bundles.at(BundleNumber(i)).owner =
        old[static_cast<size_t>(i < 23 ? 0 : 1 + (i - 23) % 4)];
  }
  const std::string newcomer = world.Join("newcomer");
  world.Run(60);
  CHECK(world.moves_to[newcomer] > 0);
  CHECK(world.input.bundles.at(BundleNumber(0)).owner != newcomer);
}

}  // namespace
}  // namespace millrace::control
