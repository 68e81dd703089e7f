#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/process.h"

namespace millrace::sim {

/// One process over stores that survive it, in a simulated world. It is killed and started again
/// at the test's will.
class Cluster : public Bodies {
 public:
  Cluster(SimWorld* world, Faults faults, runtime::Options options,
          InMemoryLog::Options log_options = {});
  ~Cluster() { KillNode(); }
  Cluster(const Cluster&) = delete;

  /// Starts a process of all roles. Its Start() runs in the background; failures() tells what
  /// went wrong.
  void StartNode();
  void KillNode();
  /// The control log has lost its first records: who starts now begins with a snapshot.
  bool control_log_trimmed();
  /// What all of the control log says, also what was trimmed.
  struct ControlSeen {
    struct Entry {
      Offset offset;
      control::Record record;
      control::Verdict verdict;
    };
    control::Fold fold;
    std::vector<Entry> records;
  };
  const ControlSeen& ReadControlLog();
  /// The stream of this name that the control log has now, with its generation.
  StreamSpec StreamNow(const std::string& name);
  bool node_alive() const { return node_ != nullptr && node_->alive(); }
  runtime::Coordinator& coordinator() { return node_->coordinator(); }
  runtime::AllRoles& roles() { return node_->roles(); }
  ingest::Gateway& gateway() { return node_->gateway(); }
  SimExecutor& process() { return node_->executor(); }
  const NamedStates& states() const { return node_->states(); }
  DamagedLog& damaged_log() { return damaged; }
  /// The node's ways to the stores, the same for each of its lives.
  FaultyLog& faulty_log() { return links_.log; }
  FaultyObjectStore& faulty_objects() { return links_.objects; }
  FaultyServingStore& faulty_serving() { return links_.serving; }
  Network& network() { return network_; }

  /// Runs a task on the node's process, once it has started, to its end; nullopt if the process
  /// died or `limit` passed.
  template <typename T>
  std::optional<T> Call(Task<T> task, Executor::Duration limit);
  /// The same on any process.
  template <typename T>
  std::optional<T> On(SimExecutor* process, Task<T> task, Executor::Duration limit);
  /// Runs a task on a process of its own that never dies.
  template <typename T>
  T Outside(Task<T> task);

  Faults faults;

 private:
  SimWorld* world_;
  runtime::Options options_;
  ControlSeen control_;
  SimExecutor* outside_;
  Links links_;
  Network network_;
  std::unique_ptr<Process> node_;
};

/// What a fold of the whole log, alone and in one go, puts out: what every history of crashes must
/// come to.
struct Expected {
  std::vector<OutputRow> rows;
  std::map<int64_t, uint64_t> file_hashes;  ///< in the names of files, by their last rows
  window::Ledger ledger;
  std::map<Offset, LastRows> made;  ///< behind each record
  int64_t left_out = 0;             ///< events in records that a skip passed over
};
/// From the view's start on, past what the control log says was skipped. Every skip is a forward
/// one.
Expected FoldWholeLog(Cluster* cluster, const StreamSpec& stream, const PipelineSpec& pipeline,
                      const ShardId& shard);

/// Events in the records that the log has in a partition from an offset on, and below `to`.
int64_t EventsIn(Cluster* cluster, const StreamSpec& stream, PartitionId partition, Offset from,
                 Offset to = Offset(std::numeric_limits<int64_t>::max()));

/// Of shards.
using Folds = std::map<ShardId, Expected>;

/// Names what differs between the cluster's stores and the expected output of all partitions;
/// empty: nothing. Keeps the folds of its shards in `folds`.
std::string Differences(Cluster* cluster, const StreamSpec& stream, const Incarnation& incarnation,
                        const PipelineSpec& pipeline, Folds* folds = nullptr);

template <typename T>
std::optional<T> Cluster::Call(Task<T> task, Executor::Duration limit) {
  world_->RunUntil([&] { return !node_alive() || node_->started(); }, limit);
  if (!node_alive()) return std::nullopt;
  return On(&node_->executor(), std::move(task), limit);
}

template <typename T>
std::optional<T> Cluster::On(SimExecutor* process, Task<T> task, Executor::Duration limit) {
  auto value = std::make_shared<std::optional<T>>();
  process->Spawn([](Task<T> inner, std::shared_ptr<std::optional<T>> out) -> Task<void> {
    T v = co_await std::move(inner);
    out->emplace(std::move(v));
  }(std::move(task), value));
  world_->RunUntil([&] { return value->has_value() || !process->alive(); }, limit);
  return std::move(*value);
}

template <typename T>
T Cluster::Outside(Task<T> task) {
  auto value = std::make_shared<std::optional<T>>();
  outside_->Spawn([](Task<T> inner, std::shared_ptr<std::optional<T>> out) -> Task<void> {
    T v = co_await std::move(inner);
    out->emplace(std::move(v));
  }(std::move(task), value));
  MILLRACE_CHECK(world_->RunUntil([&] { return value->has_value(); }, std::chrono::hours(1)),
                 "a task never ended");
  return std::move(**value);
}

}  // namespace millrace::sim
