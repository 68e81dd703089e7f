#pragma once

#include "millrace/base/executor.h"
#include "millrace/ingest/gateway.h"

namespace millrace::service {

/// The gateway of a process: one ingest::Gateway on one executor.
class GatewayRole {
 public:
  GatewayRole(Executor* executor, ingest::Ports ports) : executor_(executor), gateway_(ports) {}

  /// Makes a stream known. From any thread.
  void SetStream(const StreamSpec& stream) {
    executor_->Post([this, stream] { gateway_.SetStream(stream); });
  }
  Executor* executor() { return executor_; }
  ingest::Gateway* gateway() { return &gateway_; }

 private:
  Executor* executor_;
  ingest::Gateway gateway_;
};

}  // namespace millrace::service
