#include <algorithm>

#include "millrace/control/plan_fold.h"
#include "millrace/control/settings.h"
#include "millrace/runtime/roster.h"
#include "millrace/runtime/shard.h"

// The roster as the input of a plan.

namespace millrace::runtime {
namespace {

/// So many reports in a row say that a follower is level before it is taken for that.
constexpr int kLevelReports = 2;

}  // namespace

std::map<std::string, control::Process> Roster::Takers() const {
  std::map<std::string, control::Process> takers;
  for (const auto& [instance, worker] : workers_) {
    if (worker.answers())
      takers[control::InstanceName(worker.hello.process)] = worker.hello.process;
  }
  return takers;
}

control::PlanInput Roster::Input(const control::Fold& fold, Duration now) const {
  control::PlanInput input;
  input.now = TicksOf(now);
  // A store that nobody reaches is no reason to leave.
  const bool one_can = std::any_of(workers_.begin(), workers_.end(), [](const auto& worker) {
    return worker.second.answers() && worker.second.report.cannot.empty();
  });
  std::map<ShardId, std::map<uint64_t, const ShardReport*>> reports;
  for (const auto& [instance, worker] : workers_) {
    control::Member& member = input.members[control::InstanceName(worker.hello.process)];
    member.name = worker.hello.process.name;
    member.executors = std::max<int64_t>(1, worker.hello.executors);
    member.memory_limit = worker.hello.memory;
    member.joined = worker.joined;
    member.draining = worker.report.draining || (one_can && !worker.report.cannot.empty());
    member.standby = worker.hello.standby;
    member.reachable = worker.answers();
    member.versions = worker.hello.versions;
    for (const ShardReport& shard : worker.report.shards) {
      member.memory_used += shard.state_bytes;
      reports[shard.info.shard][instance] = &shard;
    }
  }
  control::AddBundles(fold, &input);
  std::map<control::BundleId, size_t> shards;
  std::map<control::BundleId, std::map<uint64_t, std::pair<size_t, size_t>>> following;
  for (const auto& [id, shard] : fold.shards()) {
    if (shard.halt) continue;
    const control::BundleId of = control::BundleOf(fold, id);
    control::Bundle& bundle = input.bundles.at(of);
    ++shards[of];
    if (const auto busy = busy_.find(id); busy != busy_.end()) {
      bundle.load.quick += busy->second.load.quick;
      bundle.load.slow += busy->second.load.slow;
      bundle.load.known = true;
    }
    const auto reported = reports.find(id);
    if (reported == reports.end()) continue;
    for (const auto& [instance, report] : reported->second) {
      if (instance == shard.worker.instance) bundle.state_bytes += report->state_bytes;
      if (report->info.state != PhaseName(ShardPhase::kFollowing)) continue;
      auto& [follows, level] = following[of][instance];
      ++follows;
      const auto& in_a_row = workers_.at(instance).level;
      const auto at = in_a_row.find(id);
      if (at != in_a_row.end() && at->second >= kLevelReports) ++level;
    }
  }
  for (const auto& [of, workers] : following) {
    for (const auto& [instance, counts] : workers) {
      const std::string name = control::InstanceName(workers_.at(instance).hello.process);
      input.bundles.at(of).followers[name] = counts.second == shards.at(of);
    }
  }
  for (const Departure& left : departures_) {
    control::Departure departure{left.name, left.at, left.planned, {}};
    for (const ShardId& id : left.at_work)
      if (fold.shards().contains(id)) departure.at_work.insert(control::BundleOf(fold, id));
    input.departures.push_back(std::move(departure));
  }
  input.balance = control::MayBalance(fold);
  input.followers = control::KeepsFollowers(fold);
  input.expected = alone_ ? 0 : control::ExpectedWorkers(fold);
  return input;
}

}  // namespace millrace::runtime
