#pragma once

#include <functional>
#include <string>
#include <vector>

#include "millrace/control/control_writer.h"
#include "millrace/runtime/coordinator.h"
#include "millrace/runtime/local_link.h"
#include "millrace/runtime/worker.h"

namespace millrace::runtime {

/// A coordinator and a worker in one process, over one control log and one control executor.
///
/// Threads: the control executor.
class AllRoles {
 public:
  struct Wiring {
    std::string name;
    Ports ports;
    Options options;
    Executor* control;
    std::vector<Executor*> shards;                ///< as in Worker
    std::function<Task<>()> stop_appending = {};  ///< as in Definitions
    std::vector<WorkerLink*> coordinators = {};   ///< links to those of other processes
    uint64_t predecessor = 0;                     ///< as in Hello
    /// As in Coordinator.
    std::function<Task<Status>(std::string cluster)> own_stores = nullptr;
  };

  explicit AllRoles(Wiring wiring);

  /// Folds the control log and starts both. Ends when the coordinator leads. kUnavailable: call it
  /// again. kInvalidArgument: a server refuses this process (store_marks.h), or as `own_stores`.
  Task<Status> Start();
  /// Cuts every shard and stops.
  Task<> Drain();

  Coordinator& coordinator() { return coordinator_; }
  /// For others of the process who follow the control log. Not before Start().
  control::ControlReader& control() { return control_; }
  const control::Process& self() const { return self_; }

 private:
  const control::Process self_;
  const Ports ports_;
  control::ControlReader control_;
  control::ControlWriter writer_;
  Coordinator coordinator_;
  LocalLink link_;
  Worker worker_;
  bool following_ = false;
};

}  // namespace millrace::runtime
