#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "millrace/control/control_log.h"
#include "millrace/runtime/shard_host.h"

namespace millrace::runtime {

/// Which of `executors` runs the shards of a partition. The partitions of a topic take them in
/// turn, and topics begin at different ones, so that many streams of one partition leave none idle.
size_t ExecutorOf(const std::string& topic, PartitionId partition, size_t executors);

/// The worker of a process: compares what the control log says that it owns with what its hosts
/// run, and makes them run that and no more.
///
/// Errors: it has none of its own. A shard that cannot run says so in ListShards.
/// Threads: the control executor, but for what shards ask (ControlClient), which they call from
/// theirs.
class Worker : public control::ControlClient {
 public:
  struct Wiring {
    control::Process self;  ///< as Assign records have it
    Ports ports;
    Options options;
    Executor* control;
    std::vector<Executor*> shards;  ///< for ExecutorOf to choose from; a host on each
    /// The pipeline has its tables: its shards can be opened.
    std::function<bool(const Incarnation&)> served;
    /// Asks the leader for an epoch above this one. kConflict: it is not known here who leads.
    std::function<Task<Status>(ShardId, Epoch)> new_epoch;
  };

  /// `control` outlives it.
  Worker(Wiring wiring, control::ControlLog* control);

  /// Starts the hosts, once, and follows the fold until Drain().
  void Start();
  /// Cuts every shard and stops.
  Task<> Drain();
  /// Stops the shards that the fold gives to another worker or to nobody. Ends when none of them
  /// reads any more.
  Task<> StopLost();

  /// What WorkerLink says of these.
  Task<Result<std::vector<ShardInfo>>> ListShards();
  Task<Result<std::vector<ProducerInfo>>> FindProducers(std::string name_space, std::string stream,
                                                        Principal principal, std::string prefix);
  Task<Status> WaitApplied(ShardId shard, Offset offset, Executor::Duration deadline,
                           Operations::Left left);

  Task<Result<Committed>> WriteCommit(control::Commit commit) override;
  Task<Status> RequestEpoch(ShardId shard, Epoch epoch) override;
  Task<Result<control::ShardState>> ReadShard(ShardId shard) override;

 private:
  struct Owned {
    Epoch epoch;
    size_t host = 0;  ///< index into hosts_ and Wiring::shards
  };

  Task<> Follow();
  void DisownLost();
  bool RunOwned();
  bool IsMine(const control::ShardState& shard) const;
  Task<Result<Committed>> WriteCommitHere(control::Commit commit);
  Task<Status> RequestEpochHere(ShardId shard, Epoch epoch);
  Task<Result<control::ShardState>> ReadShardHere(ShardId shard);

  const Wiring wiring_;
  control::ControlLog& control_;
  std::vector<std::unique_ptr<ShardHost>> hosts_;
  std::map<ShardId, Owned> owned_;
  Event owned_changed_;
  bool stopped_ = false;
};

}  // namespace millrace::runtime
