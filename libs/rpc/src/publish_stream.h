#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "deadlines.h"
#include "millrace/base/executor.h"
#include "millrace/ingest/gateway.h"

namespace millrace::rpc {

/// All PublishStream calls of a server.
class PublishStreams : public std::enable_shared_from_this<PublishStreams> {
 public:
  /// A stream is not read while it is past one of the first three.
  struct Limits {
    size_t batches;          ///< whose answers are not written
    size_t bytes;            ///< of requests without an answer
    size_t unwritten_bytes;  ///< of answers that wait until the producer takes earlier ones
    /// Memory of all streams' batches; past it each is read one batch at a time.
    size_t held_bytes;
    Executor::Duration longest_write;  ///< a producer that takes none for so long is cut off
  };
  /// Of PublishStreamRequests and PublishStreamReplies, encoded.
  using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

  explicit PublishStreams(Limits limits)
      : limits_(limits), writes_(std::make_shared<Deadlines>(limits.longest_write)) {}

  /// A call to a gateway that is called on its executor only; the reactor owns itself. `cancel`
  /// ends the call whatever is under way, and is not called once the call is done.
  Reactor* Open(Executor* executor, ingest::Gateway* gateway, std::function<void()> cancel);
  /// A call that ends before it has begun.
  static Reactor* Refuse(const grpc::Status& status);
  /// Every call ends once what it has read is answered.
  void Drain();

 private:
  class Session;
  class Call;

  const Limits limits_;
  const std::shared_ptr<Deadlines> writes_;
  const std::shared_ptr<std::atomic<size_t>> held_ = std::make_shared<std::atomic<size_t>>(0);
  std::mutex mutex_;
  std::vector<std::weak_ptr<Session>> sessions_;
  bool draining_ = false;
};

}  // namespace millrace::rpc
