#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "millrace/base/result.h"

namespace millrace::admin {

/// One thing that must hold before a process is ready for work.
struct ReadinessCheck {
  std::string name;
  bool ok = false;
  std::string message;  ///< why not, and what to do
};

/// What the pages show. Called from the server's threads, several at a time.
struct Callbacks {
  std::function<std::string()> metrics;  ///< Prometheus text format 0.0.4
  std::function<std::vector<ReadinessCheck>()> readiness;
};

/// Serves over HTTP, read only:
/// - /metrics: text for Prometheus;
/// - /livez: 200 as long as the process answers;
/// - /readyz: 200, or 503 if any check fails; JSON {"ready", "checks": [{"name", "ok",
/// "message"}]};
/// - /version: JSON {"version"};
/// - /: the list of these.
/// A callback that throws gives 500 with what it threw, another method than GET and HEAD 405. Meant
/// for watchers on a trusted network: no keep-alive, a second for a request to come, 512
/// connections. One that is slow keeps no page from others.
class AdminServer {
 public:
  /// Listens at HOST:PORT (port 0: the kernel picks) and serves when it returns. kInvalidArgument:
  /// not an address. kConflict: the port is in use. kUnavailable: it cannot be listened at for
  /// another reason.
  static Result<std::unique_ptr<AdminServer>> Start(const std::string& address,
                                                    Callbacks callbacks);
  /// Stops; requests under way end first.
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;

  /// HOST:PORT with the port listened at.
  const std::string& address() const { return address_; }

 private:
  struct Server;
  explicit AdminServer(std::unique_ptr<Server> server);

  std::string address_;
  std::unique_ptr<Server> server_;
};

}  // namespace millrace::admin
