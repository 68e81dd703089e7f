#include <array>
#include <map>
#include <utility>

#include "millrace/runtime/coordinator.h"

namespace millrace::runtime {
namespace {

constexpr auto kExport = std::chrono::seconds(1);
/// Of a shard in a list.
constexpr std::array kStates = {"unassigned", "unknown", "assigned", "opening", "running",
                                "paused",     "waiting", "halting",  "halted",  "stopped"};

/// What is not counted is 0.
template <typename Key>
void SetAll(const std::map<Key, int64_t>& counts, const std::map<Key, Gauge*>& gauges) {
  for (const auto& [key, gauge] : gauges) {
    const auto at = counts.find(key);
    gauge->Set(at == counts.end() ? 0 : static_cast<double>(at->second));
  }
}

}  // namespace

/// docs/metrics.md, "Coordinator".
Task<> Coordinator::MetricsLoop() {
  MetricRegistry* const metrics = wiring_.ports.metrics;
  Gauge& leader =
      metrics->GetGauge("millrace_coordinator_leader", "1 while this process is the leader.",
                        {{"node", wiring_.self.name}});
  const auto failing = [&](const char* part) -> Gauge& {
    return metrics->GetGauge("millrace_coordinator_failing",
                             "1 while a part of the coordinator fails and is tried again.",
                             {{"part", part}});
  };
  Gauge& control_failing = failing("control");
  Gauge& definitions_failing = failing("definitions");
  std::map<std::string, Gauge*> shards;
  for (const std::string state : kStates) {
    shards[state] =
        &metrics->GetGauge("millrace_coordinator_shards", "Shards by state.", {{"state", state}});
  }
  std::map<std::string, Gauge*> workers;
  for (const std::string_view state : Balancer::kWorkerStates) {
    workers[std::string(state)] = &metrics->GetGauge("millrace_coordinator_workers",
                                                     "Workers that the leader knows, by state.",
                                                     {{"state", std::string(state)}});
  }
  std::map<control::Unowned, Gauge*> unowned;
  for (const auto why : {control::Unowned::kHeld, control::Unowned::kNoWorker,
                         control::Unowned::kNoMemory, control::Unowned::kExpecting}) {
    unowned[why] =
        &metrics->GetGauge("millrace_coordinator_unowned_partitions",
                           "Partitions of streams whose shards no worker gets, by the reason.",
                           {{"reason", std::string(control::UnownedName(why))}});
  }
  std::map<std::string_view, Counter*> moves;
  for (const std::string_view reason : Balancer::kMoveReasons) {
    moves[reason] = &metrics->GetCounter("millrace_coordinator_moves_total",
                                         "Shards that this leader gave to a worker, by the reason.",
                                         {{"reason", std::string(reason)}});
  }
  std::map<std::string_view, int64_t> moves_exported;
  constexpr std::array kReasons = {control::Verdict::kNotLeader, control::Verdict::kLate,
                                   control::Verdict::kStale,     control::Verdict::kUnknown,
                                   control::Verdict::kConflict,  control::Verdict::kUnreadable};
  std::map<control::Verdict, Counter*> skipped;
  for (const control::Verdict reason : kReasons) {
    skipped[reason] = &metrics->GetCounter(
        "millrace_coordinator_control_records_skipped_total",
        "Records of the control log that were not valid at their place, since the process began.",
        {{"reason", std::string(control::VerdictName(reason))}});
  }
  // What was folded at the start is not of this process.
  std::map<control::Verdict, int64_t> exported = control_.skipped();
  while (!stopped_) {
    control_failing.Set(control_.failure().empty() ? 0 : 1);
    definitions_failing.Set(definitions_.troubles().any() ? 1 : 0);
    leader.Set(leadership_.leads() ? 1 : 0);
    SetAll(balancer_.Workers(), workers);
    SetAll(balancer_.Unowned(), unowned);
    for (const auto& [reason, count] : balancer_.Moves()) {
      moves.at(reason)->Add(
          static_cast<double>(count - std::exchange(moves_exported[reason], count)));
    }
    for (const auto& [verdict, count] : control_.skipped()) {
      skipped.at(verdict)->Add(
          static_cast<double>(count - std::exchange(exported[verdict], count)));
    }
    const auto infos = co_await ListShards();
    if (infos.ok()) {
      std::map<std::string, int64_t> counts;
      for (const operations::ShardInfo& info : *infos) ++counts[info.state];
      SetAll(counts, shards);
    }
    co_await Delay(kExport);
  }
}

}  // namespace millrace::runtime
