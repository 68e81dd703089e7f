#include "roles.h"

#include "millrace/driver/thread_driver.h"

namespace millrace {
namespace {

Task<bool> DrainRoles(runtime::AllRoles* roles) {
  co_await roles->Drain();
  co_return true;
}

}  // namespace

Roles::Roles(Executor* control, runtime::AllRoles::Wiring wiring)
    : control_(control), roles_(std::move(wiring)) {}

Status Roles::Start() {
  Status started = RunBlocking(*control_, roles_.Start());
  started_ = started.ok();
  return started;
}

void Roles::Drain() {
  started_ = false;
  RunBlocking(*control_, DrainRoles(&roles_));
}

std::vector<admin::ReadinessCheck> Roles::Readiness() {
  if (!started_)
    return {{"control", false, "the control log is not read, or the process is stopping"}};
  std::vector<admin::ReadinessCheck> checks;
  for (runtime::Condition& condition : RunBlocking(*control_, roles_.coordinator().Conditions()))
    checks.push_back({condition.name, condition.trouble.empty(), std::move(condition.trouble)});
  return checks;
}

}  // namespace millrace
