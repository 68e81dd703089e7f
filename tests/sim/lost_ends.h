#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "sim/fleet.h"

namespace millrace::sim {

/// Partitions of stream `s` that lose their newest records, which the log never gives back, and
/// what may count wrongly for it. Whoever folded such a record holds what no fold of the log comes
/// to.
class LostEnds {
 public:
  LostEnds(SimWorld* world, Cluster* cluster, Fleet* fleet)
      : world_(world), cluster_(cluster), fleet_(fleet) {}

  /// The newest records of the partition are gone, and the next ones take their offsets.
  void LoseEnd(const StreamSpec& stream, PartitionId partition);
  /// All records of the stream are gone, as if its topic was made anew.
  void LoseAll(const StreamSpec& stream);

  bool any() const { return !lowest_.empty(); }
  /// The partition lost records at some time.
  bool lost(PartitionId partition) const { return lowest_.contains(partition); }
  /// The shard goes on in another log than it has folded.
  bool GoesOnElsewhere(const ShardId& shard);
  bool GoesOnElsewhere(const Incarnation& view);

  /// Events that a view may lack, and that it may hold twice, at most: what the log lost, and what
  /// the skips that went on elsewhere name.
  struct Bounds {
    int64_t lacks = 0;
    int64_t twice = 0;
  };
  Bounds Of(const Incarnation& view, const StreamSpec& stream);

 private:
  struct SkipMade {
    Offset from;
    Offset to;
    bool pinned = false;
  };
  std::vector<SkipMade> Skips(const ShardId& shard);
  void Lose(const StreamSpec& stream, PartitionId partition, Offset end);

  SimWorld* const world_;
  Cluster* const cluster_;
  Fleet* const fleet_;
  std::map<PartitionId, Offset> lowest_;  ///< place from which on it ever lost its records
  int64_t events_ = 0;                    ///< in all records that were lost
};

}  // namespace millrace::sim
