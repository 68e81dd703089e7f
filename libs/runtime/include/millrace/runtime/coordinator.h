#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "millrace/control/control_writer.h"
#include "millrace/operations/operations.h"
#include "millrace/runtime/balancer.h"
#include "millrace/runtime/definitions.h"
#include "millrace/runtime/housekeeping.h"
#include "millrace/runtime/leadership.h"
#include "millrace/runtime/log_keeper.h"
#include "millrace/runtime/result_reader.h"
#include "millrace/runtime/retention.h"
#include "millrace/runtime/worker_desk.h"

namespace millrace::runtime {

/// One thing that must hold before results flow.
struct Condition {
  std::string name;
  std::string trouble;  ///< empty: it holds. Else since when it does not, why, and what to do
};

/// The coordinator of a process. Every one follows the fold, knows the workers, and answers what
/// operators and dashboards ask. The one that leads also has what is defined made, and shards
/// assigned.
///
/// Threads: the control executor.
class Coordinator : public operations::Operations {
 public:
  struct Wiring {
    control::Process self;
    Ports ports;
    Options options;
    /// As in Definitions.
    std::function<Task<>()> stop_appending;
    std::function<Task<>()> stop_lost;
    /// Whether the stores belong to this cluster, asked before anything is written to them. An
    /// error ends the attempt to lead with it. Null: they do.
    std::function<Task<Status>(std::string cluster)> own_stores = nullptr;
    uint64_t predecessor = 0;  ///< as in Leadership
  };

  /// Both ends of the control log outlive it.
  Coordinator(Wiring wiring, control::ControlReader* control, control::ControlWriter* writer);

  /// Waits for its turn to lead, claims, assigns, and goes on with what the fold says until Stop().
  /// While it waits it answers already, and if another one leads later it waits again by itself.
  /// kUnavailable: call it again. Also the errors of `own_stores`.
  Task<Status> Start();
  void Stop();
  /// The last word of a leader.
  Task<> Leave() { return leadership_.Leave(); }

  Task<Result<operations::ApplyReport>> Apply(std::string sql, bool may_drop) override;
  Task<Result<std::vector<operations::StreamInfo>>> ListStreams() override;
  Task<Result<operations::StreamInfo>> DescribeStream(std::string name_space,
                                                      std::string name) override;
  Task<Result<std::vector<operations::ProducerInfo>>> ListProducers(std::string name_space,
                                                                    std::string stream,
                                                                    Principal principal,
                                                                    std::string prefix) override;
  Task<Status> AdvanceStream(std::string name_space, std::string name, Micros to) override;
  Task<Result<std::vector<operations::PipelineInfo>>> ListPipelines() override;
  Task<Result<operations::PipelineInfo>> DescribePipeline(std::string name_space,
                                                          std::string name) override;
  Task<Status> DropPipeline(std::string name_space, std::string name) override;
  Task<Status> Set(operations::Setting setting) override;
  Task<Result<std::vector<operations::Setting>>> ListSettings() override;
  Task<Result<std::vector<operations::ShardInfo>>> ListShards() override;
  Task<Status> ReleaseShard(ShardId shard) override;
  Task<Result<operations::SkipReport>> SkipShard(ShardId shard, Offset to,
                                                 std::string reason) override;
  Task<Status> RetryShard(ShardId shard) override;
  Task<Status> WaitApplied(std::string name_space, std::string name, Left left = nullptr) override;
  Task<Result<std::shared_ptr<RowCursor>>> OpenQuery(ServingQuery query) override;

  /// What must hold before results flow: the control log is followed, every pipeline has its
  /// tables, no worker is in trouble, every shard runs and nothing of it fails.
  Task<std::vector<Condition>> Conditions();
  bool leads() const { return leadership_.leads(); }
  /// Where the links of workers end.
  WorkerDesk& desk() { return desk_; }

 private:
  Task<Status> Lead();
  Task<Status> OwnStores();
  Task<> LeadAgain();
  Task<> Follow();
  Task<Status> FollowOnce();
  Task<> MetricsLoop();
  Task<Result<operations::StreamInfo>> Describe(StreamSpec spec);
  Task<Result<operations::ShardInfo>> FindHalted(ShardId id);

  const Wiring wiring_;
  control::ControlReader& control_;
  Leadership leadership_;
  WorkerDesk desk_;
  Definitions definitions_;
  Balancer balancer_;
  LogKeeper keeper_;
  Housekeeping housekeeping_;
  Retention retention_;
  ResultReader results_;
  control::ChangeFeed changes_;
  bool follows_ = false;
  bool stopped_ = false;
};

}  // namespace millrace::runtime
