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

  explicit PublishStreams(Limits limits) : limits_(limits) {}

  /// A call to a gateway that is called on its executor only; the reactor owns itself.
  Reactor* Open(Executor* executor, ingest::Gateway* gateway);
  /// A call that ends before it has begun.
  static Reactor* Refuse(const grpc::Status& status);
  /// Every call ends once what it has read is answered.
  void Drain();

 private:
  class Session;
  class Call;

  const Limits limits_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<Session>> sessions_;
  bool draining_ = false;
};

}  // namespace millrace::rpc
