#include "millrace/runtime/shard_metrics.h"

namespace millrace::runtime {
namespace {

constexpr double kMicrosPerSecond = 1e6;

/// Where a counter of the ledger is exported: as millrace_worker_<name>_total, and as gauge
/// millrace_worker_ledger_<name>. The sum of one name counts nothing twice, so each total has a
/// name of its own beside that of its parts, which are told apart by the label `result`.
struct Place {
  std::string name;
  bool part;
};

Place PlaceOf(std::string_view counter) {
  if (counter == "read") return {"events_read", false};
  if (counter == "assigned") return {"pairs_assigned", false};
  if (counter == "accepted_late") return {"pairs_accepted_late", false};
  if (counter == "due") return {"rows_due", false};
  if (counter == "control") return {"control_records", false};
  if (counter == "ignored_ticks") return {"ignored_ticks", false};
  for (const std::string_view pair : {"taken", "too_late", "before_start_pairs"})
    if (counter == pair) return {"pairs", true};
  for (const std::string_view row : {"emitted", "withheld", "row_errors"})
    if (counter == row) return {"rows", true};
  return {"events", true};
}

double Seconds(Micros t) { return static_cast<double>(t) / kMicrosPerSecond; }

}  // namespace

ShardMetrics::ShardMetrics(MetricRegistry* registry, const ShardId& shard,
                           const std::string& stream)
    : registry_(registry) {
  const MetricLabels labels = {{"namespace", shard.incarnation.name_space},
                               {"pipeline", shard.incarnation.name},
                               {"partition", std::to_string(shard.partition.value)}};
  const auto counted = [&](const std::string& name, const MetricLabels& with) -> Counted {
    return {&registry->GetCounter("millrace_worker_" + name + "_total",
                                  "What this process folded, as the ledger counts it.", with),
            &registry->GetGauge("millrace_worker_ledger_" + name,
                                "The ledger of a shard, which is part of its state.", with)};
  };
  for (const auto& [counter, value] : window::Ledger().Counters()) {
    const Place place = PlaceOf(counter);
    MetricLabels with = labels;
    if (place.part) with.emplace_back("result", counter);
    ledger_.push_back(counted(place.name, with));
  }
  skipped_ = counted("skipped_records", labels);
  labels_ = labels;
  labels_.emplace_back("stream", stream);
  const auto gauge = [&](std::string_view name, std::string_view help) {
    return &registry->GetGauge(name, help, labels_);
  };
  open_windows_ =
      gauge("millrace_worker_open_windows", "Windows with events that have not closed.");
  state_bytes_ =
      gauge("millrace_worker_state_bytes", "Memory of keys, slices and remembered producers.");
  lag_records_ = gauge("millrace_worker_lag_records", "Log records not read yet.");
  lag_seconds_ = gauge("millrace_worker_lag_seconds",
                       "How long the oldest record not read yet has been in the log, at most.");
  append_ahead_ = gauge("millrace_worker_append_ahead_seconds",
                        "How far the last append time read lies ahead of this process's clock.");
  halted_ = gauge("millrace_worker_halted", "1 while the shard is halted.");
  paused_ = gauge("millrace_worker_paused", "1 while the pipeline is paused and reads nothing.");
  last_cut_ = gauge("millrace_worker_last_cut_number", "Number of the last committed checkpoint.");
  for (const std::string_view part : kShardParts) {
    MetricLabels with_part = labels;
    with_part.emplace_back("part", part);
    failing_[part] =
        &registry->GetGauge("millrace_worker_failing",
                            "1 while a part of the shard fails and is tried again.", with_part);
  }
  for (int o = 1; o <= kOutputs; ++o) {
    MetricLabels with_sink = labels;
    with_sink.emplace_back("sink", OutputName(static_cast<Output>(o)));
    outbox_rows_[static_cast<Output>(o)] = &registry->GetGauge(
        "millrace_worker_outbox_rows", "Rows made and not yet applied by the sink.", with_sink);
  }
}

void ShardMetrics::SetTime(std::string_view name, std::string_view help, Micros time) {
  if (time == kMinusInfinity) return;
  registry_->GetGauge(name, help, labels_)
      .Set(time == kPlusInfinity ? std::numeric_limits<double>::infinity() : Seconds(time));
}

void ShardMetrics::Export(const Shard& shard, bool paused, Offset log_end, Micros now) {
  paused_->Set(paused ? 1 : 0);
  halted_->Set(shard.halted() ? 1 : 0);
  for (const auto& [part, gauge] : failing_) gauge->Set(shard.troubles().failing(part) ? 1 : 0);
  if (shard.phase() == ShardPhase::kOpening || !shard.has_fold()) return;
  const bool opened = opening_.owner_before(shard.weak_from_this()) ||
                      shard.weak_from_this().owner_before(opening_);
  opening_ = shard.weak_from_this();
  // A counter tells what this process did, so it begins where the opened shard does. The gauge is
  // the ledger itself.
  const auto count = [&](Counted* counted, int64_t at_opening, int64_t now_at) {
    const int64_t before = opened ? at_opening : counted->exported;
    counted->counter->Add(static_cast<double>(now_at - before));
    counted->gauge->Set(static_cast<double>(now_at));
    counted->exported = now_at;
  };
  const window::Ledger& ledger = shard.fold().ledger();
  const auto first = shard.ledger_at_opening().Counters();
  const auto counters = ledger.Counters();
  for (size_t i = 0; i < counters.size(); ++i)
    count(&ledger_[i], first[i].second, counters[i].second);
  count(&skipped_, shard.ledger_at_opening().skipped, ledger.skipped);
  SetTime("millrace_worker_watermark_timestamp_seconds",
          "Watermark of the shard; absent until it is known.", shard.fold().watermark());
  SetTime("millrace_worker_watermark_applied_timestamp_seconds",
          "Watermark for which the serving store has every row; absent until it is known.",
          shard.outbox().applied_watermark());
  SetTime("millrace_worker_largest_event_timestamp_seconds",
          "Largest event time admitted; absent until there is one.",
          shard.fold().largest_event_time());
  open_windows_->Set(static_cast<double>(shard.fold().open_windows()));
  state_bytes_->Set(static_cast<double>(shard.fold().state_bytes()));
  const int64_t unread = log_end.value - shard.next_offset().value;
  lag_records_->Set(static_cast<double>(unread));
  // What is not read yet was appended after the last record read, and after the last time that
  // nothing was unread.
  if (unread <= 0) level_at_ = now;
  level_at_ = std::min(level_at_, now);  // the clock may have stepped back
  const Micros since = std::max(level_at_, shard.last_append_time().value_or(0));
  if (since > 0) lag_seconds_->Set(Seconds(std::max<Micros>(0, now - since)));
  // Before a clock stepped back it may have said anything.
  const Micros ahead = shard.last_append_time().value_or(now) - now;
  append_ahead_->Set(Seconds(std::max<Micros>(0, ahead)));
  last_cut_->Set(static_cast<double>(shard.last_cut().value));
  for (const auto& [output, rows] : outbox_rows_)
    rows->Set(static_cast<double>(shard.outbox_rows(output)));
}

void ShardMetrics::Clear() {
  for (Gauge* gauge :
       {open_windows_, state_bytes_, lag_records_, lag_seconds_, append_ahead_, halted_, paused_})
    gauge->Set(0);
  for (const auto& [output, rows] : outbox_rows_) rows->Set(0);
  for (const auto& [part, gauge] : failing_) gauge->Set(0);
  for (const Counted& counted : ledger_) counted.gauge->Set(0);
  skipped_.gauge->Set(0);
}

}  // namespace millrace::runtime
