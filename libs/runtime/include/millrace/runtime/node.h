#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "millrace/control/control_log.h"
#include "millrace/runtime/housekeeping.h"
#include "millrace/runtime/operations.h"
#include "millrace/runtime/worker.h"

namespace millrace::runtime {

/// One process that leads and works: claims the leadership, assigns every shard to itself and keeps
/// its workers as the control log says. Several nodes would differ only in who is told what.
///
/// Threads: the control executor, but for WriteCommit and ReadShard, which shards call from theirs.
class Node : public Operations, public control::ControlClient {
 public:
  struct Wiring {
    std::string name;  ///< of this process, in Claim and Assign records
    Ports ports;
    Options options;
    Executor* control;
    std::vector<Executor*> shards;  ///< partition p runs on shards[p % size]
    std::function<void(const StreamSpec&)>
        on_stream;  ///< called on `control` for every stream, at least once
  };

  explicit Node(Wiring wiring);
  ~Node() override;

  /// Folds the control log, claims, assigns, starts the workers. On the control executor.
  /// kUnavailable: call it again.
  Task<Status> Start();
  /// Cuts every shard and stops. On the control executor.
  Task<> Drain();

  Task<Result<std::vector<AppliedStatement>>> Apply(std::string sql) override;
  Task<Result<std::vector<StreamInfo>>> ListStreams() override;
  Task<Status> AdvanceStream(std::string name_space, std::string name, Micros to) override;
  Task<Result<std::vector<PipelineInfo>>> ListPipelines() override;
  Task<Status> DropPipeline(std::string name_space, std::string name) override;
  Task<Result<std::vector<ShardInfo>>> ListShards() override;
  Task<Status> SkipShard(ShardId shard, Offset to, std::string reason) override;
  Task<Status> WaitApplied(std::string name_space, std::string name, Left left = nullptr) override;
  Task<Result<std::shared_ptr<RowCursor>>> OpenQuery(ServingQuery query) override;

  Task<Result<Committed>> WriteCommit(control::Commit commit) override;
  Task<Result<control::ShardState>> ReadShard(ShardId shard) override;

 private:
  /// Tables to define or a drop to finish, after a try that failed.
  struct PutOff {
    Executor::Duration until{0};
    Executor::Duration delay{0};
  };

  Task<Result<Committed>> WriteCommitHere(control::Commit commit);
  Task<Result<control::ShardState>> ReadShardHere(ShardId shard);
  Task<Result<AppliedStatement>> ApplyStream(StreamSpec spec);
  Task<Result<AppliedStatement>> ApplyPipeline(PipelineSpec spec);
  Task<Result<std::vector<Offset>>> StartOffsets(PipelineSpec spec, StreamSpec stream);
  Task<Status> WriteValid(control::Record record, std::string what);
  Task<> ReconcileLoop();
  Task<> MetricsLoop();
  Task<Status> Reconcile();
  bool IsPutOff(const Incarnation& incarnation) const;
  void NoteTry(const Incarnation& incarnation, const Status& status, const std::string& failure);
  Executor::Duration UntilNextTry() const;
  void SnapshotIfDue();
  Task<> WriteSnapshot();
  Task<Status> DefineServing(Incarnation incarnation);
  Task<Status> FinishDrop(Incarnation incarnation);
  Task<Result<int64_t>> LastFileSeq(ShardId shard);
  Executor& ExecutorOf(PartitionId partition);
  Worker& WorkerOf(PartitionId partition);
  std::string RequestId();

  Wiring wiring_;
  control::ControlLog control_;
  Housekeeping housekeeping_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::map<ShardId, Epoch> owned_;
  std::set<Incarnation> served_;
  std::set<Incarnation> dropped_;  ///< whose drop is finished
  std::map<Incarnation, PutOff> put_off_;
  std::set<std::pair<std::string, std::string>> announced_;
  bool following_ = false;
  bool snapshotting_ = false;
  Executor::Duration snapshot_not_before_{0};
  bool stopped_ = false;
};

}  // namespace millrace::runtime
