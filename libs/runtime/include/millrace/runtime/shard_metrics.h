#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/metrics/metrics.h"
#include "millrace/runtime/shard.h"

namespace millrace::runtime {

/// Exports one shard as metrics (docs/metrics.md): the ledger first. One executor.
class ShardMetrics {
 public:
  ShardMetrics(MetricRegistry* registry, const ShardId& shard, const std::string& stream);

  /// `paused`: an operator has paused its view. `now` is the wall clock's.
  void Export(const Shard& shard, bool paused, Offset log_end, Micros now);
  /// The shard is no longer here: nothing of it is open, behind or halted.
  void Clear();

 private:
  struct Counted {
    Counter* counter = nullptr;
    Gauge* gauge = nullptr;
    int64_t exported = 0;
  };

  /// A series without a value is not there: 0 would be a time.
  void SetTime(std::string_view name, std::string_view help, Micros time);

  MetricRegistry* registry_;
  MetricLabels labels_;
  std::vector<Counted> ledger_;  ///< in the order of Ledger::Counters
  Counted skipped_;
  std::weak_ptr<const Shard> opening_;  ///< the shard that was exported last
  Gauge* open_windows_;
  Gauge* state_bytes_;
  Gauge* lag_records_;
  Gauge* lag_seconds_;
  Gauge* append_ahead_;
  Micros level_at_ = 0;  ///< when the shard was last seen to have read everything; 0: never
  Gauge* halted_;
  Gauge* paused_;
  std::map<std::string_view, Gauge*> failing_;
  Gauge* last_cut_;
  std::map<Output, Gauge*> outbox_rows_;
};

}  // namespace millrace::runtime
