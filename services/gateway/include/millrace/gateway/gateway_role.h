#pragma once

#include <optional>

#include "millrace/base/executor.h"
#include "millrace/ingest/stream_directory.h"

namespace millrace::service {

/// The gateway of a process: one ingest::Gateway on one executor.
class GatewayRole {
 public:
  GatewayRole(Executor* executor, ingest::Ports ports) : executor_(executor), gateway_(ports) {}

  /// From now on it knows the streams of the control log that `reader` folds on `control`. Once, on
  /// any thread, before the executors stop.
  void Follow(Executor* control, control::ControlReader* reader) {
    directory_.emplace(control, reader, executor_, &gateway_);
    executor_->Post([this] { gateway_.LookIn(&*directory_); });
    control->Spawn(directory_->Follow());
  }
  /// Ends when nothing is appended to streams that the fold does not have. On `control`.
  Task<> StopAppending() { return directory_->Settle(); }
  /// What keeps producers' events out of the log, or nothing. On any executor.
  Task<std::string> AppendTrouble() {
    auto work = Trouble(&gateway_);
    auto trouble = co_await RunOn(*executor_, std::move(work));
    co_return trouble;
  }
  Executor* executor() { return executor_; }
  ingest::Gateway* gateway() { return &gateway_; }

 private:
  static Task<std::string> Trouble(ingest::Gateway* gateway) { co_return gateway->AppendTrouble(); }

  Executor* executor_;
  ingest::Gateway gateway_;
  std::optional<ingest::StreamDirectory> directory_;
};

}  // namespace millrace::service
