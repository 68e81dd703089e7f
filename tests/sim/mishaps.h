#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/fleet.h"
#include "sim/lost_ends.h"

namespace millrace::sim {

/// What goes wrong with the data of a cluster, and what an operator does about it: records that
/// cannot be read, shards that are skipped or tried again, views that are dropped and defined
/// again.
class Mishaps {
 public:
  Mishaps(SimWorld* world, Cluster* cluster, Fleet* fleet, std::string sql)
      : world_(world),
        cluster_(cluster),
        fleet_(fleet),
        sql_(std::move(sql)),
        lost_(world, cluster, fleet) {}

  /// One of the newest records of some partition, or the next one, cannot be read any more.
  void DamageRecord();
  /// Some partition loses its newest records for good, or all partitions lose everything.
  void LoseRecords(bool all);
  /// The view goes, and comes back some time later.
  void Drop(const std::string& view);
  /// What an operator does now and then: call it often.
  void Operate();
  /// At the end: every record can be read again, and every view is defined.
  void Heal();
  /// Nothing waits for the operator.
  bool settled() const { return !define_at_ && !halted_; }

  /// A shard on this partition may have met a record that it cannot read.
  bool damaged(PartitionId partition) const { return damaged_.contains(partition); }
  LostEnds& lost() { return lost_; }

 private:
  template <typename T, typename F>
  std::optional<T> Ask(F&& ask);
  void Decide(const ShardId& shard, const control::HaltState& halt);

  SimWorld* const world_;
  Cluster* const cluster_;
  Fleet* const fleet_;
  const std::string sql_;
  LostEnds lost_;
  /// By partition. True: nobody has read the record yet.
  std::map<PartitionId, bool> damaged_;
  std::optional<Executor::Duration> define_at_;
  Executor::Duration look_at_{0};
  bool halted_ = false;
};

}  // namespace millrace::sim
