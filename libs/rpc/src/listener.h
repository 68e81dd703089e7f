#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/base/time.h"
#include "millrace/metrics/metrics.h"

namespace millrace::rpc {

/// Takes connections and hands them to gRPC, which would stop listening for good at the first one
/// for which the process has no descriptor. Connections past descriptors::EndOfConnections are
/// closed at once, so that files can still be opened; when others end, new ones are taken again.
///
/// Threads: one of its own, from Start to Stop. Trouble() from any.
class Listener {
 public:
  /// kUnavailable: no socket can be bound; the message says why. `port` "0": the kernel picks.
  static Result<std::unique_ptr<Listener>> Bind(const std::string& host, const std::string& port);
  ~Listener();

  int port() const { return port_; }
  /// Call it when gRPC's server has started; what connected before waits in the kernel.
  /// `refused` counts connections that were closed or had to wait; may be null.
  void Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> taker,
             Counter* refused);
  /// Empty, or that connections are refused for want of descriptors: since when, and what to do.
  std::string Trouble();
  /// Closes the port. Idempotent.
  void Stop();

 private:
  Listener() = default;
  void Run();
  /// False: there is no descriptor for the connection that waits.
  bool Take(int socket);
  void Refused();

  std::vector<int> sockets_;
  int port_ = 0;
  int wake_ = -1;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> taker_;
  Counter* refused_ = nullptr;
  std::mutex mutex_;
  std::optional<Micros> refused_since_;  ///< until there is room again; under mutex_
  std::thread thread_;
};

}  // namespace millrace::rpc
