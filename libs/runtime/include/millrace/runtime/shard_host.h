#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "millrace/base/log.h"
#include "millrace/control/control_client.h"
#include "millrace/operations/operations.h"
#include "millrace/runtime/partition_runner.h"
#include "millrace/runtime/ports.h"
#include "millrace/runtime/shard.h"
#include "millrace/runtime/shard_metrics.h"
#include "millrace/runtime/worker_link.h"

namespace millrace::runtime {

/// What the control log says a shard of this host is.
struct Ownership {
  ShardId shard;
  StreamSpec stream;
  control::PipelineState pipeline;
  control::ShardState state;
};

/// The shards of one executor: opens what it is told to own, runs it until it is told otherwise,
/// cuts when due.
///
/// Threads: one executor; every method is called on it.
class ShardHost {
 public:
  /// Options::opening_shards: of this host.
  ShardHost(Ports ports, Options options, control::ControlClient* control);

  /// Spawns the housekeeping on the calling executor.
  void Start();
  /// Runs the shard with the epoch of `ownership`, in place of an older epoch of it.
  void Own(Ownership ownership);
  /// Follows the shard of another worker until Own() or Disown().
  void Follow(Ownership ownership);
  void Disown(const ShardId& shard);
  /// The shards of a paused view stay open, and what they made goes out, but they read nothing. A
  /// follower reads on.
  void SetPaused(const Incarnation& view, bool paused);
  /// Cuts every shard, some at a time, and they run on: who takes them over has less to read.
  void CutAll();
  /// Cuts every shard, some at a time, and stops all; after `patience` it stops them as they are,
  /// and the next start reads on from an older cut. For SIGTERM.
  Task<> Drain(Executor::Duration patience);

  /// Tries again at once to open what could not be opened.
  void OpenAgain() { open_again_.Notify(); }
  std::vector<ShardReport> Report() const;
  /// Of the shards that read the stream, at most operations::Operations::kMostProducers each.
  std::vector<operations::ProducerInfo> FindProducers(const std::string& name_space,
                                                      const std::string& stream,
                                                      const Principal& principal,
                                                      const std::string& prefix) const;
  std::shared_ptr<Shard> Find(const ShardId& shard) const;
  /// Waits until the shard's serving sinks hold all that the records below `offset` made.
  /// kUnavailable: it does not run, or has not come so far by `deadline` (monotonic).
  Task<Status> WaitApplied(ShardId shard, Offset offset, Executor::Duration deadline,
                           operations::Operations::Left left);

 private:
  struct Slot {
    Ownership ownership;
    std::shared_ptr<Shard> shard;
    /// Raised by each Own and Disown; a task of an older number ends.
    int64_t generation = 0;
    std::unique_ptr<ShardMetrics> metrics;  ///< of an owner
    std::string open_failure;               ///< of the last try, until one succeeds
    /// The place, below the log's start, for which it was last opened from a checkpoint ahead.
    std::optional<Offset> opened_ahead_of;
  };

  Task<Status> OpenInTurn(std::shared_ptr<Shard> shard, const Ownership& ownership,
                          int64_t generation, bool follow);
  Task<> RunShard(ShardId id, int64_t generation);
  Task<> FollowShard(ShardId id, int64_t generation);
  Task<std::shared_ptr<Shard>> OwnFollower(ShardId id);
  std::shared_ptr<Shard> NewShard(const Ownership& ownership);
  void AttachUnlessPaused(const std::shared_ptr<Shard>& shard);
  void Detach(const std::shared_ptr<Shard>& shard);
  bool Current(const ShardId& id, int64_t generation) const;
  Task<> CutShards();
  Task<> DrainShards();
  Task<Status> DrainShard(std::shared_ptr<Shard> shard);
  /// Stops the shard; what it leaves behind is removed when its tasks have let go of it.
  void Close(std::shared_ptr<Shard> shard);
  Task<> RemoveState(std::string local_name, std::weak_ptr<Shard> shard);
  Task<> RecordHalt(std::shared_ptr<Shard> shard, int64_t generation);
  Task<> AskForEpoch(ShardId id, Epoch epoch, int64_t generation);
  void DropIdleRunner(const StreamSpec& stream, PartitionId partition);
  bool IsLevel(const Shard& shard) const;
  Offset EndSeen(const StreamSpec& stream, PartitionId partition) const;
  PartitionRunner& RunnerOf(const StreamSpec& stream, PartitionId partition);
  Task<> MetricsLoop();
  Task<> HaltIfOwner(std::shared_ptr<Shard> shard, int64_t generation);
  Task<Status> ServeShard(std::shared_ptr<Shard> shard, ShardId id, int64_t generation);

  const Ports ports_;
  const Options options_;
  control::ControlClient* control_;
  std::map<ShardId, Slot> slots_;
  std::set<Incarnation> paused_;
  std::map<std::pair<std::string, PartitionId>, std::shared_ptr<PartitionRunner>> runners_;
  LogRateLimit open_failures_{10};
  Event open_again_;
  int64_t generations_ = 0;
  int64_t openings_ = 0;
  size_t opening_ = 0;  ///< shards that open now
  std::deque<Completion<bool>> opening_next_;
  bool drained_ = false;
  Event drain_ended_;
  bool stopped_ = false;
};

}  // namespace millrace::runtime
