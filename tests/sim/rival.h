#pragma once

#include <memory>
#include <string>

#include "sim/scenario.h"

namespace millrace::sim {

/// A second process over the stores of a scenario.
class Rival {
 public:
  explicit Rival(Scenario* s, const std::string& name = "rival",
                 const runtime::Options& options = Scenario::Quick())
      : process_(s->world.NewProcess()) {
    runtime::AllRoles::Wiring wiring;
    wiring.name = name;
    wiring.ports = {
        &s->cluster.log,     &s->cluster.objects, &states_,          &s->cluster.serving,
        &s->cluster.serving, &s->cluster.serving, &s->cluster.files, &blocks_,
        &records_,           &s->cluster.metrics};
    wiring.options = options;
    wiring.control = process_;
    wiring.shards = {process_};
    wiring.on_stream = [](const StreamSpec&) {};
    wiring.on_stream_dropped = [](StreamSpec) -> Task<> { co_return; };
    roles_ = std::make_unique<runtime::AllRoles>(std::move(wiring));
    process_->Spawn([](runtime::AllRoles* roles, bool* started) -> Task<void> {
      const Status status = co_await roles->Start();
      *started = status.ok();
    }(roles_.get(), &started_));
  }
  ~Rival() { process_->Kill(); }

  /// It leads.
  bool started() const { return started_; }
  runtime::Coordinator& coordinator() { return roles_->coordinator(); }
  SimExecutor* process() { return process_; }

 private:
  SimExecutor* process_;
  InMemoryStates states_;
  block_arrow::ArrowBlockCodec blocks_;
  record_simdjson::JsonRecordParsers records_;
  std::unique_ptr<runtime::AllRoles> roles_;
  bool started_ = false;
};

}  // namespace millrace::sim
