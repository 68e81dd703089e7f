#include "millrace/runtime/shard_telemetry.h"

#include <algorithm>

namespace millrace::runtime {
namespace {

const std::vector<double>& Bounds() {
  static const std::vector<double> bounds = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
                                             0.2,   0.5,   1,     2,    5,    10,   60};
  return bounds;
}

double Seconds(int64_t micros) { return static_cast<double>(micros) / 1e6; }

MetricLabels With(MetricLabels labels, std::string name, std::string value) {
  labels.emplace_back(std::move(name), std::move(value));
  return labels;
}

}  // namespace

ShardTelemetry::ShardTelemetry(MetricRegistry* registry, const ShardId& shard) {
  const MetricLabels labels = {{"namespace", shard.incarnation.name_space},
                               {"pipeline", shard.incarnation.name}};
  const char* const phases[] = {"freeze", "write", "upload", "commit"};
  for (size_t i = 0; i < cut_phases_.size(); ++i) {
    cut_phases_[i] = &registry->GetHistogram("millrace_worker_cut_duration_seconds",
                                             "Time that a phase of a checkpoint took.",
                                             With(labels, "phase", phases[i]), Bounds());
  }
  cut_bytes_ = &registry->GetCounter("millrace_worker_cut_bytes_total",
                                     "Bytes uploaded for committed checkpoints.", labels);
  cut_errors_ = &registry->GetCounter("millrace_worker_cut_errors_total",
                                      "Checkpoints that were begun and not committed.", labels);
  last_cut_ = &registry->GetGauge("millrace_worker_last_cut_timestamp_seconds",
                                  "When a shard last committed a checkpoint.",
                                  With(labels, "partition", std::to_string(shard.partition.value)));
  restore_ =
      &registry->GetHistogram("millrace_worker_restore_duration_seconds",
                              "Time from opening a shard until it reads on.", labels, Bounds());
  fallbacks_ =
      &registry->GetCounter("millrace_worker_restore_fallbacks_total",
                            "Committed checkpoints that could not be used at a restore.", labels);
  became_owners_ = &registry->GetCounter(
      "millrace_worker_followers_became_owners_total",
      "Shards that their worker had followed when it became their owner.", labels);
  lost_ = &registry->GetCounter(
      "millrace_worker_lost_records_total",
      "Records that a shard had read and that the log does not have any more, at most.", labels);
  replayed_ = &registry->GetCounter(
      "millrace_worker_replayed_records_total",
      "Records read below the end that the log had when their shard was opened.", labels);
  for (int o = 1; o <= kOutputs; ++o) {
    const MetricLabels of = With(labels, "sink", std::string(OutputName(static_cast<Output>(o))));
    sinks_[static_cast<size_t>(o)] = {
        &registry->GetCounter("millrace_worker_sink_rows_total", "Rows that a sink has applied.",
                              of),
        &registry->GetCounter("millrace_worker_sink_errors_total",
                              "Writes to a sink that failed or whose outcome is unknown.", of),
        &registry->GetHistogram("millrace_worker_sink_duration_seconds",
                                "Time of one write to a sink: a batch of rows, or a file.", of,
                                Bounds())};
  }
  emit_delay_ = &registry->GetHistogram(
      "millrace_worker_emit_delay_seconds",
      "From the append of the record that caused result rows until they were readable.", labels,
      Bounds());
  latency_ =
      &registry->GetHistogram("millrace_worker_end_to_end_latency_seconds",
                              "From the end of a window until result rows of it were readable: "
                              "means something for events of the present.",
                              labels, Bounds());
}

void ShardTelemetry::Observe(Histogram* histogram, Duration took) {
  histogram->Observe(Seconds(took.count()));
}

void ShardTelemetry::CutCommitted(size_t uploaded_bytes, Micros now) {
  cut_bytes_->Add(static_cast<double>(uploaded_bytes));
  last_cut_->Set(Seconds(now));
}

void ShardTelemetry::SinkApplied(Output output, int64_t rows, Duration took) {
  const Sink& sink = sinks_[static_cast<size_t>(output)];
  sink.rows->Add(static_cast<double>(rows));
  Observe(sink.duration, took);
}

std::vector<ShardTelemetry::Moment> ShardTelemetry::MomentsOf(const std::vector<OutputRow>& rows) {
  std::vector<Moment> moments;
  for (const OutputRow& row : rows) {
    if (row.output != Output::kResults) continue;
    const Moment moment{row.caused_at, row.window_end};
    if (moments.empty() || moments.back() != moment) moments.push_back(moment);
  }
  return moments;
}

void ShardTelemetry::Readable(const std::vector<Moment>& moments, Micros now) {
  // A clock that was set back shows as no delay rather than as a negative one.
  for (const Moment& moment : moments) {
    emit_delay_->Observe(Seconds(std::max<Micros>(0, now - moment.caused_at)));
    latency_->Observe(Seconds(std::max<Micros>(0, now - moment.window_end)));
  }
}

}  // namespace millrace::runtime
