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
  std::vector<admin::ReadinessCheck> checks = {{"control", true, ""}};
  const auto shards = RunBlocking(*control_, node_.ListShards());
  if (!shards.ok()) {
    checks.push_back({"shards", false, shards.error().message});
    return checks;
  }
  admin::ReadinessCheck all{"shards", true, ""};
  for (const runtime::ShardInfo& shard : *shards) {
    const bool failing = shard.state == "opening" && !shard.message.empty();
    if (shard.state != "halted" && !failing) continue;
    all.ok = false;
    all.message += (all.message.empty() ? "" : "; ") + shard.shard.ToString() +
                   (failing ? " cannot be opened: " : " halted: ") + shard.message;
  }
  checks.push_back(std::move(all));
  return checks;
}

}  // namespace millrace::service
