#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "millrace/control/control_log.h"
#include "millrace/runtime/housekeeping.h"
#include "millrace/runtime/leadership.h"
#include "millrace/runtime/operations.h"
#include "millrace/runtime/turns.h"
#include "millrace/runtime/worker.h"
#include "millrace/sql/planner.h"

namespace millrace::runtime {

/// Which of `executors` runs the shards of a partition. The partitions of a topic take them in
/// turn, and topics begin at different ones, so that many streams of one partition leave none idle.
size_t ExecutorOf(const std::string& topic, PartitionId partition, size_t executors);

/// One process that leads and works: claims the leadership, assigns every shard to itself and keeps
/// its workers as the control log says. Several nodes would differ only in who is told what.
///
/// Threads: the control executor, but for what shards ask (ControlClient), which they call from
/// theirs.
class Node : public Operations, public control::ControlClient {
 public:
  struct Wiring {
    std::string name;  ///< of this process, in Claim and Assign records
    Ports ports;
    Options options;
    Executor* control;
    std::vector<Executor*> shards;  ///< for ExecutorOf to choose from
    std::function<void(const StreamSpec&)>
        on_stream;  ///< called on `control` for every stream, at least once
    /// Ends when no gateway of this process appends to the stream any more.
    std::function<Task<>(StreamSpec)> on_stream_dropped;
  };

  explicit Node(Wiring wiring);
  ~Node() override;

  /// Folds the control log, claims, assigns, starts the workers. On the control executor.
  /// kUnavailable: call it again.
  Task<Status> Start();
  /// Cuts every shard and stops. On the control executor.
  Task<> Drain();

  Task<Result<ApplyReport>> Apply(std::string sql, bool may_drop) override;
  Task<Result<std::vector<StreamInfo>>> ListStreams() override;
  Task<Result<std::vector<ProducerInfo>>> ListProducers(std::string name_space, std::string stream,
                                                        Principal principal,
                                                        std::string prefix) override;
  Task<Status> AdvanceStream(std::string name_space, std::string name, Micros to) override;
  Task<Result<std::vector<PipelineInfo>>> ListPipelines() override;
  Task<Status> DropPipeline(std::string name_space, std::string name) override;
  Task<Result<std::vector<ShardInfo>>> ListShards() override;
  Task<Status> SkipShard(ShardId shard, Offset to, std::string reason) override;
  Task<Status> WaitApplied(std::string name_space, std::string name, Left left = nullptr) override;
  Task<Result<std::shared_ptr<RowCursor>>> OpenQuery(ServingQuery query) override;

  /// What must hold before results flow: the control log is followed, every pipeline has its
  /// tables, every shard runs and nothing of it fails. On the control executor.
  Task<std::vector<Condition>> Conditions();

  Task<Result<Committed>> WriteCommit(control::Commit commit) override;
  Task<Status> RequestEpoch(ShardId shard, Epoch epoch) override;
  Task<Result<control::ShardState>> ReadShard(ShardId shard) override;

 private:
  /// Tables to define or a drop to finish, after a try that failed, by what it is about.
  struct PutOff {
    Executor::Duration until{0};
    Executor::Duration delay{0};
  };

  Task<Result<Committed>> WriteCommitHere(control::Commit commit);
  Task<Status> RequestEpochHere(ShardId shard, Epoch epoch);
  Task<Result<control::ShardState>> ReadShardHere(ShardId shard);
  Task<Result<AppliedStatement>> ApplyStatement(Statement statement);
  Task<Result<AppliedStatement>> ApplyStream(StreamSpec spec);
  Task<Result<AppliedStatement>> ApplyPipeline(PipelineSpec spec);
  Task<Result<AppliedStatement>> ApplyDrop(DropStatement drop);
  Task<Status> DropStream(std::string name_space, std::string name);
  Task<Result<std::vector<Offset>>> StartOffsets(PipelineSpec spec, StreamSpec stream);
  Task<> ReconcileLoop();
  Task<> MetricsLoop();
  Task<Status> Reconcile();
  Task<Status> AnnounceStreams();
  Task<Status> Announce(StreamSpec stream);
  Task<> RemoveDroppedTopics();
  Task<> DisownLost();
  bool IsMine(const control::ShardState& shard) const;
  /// How put_off_ and troubles_ call the tables of a pipeline.
  static std::string TablesOf(const Incarnation& incarnation);
  bool IsPutOff(const std::string& what) const;
  void NoteTry(const std::string& what, const Status& status, const std::string& advice);
  Executor::Duration UntilNextTry() const;
  void SnapshotIfDue();
  Task<> WriteSnapshot();
  Task<Status> DefineServing(Incarnation incarnation);
  /// What FinishDrop and DefineServing say is noted, to be tried again if they failed.
  Task<Status> TryDrop(Incarnation incarnation);
  Task<Status> TryDefine(Incarnation incarnation);
  Task<Status> FinishDrop(Incarnation incarnation);
  Task<Status> FinishStreamDrop(Offset generation);
  Task<Result<int64_t>> LastFileSeq(ShardId shard);
  Task<Status> AssignUnowned(control::Assign assign);

  Wiring wiring_;
  const control::Process self_;
  control::ControlLog control_;
  Leadership leadership_;
  Housekeeping housekeeping_;
  std::vector<std::unique_ptr<Worker>> workers_;
  struct Owned {
    Epoch epoch;
    size_t worker = 0;  ///< index into workers_ and wiring_.shards
  };
  std::map<ShardId, Owned> owned_;
  int64_t reconciled_ = -1;  ///< ControlLog::ownership_changes() that were seen to
  std::set<Incarnation> served_;
  std::set<Incarnation> dropped_;    ///< whose drop is finished
  std::set<Offset> removed_topics_;  ///< of dropped streams, by generation
  std::map<std::string, PutOff> put_off_;
  Troubles troubles_{"coordinator"};
  std::map<Offset, StreamSpec> announced_;  ///< streams that gateways were told of, by generation
  /// A table and its views are made and dropped in turn, so is a topic: a step that was decided
  /// before a drop must not take effect after it.
  Turns turns_;
  bool following_ = false;
  bool snapshotting_ = false;
  Executor::Duration snapshot_not_before_{0};
  bool stopped_ = false;
};

}  // namespace millrace::runtime
