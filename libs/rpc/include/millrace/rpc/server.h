#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "millrace/base/executor.h"
#include "millrace/base/result.h"
#include "millrace/ingest/gateway.h"
#include "millrace/metrics/metrics.h"
#include "millrace/operations/operations.h"
#include "millrace/runtime/worker_desk.h"

namespace millrace::rpc {

struct ServerOptions {
  std::string listen = "127.0.0.1:7171";  ///< HOST:PORT; port 0: the kernel picks
  /// After it a client is asked to connect again, so that clients spread over gateways; its calls
  /// get the grace to end.
  std::chrono::seconds max_connection_age{3'600};
  std::chrono::seconds max_connection_grace{30};
  /// What gRPC may hold in buffers of all connections together.
  size_t memory_bytes = 512 << 20;
  /// Longest wait for the answer to a Publish, Control or Query call, whatever deadline the caller
  /// sets, and of a Query that waits until results are applied.
  std::chrono::seconds longest_call{60};
  std::chrono::seconds longest_wait{3'600};
  /// Queries under way, each with a message of rows in memory; and those that wait until results
  /// are applied. Further ones get RESOURCE_EXHAUSTED with a delay.
  size_t queries = 16;
  size_t waiting_queries = 256;
  /// A caller that takes no message of a PublishStream or a Query for so long is cut off. Of a
  /// Query it is told so, and what is on its way to it is kept as long again.
  std::chrono::seconds longest_write{60};
  /// Of one PublishStream; past any it is not read: batches without a written answer, bytes of
  /// requests without an answer, and bytes of answers that wait behind the one being written.
  size_t stream_batches = 64;
  size_t stream_bytes = 8 << 20;
  size_t stream_unwritten_bytes = 1 << 20;
  /// Memory of the batches of all PublishStreams until their answers are written; past it each
  /// stream is read one batch at a time.
  size_t streams_bytes = 128 << 20;
  MetricRegistry* metrics = nullptr;  ///< null: nothing is counted. Outlives the server
};

/// What is served: calls of a service whose pointers are null get UNIMPLEMENTED. All outlive the
/// server.
struct Services {
  Executor* gateway_executor = nullptr;
  ingest::Gateway* gateway = nullptr;  ///< called on its executor only
  Executor* control_executor = nullptr;
  operations::Operations* operations = nullptr;  ///< called on its executor only
  runtime::WorkerDesk* desk = nullptr;           ///< called on the control executor only
};

/// The gRPC side of a process: Ingest, Control, Query and WorkerLink, health and reflection.
///
/// Life: Start, Serve, then Stop or destroy before the executors stop. Threads: gRPC's own; any may
/// call.
class Server {
 public:
  /// Listens, so that the address is this process's own while it recovers: until Serve() health is
  /// NOT_SERVING and every call gets UNAVAILABLE with the reason RECOVERING. kUnavailable: the
  /// address cannot be listened on; the message says why and what to do. kInvalidArgument: it is
  /// not HOST:PORT.
  static Result<std::unique_ptr<Server>> Start(ServerOptions options);
  /// Both at once, for what has nothing to recover.
  static Result<std::unique_ptr<Server>> Start(ServerOptions options, Services services);

  /// From now on calls are passed on, and health is SERVING. Once.
  void Serve(Services services);
  ~Server();

  /// HOST:PORT with the real port.
  const std::string& address() const;
  int port() const;
  /// Empty, or why connections are refused at present: since when, and what to do. For people.
  std::string ConnectionTrouble() const;

  /// Tells health watchers, takes no new calls, lets those under way end (streams once their
  /// batches are answered), and cuts off what is left after `grace`. Idempotent.
  void Stop(std::chrono::milliseconds grace = std::chrono::seconds(5));

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace millrace::rpc
