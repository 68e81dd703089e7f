#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "millrace/base/executor.h"
#include "millrace/metrics/metrics.h"
#include "millrace/model/ids.h"
#include "millrace/model/row.h"

namespace millrace::runtime {

/// What a shard counts and times as it happens (docs/metrics.md): cuts, restores, sinks. All shards
/// of a pipeline share the metrics; ShardMetrics exports what a shard is. Threads: any.
class ShardTelemetry {
 public:
  using Duration = Executor::Duration;
  /// Steps of a cut: the fold is frozen on the shard's thread; changes are written to the local
  /// state; new files and the manifest are uploaded; the control log takes the commit.
  enum CutPhase { kFreeze, kWrite, kUpload, kCommit };

  ShardTelemetry(MetricRegistry* registry, const ShardId& shard);

  void CutPhaseTook(CutPhase phase, Duration took) { Observe(cut_phases_[phase], took); }
  void CutCommitted(size_t uploaded_bytes, Micros now);
  void CutFailed() { cut_errors_->Add(); }

  void Restored(Duration took) { Observe(restore_, took); }
  /// Records that were read and that the log does not have any more, at most.
  void LostRecords(int64_t n) { lost_->Add(static_cast<double>(n)); }
  void FellBack() { fallbacks_->Add(); }
  void BecameOwner() { became_owners_->Add(); }
  void Replayed(size_t records) { replayed_->Add(static_cast<double>(records)); }

  void SinkApplied(Output output, int64_t rows, Duration took);
  void SinkFailed(Output output) { sinks_[static_cast<size_t>(output)].errors->Add(); }

  /// When result rows became readable, once for each of their causes and windows.
  struct Moment {
    Micros caused_at;  ///< append time of the record that caused them
    Micros window_end;
    friend bool operator==(const Moment&, const Moment&) = default;
  };
  /// The distinct ones among neighbours.
  static std::vector<Moment> MomentsOf(const std::vector<OutputRow>& rows);
  void Readable(const std::vector<Moment>& moments, Micros now);

 private:
  struct Sink {
    Counter* rows = nullptr;
    Counter* errors = nullptr;
    Histogram* duration = nullptr;
  };

  static void Observe(Histogram* histogram, Duration took);

  std::array<Histogram*, kCommit + 1> cut_phases_;
  Counter* cut_bytes_;
  Counter* cut_errors_;
  Gauge* last_cut_;
  Histogram* restore_;
  Counter* fallbacks_;
  Counter* became_owners_;
  Counter* lost_;
  Counter* replayed_;
  std::array<Sink, kOutputs + 1> sinks_;
  Histogram* emit_delay_;
  Histogram* latency_;
};

}  // namespace millrace::runtime
