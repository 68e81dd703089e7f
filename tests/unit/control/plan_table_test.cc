#include <cmath>
#include <cstdio>

#include "plan_world.h"
#include "support/catch.h"

// The table of docs/assignment.md: ten workers, 640 bundles, and two rules that know no load beside
// PlanMoves. `control_test "[table]"` prints it.

namespace millrace::control {
namespace {

constexpr int kBundles = 640;
constexpr int64_t kExecutors = 4;
/// Of one bundle, when ten workers are half busy.
constexpr int64_t kEven = 10 * kExecutors * kBusy / 2 / kBundles;

/// A rule that knows only who is there.
class Rule {
 public:
  virtual ~Rule() = default;
  virtual std::string Owner(int bundle, const std::vector<std::string>& workers) const = 0;

  /// What it moves now.
  void See(const PlanWorld& world) {
    std::vector<std::string> workers;
    for (const auto& [instance, member] : world.input.members)
      if (!member.draining) workers.push_back(instance);
    if (workers == workers_) return;
    workers_ = workers;
    std::vector<std::string> owners;
    for (int i = 0; i < kBundles; ++i) owners.push_back(Owner(i, workers));
    for (size_t i = 0; i < owners_.size(); ++i) moves += owners[i] != owners_[i];
    owners_ = owners;
  }
  double Excess(const PlanWorld& world) const { return world.ExcessOf(owners_); }

  int moves = 0;

 private:
  std::vector<std::string> workers_;
  std::vector<std::string> owners_;
};

class RoundRobin : public Rule {
  std::string Owner(int bundle, const std::vector<std::string>& workers) const override {
    return workers[static_cast<size_t>(bundle) % workers.size()];
  }
};

class RendezvousRule : public Rule {
  std::string Owner(int bundle, const std::vector<std::string>& workers) const override {
    return *std::max_element(workers.begin(), workers.end(), [&](const auto& a, const auto& b) {
      const auto seed = static_cast<uint64_t>(bundle);
      return Hash(a, seed).lo < Hash(b, seed).lo;
    });
  }
};

/// One line of the table: a history, watched by all three.
class Line {
 public:
  Line(int workers, PlanWorld::Work work) : world(kBundles, std::move(work)) {
    for (int i = 0; i < workers; ++i) Join();
    Run(900);
    world.moves = 0;
    world.watched = true;
    robin_.moves = rendezvous_.moves = 0;
  }

  std::string Join() { return world.Join("w" + std::to_string(joined_++), kExecutors); }
  void Run(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      world.Step();
      robin_.See(world);
      rendezvous_.See(world);
    }
  }
  void Drain(const std::string& instance) {
    world.input.members.at(instance).draining = true;
    for (int i = 0; i < 120 && world.Owns(instance); ++i) Run(1);
    world.Leave(instance, true);
  }
  void Print(const char* what) {
    std::printf("| %-58s | %4d; %4.1f (%4.1f) | %5d; %4.1f | %4d; %4.1f |\n", what, world.moves,
                world.Excess(), world.worst, robin_.moves, robin_.Excess(world), rendezvous_.moves,
                rendezvous_.Excess(world));
  }

  PlanWorld world;

 private:
  RoundRobin robin_;
  RendezvousRule rendezvous_;
  int joined_ = 0;
};

int64_t Even(int, Ticks) { return kEven; }

}  // namespace

TEST_CASE("plans move little and leave no worker far above the mean", "[table]") {
  std::printf("| %-58s | %-18s | %-11s | %-10s |\n", "moves; points above the mean at the end",
              "ours (at worst)", "round robin", "rendezvous");
  {
    Line line(9, Even);
    line.Join();
    line.Run(900);
    line.Print("a tenth worker joins");
    CHECK(line.world.moves <= 64);
    CHECK(line.world.Excess() < 2);
  }
  {
    Line line(10, Even);
    line.Drain(line.world.input.members.begin()->first);
    line.Run(900);
    line.Print("one of ten leaves by drain");
    CHECK(line.world.moves == 64);
    CHECK(line.world.Excess() < 2);
  }
  {
    Line line(10, Even);
    line.world.Leave(line.world.input.members.begin()->first, false);
    line.Run(900);
    line.Print("one of ten crashes");
    CHECK(line.world.moves == 64);
    CHECK(line.world.Excess() < 2);
  }
  {
    Line line(10, [](int i, Ticks) {
      return static_cast<int64_t>(static_cast<double>(kEven) * 6.4 / std::pow(i + 1, 0.7));
    });
    line.Run(1800);
    line.Print("loads as 1/rank^0.7, nothing happens");
    CHECK(line.world.moves == 0);
    CHECK(line.world.Excess() < 2);
  }
  {
    Line line(10, [](int i, Ticks now) {
      const uint64_t noise = Hash(std::to_string(i) + "/" + std::to_string(now)).lo % 1001;
      return kEven / 2 + kEven * static_cast<int64_t>(noise) / 1000;
    });
    line.Run(1800);
    line.Print("equal loads with noise of 50 %, nothing happens");
    CHECK(line.world.moves == 0);
    CHECK(line.world.Excess() < 10);
  }
  {
    const Ticks grown = 1000'000;
    Line line(10, [](int i, Ticks now) {
      return i == 17 && now > grown ? kExecutors * kBusy * 3 / 4 : kEven;
    });
    line.Run(1800);
    line.Print("one bundle grows to 75 % of a worker");
    CHECK(line.world.moves <= 70);
  }
  for (const int64_t percent : {81, 108}) {
    // The bundles of every second worker, once they lie where a plan puts them.
    std::vector<bool> group;
    Line line(10, [&group, percent](int i, Ticks now) {
      if (group.empty()) return kEven;
      const bool high = group[static_cast<size_t>(i)] == (now / 120'000 % 2 == 0);
      return kExecutors * kBusy / 64 * (high ? percent : 9) / 100;
    });
    std::map<std::string, bool> odd;
    for (const auto& [instance, member] : line.world.input.members)
      odd[instance] = odd.size() % 2 == 1;
    for (const std::string& owner : line.world.Owners()) group.push_back(odd.at(owner));
    line.Run(3600);
    line.Print(
        ("five workers at " + std::to_string(percent) + " %, five at 9 %, in turn each 2 min")
            .c_str());
    CHECK(line.world.moves <= 200);
  }
  {
    Line line(10, Even);
    const auto members = line.world.input.members;
    int least = 0;
    for (const auto& [instance, member] : members) {
      for (const auto& [id, bundle] : line.world.input.bundles) least += bundle.owner == instance;
      line.Drain(instance);
      line.world.Join(member.name, kExecutors);
      line.Run(30);
    }
    line.Run(900);
    line.Print("rolling restart of all ten, 30 s apart");
    CHECK(line.world.moves <= 1000);
    CHECK(line.world.Excess() < 2);
  }
  {
    Line line(5, Even);
    for (int i = 0; i < 6; ++i) {
      const auto dies =
          std::find_if(line.world.input.members.begin(), line.world.input.members.end(),
                       [](const auto& m) { return m.second.name == "w2"; });
      line.world.Leave(dies->first, false);
      line.Run(10);
      line.world.Join("w2", kExecutors);
      line.Run(50);
    }
    line.Run(900);
    line.Print("one of five dies each minute, six times");
    CHECK(line.world.moves <= 300);
    CHECK(line.world.Excess() < 20);
  }
}

}  // namespace millrace::control
