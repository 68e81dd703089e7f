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
  /// Ends when nothing of the stream is appended any more. On any executor.
  Task<> RemoveStream(StreamSpec stream) {
    auto work = Remove(&gateway_, std::move(stream));
    const bool removed = co_await RunOn(*executor_, std::move(work));
    static_cast<void>(removed);
  }
  /// What keeps producers' events out of the log, or nothing. On any executor.
  Task<std::string> AppendTrouble() {
    auto work = Trouble(&gateway_);
    auto trouble = co_await RunOn(*executor_, std::move(work));
    co_return trouble;
  }
  Executor* executor() { return executor_; }
  ingest::Gateway* gateway() { return &gateway_; }

 private:
  static Task<bool> Remove(ingest::Gateway* gateway, StreamSpec stream) {
    gateway->RemoveStream(stream);
    co_return true;
  }

  static Task<std::string> Trouble(ingest::Gateway* gateway) { co_return gateway->AppendTrouble(); }

  Executor* executor_;
  ingest::Gateway gateway_;
};

}  // namespace millrace::service
