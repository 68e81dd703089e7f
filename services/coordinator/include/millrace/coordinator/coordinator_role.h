#pragma once

#include <atomic>
#include <vector>

#include "millrace/admin/admin_server.h"
#include "millrace/runtime/node.h"

namespace millrace::service {

/// The coordinator of a process: the node that folds the control log, leads and assigns, and what
/// it tells over HTTP.
class CoordinatorRole {
 public:
  CoordinatorRole(Executor* control, runtime::Node::Wiring wiring);

  /// Claims, assigns and starts. Blocks the calling thread, which must not be an executor's.
  /// Errors are those of runtime::Node::Start; it may be called again after kUnavailable.
  Status Start();
  /// Cuts every shard and stops. Blocks likewise.
  void Drain();

  /// One check per thing that must hold before results flow: see runtime::Node::Conditions.
  std::vector<admin::ReadinessCheck> Readiness();
  runtime::Operations* operations() { return &node_; }
  Executor* executor() { return control_; }

 private:
  Executor* control_;
  runtime::Node node_;
  std::atomic<bool> started_ = false;
};

}  // namespace millrace::service
