#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "millrace/admin/admin_server.h"
#include "millrace/metrics/metrics.h"
#include "millrace/rpc/server.h"

namespace millrace::process {

/// What others see of a process. It listens before anything is recovered, so that a port that it
/// cannot have is told at once, and whoever looks can tell recovering from dead.
///
/// Life: Open, Recovering, Serve, Close before the executors stop. Threads: any.
class Front {
 public:
  using Checks = std::vector<admin::ReadinessCheck>;
  struct Options {
    std::string grpc;  ///< HOST:PORT; empty: the process answers no calls
    std::string admin;
    MetricRegistry* metrics;
  };

  /// Errors are those of rpc::Server::Start and admin::AdminServer::Start.
  static Result<std::unique_ptr<Front>> Open(const Options& options);
  ~Front() { Close(); }

  /// What the process is at or waits for, which /readyz tells until it is ready.
  void Recovering(std::string at);
  /// Passes calls on and tells `checks` from now on. `services` is of no use without gRPC.
  void Serve(const rpc::Services& services, std::function<Checks()> checks);
  /// Calls under way end, no new ones come. The pages go on.
  void StopCalls();
  void Close();

  /// HOST:PORT with the real ports; empty: the process answers no calls.
  std::string grpc() const { return grpc_ ? grpc_->address() : std::string(); }
  const std::string& admin() const { return http_->address(); }

 private:
  Front() = default;
  Checks Readiness() const;

  mutable std::mutex mutex_;
  std::string recovering_ = "starting";
  std::function<Checks()> checks_;
  std::unique_ptr<rpc::Server> grpc_;
  std::unique_ptr<admin::AdminServer> http_;
};

}  // namespace millrace::process
