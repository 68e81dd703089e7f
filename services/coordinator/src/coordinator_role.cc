#include "millrace/coordinator/coordinator_role.h"

#include "millrace/driver/thread_driver.h"

namespace millrace::service {
namespace {

Task<bool> DrainNode(runtime::Node* node) {
  co_await node->Drain();
  co_return true;
}

}  // namespace

CoordinatorRole::CoordinatorRole(Executor* control, runtime::Node::Wiring wiring)
    : control_(control), node_(std::move(wiring)) {}

Status CoordinatorRole::Start() {
  Status started = RunBlocking(*control_, node_.Start());
  started_ = started.ok();
  return started;
}

void CoordinatorRole::Drain() {
  started_ = false;
  RunBlocking(*control_, DrainNode(&node_));
}

std::vector<admin::ReadinessCheck> CoordinatorRole::Readiness() {
  if (!started_)
    return {{"control", false, "the control log is not read, or the process is stopping"}};
  std::vector<admin::ReadinessCheck> checks;
  for (runtime::Condition& condition : RunBlocking(*control_, node_.Conditions()))
    checks.push_back({condition.name, condition.trouble.empty(), std::move(condition.trouble)});
  return checks;
}

}  // namespace millrace::service
