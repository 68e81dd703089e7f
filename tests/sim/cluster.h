#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "millrace/block_arrow/arrow_block_codec.h"
#include "millrace/ingest/gateway.h"
#include "millrace/log/in_memory_log.h"
#include "millrace/objectstore/in_memory_object_store.h"
#include "millrace/record_simdjson/json_record_parser.h"
#include "millrace/runtime/all_roles.h"
#include "millrace/serving/in_memory_serving_store.h"
#include "millrace/state/in_memory_state.h"
#include "sim/faulty.h"
#include "sim/sim_world.h"

namespace millrace::sim {

/// Result files as the row encoding, so that a test reads back exactly what was written.
class RowFiles : public ResultFileWriter {
 public:
  Task<Result<Buffer>> Encode(const std::vector<OutputColumn>& columns,
                              std::shared_ptr<FileRows> rows) override;

  int encoded = 0;  ///< files
};

/// Parsers for the runtime, and how many of them are alive: each reader of a partition has one.
class CountedParsers : public RecordParsers {
 public:
  std::unique_ptr<RecordParser> ForStream(const StreamSpec& stream) const override;
  int64_t alive() const { return token_.use_count() - 1; }

 private:
  record_simdjson::JsonRecordParsers parsers_;
  std::shared_ptr<bool> token_ = std::make_shared<bool>();
};

/// Local states in memory, and whose there are.
class NamedStates : public StateStores {
 public:
  Task<Result<std::unique_ptr<StateStore>>> Open(std::string shard) override;
  Task<Status> Remove(std::string shard) override;
  const std::set<std::string>& names() const { return names_; }

 private:
  InMemoryStates states_;
  std::set<std::string> names_;
};

/// By name alone, whatever the labels: counters add up, of gauges the last value stands. Nobody
/// reads the rest.
class CountingMetrics : public MetricRegistry {
 public:
  Counter& GetCounter(std::string_view name, std::string_view, const MetricLabels&) override {
    return counters_[std::string(name)];
  }
  Gauge& GetGauge(std::string_view name, std::string_view, const MetricLabels&) override {
    return gauges_[std::string(name)];
  }
  Histogram& GetHistogram(std::string_view, std::string_view, const MetricLabels&,
                          const std::vector<double>&) override {
    return histogram_;
  }
  std::string Expose() const override { return {}; }
  double count(const std::string& name) { return counters_[name].value; }
  double gauge(const std::string& name) { return gauges_[name].value; }

 private:
  struct Sum : Counter {
    void Add(double v) override { value += v; }
    double value = 0;
  };
  std::map<std::string, Sum> counters_;
  struct Last : Gauge {
    void Set(double v) override { value = v; }
    double value = 0;
  };
  std::map<std::string, Last> gauges_;
  struct : Histogram {
    void Observe(double) override {}
  } histogram_;
};

/// One process over stores that survive it, in a simulated world. It is killed and started again
/// at the test's will.
class Cluster {
 public:
  Cluster(SimWorld* world, Faults faults, runtime::Options options,
          InMemoryLog::Options log_options = {});
  ~Cluster() { KillNode(); }
  Cluster(const Cluster&) = delete;

  /// Starts a process of all roles. Its Start() runs in the background; failures() tells what
  /// went wrong.
  void StartNode();
  void KillNode();
  /// Takes from the control log what a leader may trim: all before the last snapshot but one.
  /// False: there are not two yet, or nothing is before it.
  bool TrimControlLog();
  /// The stream of this name that the control log has now, with its generation.
  StreamSpec StreamNow(const std::string& name);
  bool node_alive() const { return process_ != nullptr && process_->alive(); }
  runtime::Coordinator& coordinator() { return roles_->coordinator(); }
  runtime::AllRoles& roles() { return *roles_; }
  ingest::Gateway& gateway() { return *gateway_; }
  SimExecutor& process() { return *process_; }
  const CountedParsers& parsers() const { return records_; }
  const NamedStates& states() const { return *states_; }
  FaultyLog& faulty_log() { return faulty_log_; }
  FaultyObjectStore& faulty_objects() { return faulty_objects_; }
  FaultyServingStore& faulty_serving() { return faulty_serving_; }

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

  InMemoryLog log;
  InMemoryObjectStore objects;
  InMemoryServingStore serving;
  CountingMetrics metrics;
  RowFiles files;
  Faults faults;
  std::vector<std::string> failures;

 private:
  SimWorld* world_;
  runtime::Options options_;
  /// What all of the control log says, also what was trimmed since it was read.
  struct ControlSeen {
    control::Fold fold;
    Offset next;
    std::map<std::pair<Offset, int64_t>, std::set<int32_t>> chunks;
    std::vector<Offset> whole;  ///< the places of whole snapshots
  };
  const ControlSeen& ReadControlLog();
  ControlSeen control_;
  Offset trimmed_to_;
  FaultyLog faulty_log_;
  FaultyObjectStore faulty_objects_;
  FaultyServingStore faulty_serving_;
  block_arrow::ArrowBlockCodec blocks_;
  CountedParsers records_;
  record_simdjson::JsonRecordParsers gateway_records_;
  SimExecutor* process_ = nullptr;
  bool started_ = false;
  SimExecutor* outside_;
  std::unique_ptr<NamedStates> states_;
  std::unique_ptr<runtime::AllRoles> roles_;
  std::unique_ptr<ingest::Gateway> gateway_;
};

/// What a fold of the whole log, alone and in one go, puts out: what every history of crashes must
/// come to.
struct Expected {
  std::vector<OutputRow> rows;
  std::map<int64_t, uint64_t> file_hashes;  ///< in the names of files, by their last rows
  window::Ledger ledger;
};
Expected FoldWholeLog(Cluster* cluster, const StreamSpec& stream, const PipelineSpec& pipeline,
                      PartitionId partition);

/// Names what differs between the cluster's stores and the expected output of all partitions;
/// empty: nothing.
std::string Differences(Cluster* cluster, const StreamSpec& stream, const Incarnation& incarnation,
                        const PipelineSpec& pipeline);

template <typename T>
std::optional<T> Cluster::Call(Task<T> task, Executor::Duration limit) {
  world_->RunUntil([&] { return started_ || !node_alive(); }, limit);
  if (!node_alive()) return std::nullopt;
  return On(process_, std::move(task), limit);
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
