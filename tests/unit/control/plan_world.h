#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "millrace/base/hash.h"
#include "millrace/control/plan_moves.h"

namespace millrace::control {

inline constexpr int64_t kBusy = 1'000'000'000;  ///< one executor's whole time

inline BundleId BundleNumber(int i) { return {Offset(i / 64), PartitionId(i % 64)}; }

/// Workers and bundles that obey the plans: a second a step, with reports in between.
class PlanWorld {
 public:
  /// `work(bundle, now)` is the true load.
  using Work = std::function<int64_t(int, Ticks)>;

  PlanWorld(int bundles, Work work) : work_(std::move(work)) {
    for (int i = 0; i < bundles; ++i) {
      Bundle& bundle = input.bundles[BundleNumber(i)];
      bundle.state_bytes = 10'000'000;
      bundle.load.Note(work_(i, 0));
    }
  }

  std::string Join(const std::string& name, int64_t executors = 4) {
    const std::string instance = name + "#" + std::to_string(++instances_);
    Member& member = input.members[instance];
    member.name = name;
    member.executors = executors;
    member.joined = input.now;
    return instance;
  }
  /// The worker is gone, with a farewell or without one.
  void Leave(const std::string& instance, bool planned) {
    input.departures.push_back({input.members.at(instance).name, input.now, planned, {}});
    input.members.erase(instance);
  }
  bool Owns(const std::string& instance) const {
    return std::any_of(input.bundles.begin(), input.bundles.end(),
                       [&](const auto& b) { return b.second.owner == instance; });
  }

  void Run(int seconds) {
    for (int i = 0; i < seconds; ++i) Step();
  }
  void Step() {
    input.now += 1000;
    int i = 0;
    for (auto& [id, bundle] : input.bundles) {
      bundle.load.Note(work_(i++, input.now));
      bundle.followers.clear();
      const auto wish = memory.wishes.find(id);
      if (wish == memory.wishes.end() || !input.members.contains(wish->second.target)) continue;
      bundle.followers[wish->second.target] =
          !never_level.contains(id) && input.now - wish->second.since >= 4000;
    }
    plan = PlanMoves(input, memory);
    memory = plan.memory;
    for (const Move& move : plan.assigns) {
      input.bundles.at(move.bundle).owner = move.to;
      ++moves;
      ++moves_to[move.to];
    }
    if (watched && input.now % 5000 == 0) worst = std::max(worst, Excess());
  }

  /// By how many points of capacity the fullest worker lies above the mean, by the true loads.
  double Excess() const { return ExcessOf(Owners()); }
  std::vector<std::string> Owners() const {
    std::vector<std::string> owners;
    for (const auto& [id, bundle] : input.bundles) owners.push_back(bundle.owner);
    return owners;
  }
  double ExcessOf(const std::vector<std::string>& owners) const {
    std::map<std::string, double> shares;
    double all = 0;
    double capacity = 0;
    for (const auto& [instance, member] : input.members) {
      shares[instance] = 0;
      capacity += static_cast<double>(member.executors);
    }
    for (size_t i = 0; i < owners.size(); ++i) {
      const auto at = input.members.find(owners[i]);
      if (at == input.members.end()) continue;
      const double load =
          static_cast<double>(work_(static_cast<int>(i), input.now)) / static_cast<double>(kBusy);
      shares[owners[i]] += load / static_cast<double>(at->second.executors);
      all += load;
    }
    double most = 0;
    for (const auto& [instance, share] : shares) most = std::max(most, share);
    return 100 * (most - all / capacity);
  }

  PlanInput input{
      .members = {}, .bundles = {}, .departures = {}, .balance = true, .expected = 0, .now = 1000};
  PlanMemory memory;
  Plan plan;  ///< the last one
  std::set<BundleId> never_level;
  int moves = 0;
  std::map<std::string, int> moves_to;
  bool watched = false;  ///< keeps the worst excess
  double worst = 0;

 private:
  Work work_;
  int instances_ = 0;
};

}  // namespace millrace::control
