#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "millrace/control/control_client.h"
#include "millrace/control/control_writer.h"
#include "millrace/runtime/shard_host.h"
#include "millrace/runtime/worker_link.h"

namespace millrace::runtime {

/// Which of `executors` runs the shards of a partition. The partitions of a topic take them in
/// turn, and topics begin at different ones, so that many streams of one partition leave none idle.
size_t ExecutorOf(const std::string& topic, PartitionId partition, size_t executors);

/// The worker of a process: compares what the control log says that it owns with what its hosts
/// run, and makes them run that and no more. It tells every coordinator what runs, and does what
/// the one wishes that leads in its own fold.
///
/// Errors: it has none of its own. A shard that cannot run says so in the reports.
/// Threads: the control executor, but for what shards ask (ControlClient), which they call from
/// theirs.
class Worker : public control::ControlClient, public WorkerQuestions {
 public:
  struct Wiring {
    control::Process self;  ///< as Assign records have it
    Ports ports;
    Options options;
    Executor* control;
    std::vector<Executor*> shards;          ///< for ExecutorOf to choose from; a host on each
    std::vector<WorkerLink*> coordinators;  ///< a link to each
    uint64_t predecessor = 0;               ///< as in Hello
    int64_t memory = 0;
    bool standby = false;
  };

  /// Both ends of the control log outlive it.
  Worker(Wiring wiring, control::ControlReader* control, control::ControlWriter* writer);

  /// Starts the hosts and opens the links, once, and follows the fold until Drain().
  void Start();
  /// Lets other workers follow its shards and own them, where there may be any, until it owns
  /// nothing or Options::drain_deadline has passed. Then cuts what is left and stops. The
  /// coordinators hear its last word.
  Task<> Drain();
  /// Stops the shards that the fold gives to another worker or to nobody. Ends when none of them
  /// reads any more.
  Task<> StopLost();

  Task<Result<Report>> ReportNow() override;
  Task<Result<std::vector<operations::ProducerInfo>>> FindProducers(std::string name_space,
                                                                    std::string stream,
                                                                    Principal principal,
                                                                    std::string prefix) override;
  Task<Status> WaitApplied(ShardId shard, Offset offset, Executor::Duration patience,
                           operations::Operations::Left left) override;
  void Wake() override;

  Task<Result<Committed>> WriteCommit(control::Commit commit) override;
  Task<Result<control::Verdict>> WriteHalt(control::Halt halt) override;
  Task<Status> RequestEpoch(ShardId shard, Epoch epoch) override;
  Task<Result<control::ShardState>> ReadShard(ShardId shard) override;

 private:
  struct Owned {
    Epoch epoch;
    size_t host = 0;  ///< index into hosts_ and Wiring::shards
  };

  /// What a host said last, as one that is busy does not say anything for a while.
  struct Said {
    std::vector<ShardReport> shards;
    int asked = 0;  ///< questions under way
  };

  Task<> Follow();
  Ownership OwnershipOf(const ShardId& id) const;
  void FollowWished();
  Task<> Obey(Answer answer);
  void FollowFold();
  void Compare(const ShardId& id);
  void ComparePause(const Incarnation& view);
  Task<> ReportTo(WorkerLink* link);
  Task<Status> AskHost(size_t host);
  Hello Describe() const;
  void Tell();
  Task<> MoveAway();
  bool OwnsAny() const;
  bool IsMine(const control::ShardState& shard) const;
  Task<Result<Committed>> WriteCommitHere(control::Commit commit);
  Task<Status> RequestEpochHere(ShardId shard, Epoch epoch);
  Task<Result<control::ShardState>> ReadShardHere(ShardId shard);

  const Wiring wiring_;
  control::ControlReader& control_;
  control::ControlWriter& writer_;
  control::ChangeFeed changes_;
  std::vector<std::unique_ptr<ShardHost>> hosts_;
  std::map<ShardId, Owned> owned_;
  std::set<Incarnation> paused_;        ///< views, as the hosts know
  std::set<ShardId> wished_;            ///< by the leader, to be followed
  std::map<ShardId, size_t> followed_;  ///< by which host
  std::vector<Said> said_;              ///< by host
  int64_t told_ = 0;                    ///< raised by each Tell()
  /// By link that stands, the number under which that coordinator leads; 0: it does not lead.
  std::map<const WorkerLink*, int64_t> leaders_;
  Event tell_;
  Event owned_changed_;
  bool draining_ = false;
  bool stopped_ = false;
};

}  // namespace millrace::runtime
