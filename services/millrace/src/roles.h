#pragma once

#include <atomic>
#include <vector>

#include "millrace/admin/admin_server.h"
#include "millrace/runtime/all_roles.h"

namespace millrace {

/// The coordinator and the worker of a process on threads, and what they tell over HTTP.
class Roles {
 public:
  Roles(Executor* control, runtime::AllRoles::Wiring wiring);

  /// Claims, assigns and starts. Blocks the calling thread, which must not be an executor's.
  /// Errors are those of runtime::AllRoles::Start; it may be called again after kUnavailable.
  Status Start();
  /// Cuts every shard and stops. Blocks likewise.
  void Drain();

  /// One check per thing that must hold before results flow: see runtime::Coordinator::Conditions.
  std::vector<admin::ReadinessCheck> Readiness();
  operations::Operations* operations() { return &roles_.coordinator(); }
  uint64_t instance() const { return roles_.self().instance; }
  control::ControlReader* control() { return &roles_.control(); }
  Executor* executor() { return control_; }

 private:
  Executor* control_;
  runtime::AllRoles roles_;
  std::atomic<bool> started_ = false;
};

}  // namespace millrace
