#include "millrace/process/front.h"

namespace millrace::process {

Result<std::unique_ptr<Front>> Front::Open(const Options& options) {
  std::unique_ptr<Front> front(new Front());
  if (!options.grpc.empty()) {
    MILLRACE_ASSIGN(front->grpc_,
                    rpc::Server::Start({.listen = options.grpc, .metrics = options.metrics}));
  }
  const auto expose = [metrics = options.metrics] { return metrics->Expose(); };
  const auto ready = [f = front.get()] { return f->Readiness(); };
  MILLRACE_ASSIGN(front->http_, admin::AdminServer::Start(options.admin, {expose, ready}));
  return front;
}

void Front::Recovering(std::string at) {
  const std::lock_guard lock(mutex_);
  recovering_ = std::move(at);
}

void Front::Serve(const rpc::Services& services, std::function<Checks()> checks) {
  {
    const std::lock_guard lock(mutex_);
    checks_ = std::move(checks);
  }
  if (grpc_) grpc_->Serve(services);
}

Front::Checks Front::Readiness() const {
  std::function<Checks()> of;
  {
    const std::lock_guard lock(mutex_);
    if (!checks_) return {{"recovery", false, "recovering: " + recovering_}};
    of = checks_;
  }
  // Not under the lock: it may wait for an executor.
  Checks checks = of();
  if (grpc_) {
    std::string trouble = grpc_->ConnectionTrouble();
    checks.push_back({"connections", trouble.empty(), std::move(trouble)});
  }
  return checks;
}

void Front::StopCalls() {
  if (grpc_) grpc_->Stop();
}

void Front::Close() {
  grpc_.reset();
  http_.reset();
}

}  // namespace millrace::process
