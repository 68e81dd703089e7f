#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <mutex>
#include <vector>

#include "millrace/base/executor.h"
#include "millrace/ingest/gateway.h"

namespace millrace::ingest::v1 {
class PublishStreamReply;
class PublishStreamRequest;
}  // namespace millrace::ingest::v1

namespace millrace::rpc {

/// All PublishStream calls of a server.
class PublishStreams : public std::enable_shared_from_this<PublishStreams> {
 public:
  struct Limits {
    size_t batches;  ///< unanswered, of one stream
    size_t bytes;
  };
  using Reactor =
      grpc::ServerBidiReactor<ingest::v1::PublishStreamRequest, ingest::v1::PublishStreamReply>;

  PublishStreams(Limits limits, Executor* executor, ingest::Gateway* gateway)
      : limits_(limits), executor_(executor), gateway_(gateway) {}

  /// A call; the reactor owns itself.
  Reactor* Open();
  /// Every call ends once what it has read is answered.
  void Drain();

 private:
  class Session;
  class Call;

  const Limits limits_;
  Executor* const executor_;
  ingest::Gateway* const gateway_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<Session>> sessions_;
  bool draining_ = false;
};

}  // namespace millrace::rpc
