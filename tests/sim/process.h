#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "millrace/block_arrow/arrow_block_codec.h"
#include "millrace/ingest/stream_directory.h"
#include "millrace/record_simdjson/json_record_parser.h"
#include "millrace/runtime/all_roles.h"
#include "millrace/serving/in_memory_serving_store.h"
#include "millrace/state/in_memory_state.h"
#include "sim/archived_log.h"
#include "sim/damaged_log.h"
#include "sim/faulty_log.h"
#include "sim/faulty_objects.h"
#include "sim/faulty_serving.h"
#include "sim/kept_objects.h"
#include "sim/network.h"
#include "sim/sim_link.h"
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

/// What the processes of a cluster share, and what survives them.
struct Bodies {
  explicit Bodies(InMemoryLog::Options log_options) : log(log_options) {}

  ArchivedLog log;
  DamagedLog damaged{&log};
  KeptObjects objects{&log};
  InMemoryServingStore serving;
  CountingMetrics metrics;
  RowFiles files;
  CountedParsers parsers;
  std::vector<std::string> failures;  ///< what left a task of some process as an exception
};

/// The ways from one process to the stores. They outlive the network.
struct Links {
  Links(Bodies* bodies, Network* network, const Faults* faults)
      : log(&bodies->damaged, network, faults),
        objects(&bodies->objects, network, faults),
        serving(&bodies->serving, network, faults) {}

  FaultyLog log;
  FaultyObjectStore objects;
  FaultyServingStore serving;
};

/// One simulated process, from its start to its death. It begins to start at once.
class Process {
 public:
  enum class Role { kAll, kCoordinator, kWorker, kGateway };
  struct Setup {
    std::string name;
    runtime::Options options;
    Role role = Role::kAll;
    size_t executors = 0;  ///< for shards; 0: they are on the control executor
    /// The coordinators of other names, for a worker.
    std::vector<std::function<CoordinatorAt()>> coordinators = {};
  };

  Process(SimWorld* world, Bodies* bodies, Links* links, Setup setup);
  /// Kills it.
  ~Process();
  Process(const Process&) = delete;

  /// As a coordinator: it leads. As a gateway: it knows the streams.
  bool started() const { return started_; }
  bool alive() const { return control_->alive(); }
  /// Its coordinator leads, as far as the fold of the process goes.
  bool leads() const;
  /// It stops in order, as after SIGTERM, and is gone then.
  Task<> Drain();
  /// One of its executors, by chance.
  SimExecutor* AnyExecutor();
  const std::string& name() const { return setup_.name; }
  SimExecutor& executor() { return *control_; }
  runtime::AllRoles& roles() { return *roles_; }
  runtime::Coordinator& coordinator() { return roles_ ? roles_->coordinator() : *coordinator_; }
  bool has_coordinator() const { return roles_ || coordinator_; }
  size_t links() const { return worker_links_.size(); }
  /// From its worker to one of the other coordinators.
  Link& way_to_coordinator(size_t i) { return worker_links_[i]->way(); }
  ingest::Gateway& gateway() { return gateway_; }
  const NamedStates& states() const { return states_; }

 private:
  runtime::Ports AllPorts();
  std::vector<runtime::WorkerLink*> Coordinators();
  void StartRoles();
  void StartCoordinator();
  void StartWorker();
  Task<> RunRoles();
  Task<> RunCoordinator();
  Task<> RunWorker();
  Task<> RunGateway();
  Task<> FollowControlLog();
  void FollowStreams(control::ControlReader* reader);

  const Setup setup_;
  SimWorld* const world_;
  Bodies* const bodies_;
  Links* const links_;
  SimExecutor* const control_;
  std::vector<SimExecutor*> shards_;
  NamedStates states_;
  block_arrow::ArrowBlockCodec blocks_;
  record_simdjson::JsonRecordParsers gateway_records_;
  ingest::Gateway gateway_;
  std::optional<ingest::StreamDirectory> streams_;
  std::unique_ptr<runtime::AllRoles> roles_;
  std::vector<std::unique_ptr<SimLink>> worker_links_;
  /// Of a process with one role.
  std::unique_ptr<control::ControlReader> log_;
  std::unique_ptr<control::ControlWriter> log_writer_;
  std::unique_ptr<runtime::Coordinator> coordinator_;
  std::unique_ptr<runtime::Worker> worker_;
  bool started_ = false;
};

}  // namespace millrace::sim
