#include "millrace/runtime/balancer.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "at_once.h"
#include "millrace/base/facts.h"
#include "millrace/control/plan_fold.h"

namespace millrace::runtime {
namespace {

/// Control records on their way at a time.
constexpr size_t kWrites = 64;

}  // namespace

Task<Status> Balancer::AssignOrphans() {
  const control::Fold& fold = control_.fold();
  const auto orphan = [&](const auto& shard) {
    return shard.second.worker.instance != worker_.instance;
  };
  if (!leadership_.leads() || std::none_of(fold.shards().begin(), fold.shards().end(), orphan))
    co_return Status();
  const std::string instance = control::InstanceName(worker_);
  control::PlanInput input;
  control::Member& member = input.members[instance];
  member.name = worker_.name;
  member.executors = static_cast<int64_t>(executors_);
  input.now =
      1 + std::chrono::duration_cast<std::chrono::milliseconds>(Executor::Current().Monotonic())
              .count();
  control::AddBundles(fold, &input);
  // No memory: with one worker nothing moves but orphans.
  const control::Plan plan = control::PlanMoves(input, {});
  // A Skip that waits keeps its place: it is part of the shard's state until a commit covers it.
  std::vector<Task<Status>> writes;
  const std::map<std::string, control::Process> living = {{instance, worker_}};
  for (control::Assign& assign : control::AssignsOf(fold, input, plan, living))
    writes.push_back(Assign(std::move(assign)));
  auto assigned = co_await RunAll(std::move(writes), kWrites);
  co_return assigned;
}

Task<Status> Balancer::AssignAgain(ShardId shard, Epoch epoch) {
  if (!leadership_.leads()) {
    co_return Conflict("another process leads and has not assigned the shard yet",
                       {{"leader", control_.fold().leader().process.name}});
  }
  control::Assign assign{{}, std::move(shard), worker_, Epoch(epoch.value + 1)};
  auto assigned = co_await Assign(std::move(assign));
  co_return assigned;
}

Task<Status> Balancer::Assign(control::Assign assign) {
  const std::string shard = assign.shard.ToString();
  MILLRACE_CO_ASSIGN(const control::Verdict verdict,
                     co_await leadership_.Append(std::move(assign)));
  // Stale or unknown: somebody else gave it an owner, or it was dropped.
  if (verdict != control::Verdict::kValid && verdict != control::Verdict::kStale &&
      verdict != control::Verdict::kUnknown) {
    co_return Conflict("cannot assign " + shard, {{"verdict", control::VerdictName(verdict)}});
  }
  co_return Status();
}

}  // namespace millrace::runtime
