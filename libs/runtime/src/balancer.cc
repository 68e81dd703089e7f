#include "millrace/runtime/balancer.h"

#include <algorithm>

#include "at_once.h"
#include "millrace/base/crash_point.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/control/plan_fold.h"
#include "millrace/control/settings.h"
#include "millrace/runtime/shard.h"

namespace millrace::runtime {
namespace {

constexpr auto kPlanInterval = std::chrono::seconds(1);
/// Control records on their way at a time.
constexpr size_t kWrites = 64;
/// Of a shard that has had no owner yet.
constexpr Epoch kFirstEpoch(1);

}  // namespace

void Balancer::Wake() {
  news_ = true;
  woken_.Notify();
}

void Balancer::Stop() {
  stopped_ = true;
  woken_.Notify();
}

Task<> Balancer::Loop() {
  static LogRateLimit limit(60);
  while (!stopped_) {
    news_ = false;
    const Status planned = co_await PlanOnce();
    if (!planned.ok())
      limit.Warn("shards could not be assigned, it is tried again",
                 {{"error", planned.error().message}});
    if (!news_ && !stopped_) co_await woken_.WaitFor(kPlanInterval);
  }
}

Task<Status> Balancer::PlanOnce() {
  const Turns::Turn turn = co_await turns_.Take("plan");
  auto planned = co_await PlanNow();
  co_return planned;
}

Task<Status> Balancer::PlanNow() {
  if (!leadership_.leads()) {
    wishes_.clear();
    unowned_.clear();
    shaky_.clear();
    co_return Status();
  }
  TakeOffice();
  const control::Fold& fold = control_.fold();
  const Roster& roster = desk_.roster();
  control::PlanInput input = roster.Input(fold, Executor::Current().Monotonic());
  std::erase_if(released_, [&](const auto& r) { return !input.bundles.contains(r.first); });
  for (const auto& [bundle, at] : released_) input.bundles.at(bundle).released = at;
  control::Plan plan = control::PlanMoves(input, std::move(memory_));
  memory_ = plan.memory;
  unowned_ = plan.unowned;
  shaky_ = plan.shaky;
  std::map<control::BundleId, control::Why> reasons;
  for (const control::Move& move : plan.assigns) reasons[move.bundle] = move.why;
  std::vector<Task<Status>> writes;
  for (control::Assign& assign : AssignsAgain())
    writes.push_back(Assign(std::move(assign), "again"));
  // A Skip that waits keeps its place: it is part of the shard's state until a commit covers it.
  for (control::Assign& assign : control::AssignsOf(fold, input, plan, roster.Takers())) {
    const auto reason = reasons.find(control::BundleOf(fold, assign.shard));
    const bool first = assign.epoch == kFirstEpoch;
    const std::string_view why = first                     ? "new"
                                 : reason == reasons.end() ? "together"
                                                           : control::WhyName(reason->second);
    writes.push_back(Assign(std::move(assign), why));
  }
  std::map<std::string, uint64_t> instances;
  for (const auto& [instance, worker] : roster.workers())
    instances[control::InstanceName(worker.hello.process)] = instance;
  std::map<uint64_t, std::vector<ShardId>> wishes;
  for (const auto& [id, shard] : fold.shards()) {
    if (shard.halt) continue;
    const control::BundleId bundle = control::BundleOf(fold, id);
    std::set<std::string> follow;
    if (const auto wish = memory_.wishes.find(bundle); wish != memory_.wishes.end())
      follow.insert(wish->second.target);
    if (const auto one = memory_.followers.find(bundle); one != memory_.followers.end())
      follow.insert(one->second);
    for (const std::string& instance : follow) wishes[instances.at(instance)].push_back(id);
  }
  for (const control::Move& move : plan.started) {
    LogInfo("a worker is to follow shards, to own them when it is level",
            {{"worker", input.members.at(move.to).name},
             {"partition", move.bundle.partition.value},
             {"why", control::WhyName(move.why)}});
  }
  if (wishes_ != wishes) {
    wishes_ = std::move(wishes);
    desk_.WakeAll();
  }
  auto assigned = co_await RunAll(std::move(writes), kWrites);
  co_return assigned;
}

/// A new leader knows nothing of earlier plans but who follows what, which the reports show. Where
/// each shard has a follower for good, it does not show which of them were to own something.
void Balancer::TakeOffice() {
  if (number_ == leadership_.number()) return;
  number_ = leadership_.number();
  memory_ = {};
  const control::Ticks now = Roster::TicksOf(Executor::Current().Monotonic());
  for (const auto& [instance, worker] : desk_.roster().workers()) {
    const std::string name = control::InstanceName(worker.hello.process);
    for (const ShardReport& shard : worker.report.shards) {
      if (shard.info.state != PhaseName(ShardPhase::kFollowing) ||
          !control_.fold().shards().contains(shard.info.shard))
        continue;
      const auto bundle = control::BundleOf(control_.fold(), shard.info.shard);
      if (control::KeepsFollowers(control_.fold())) {
        memory_.followers.try_emplace(bundle, name);
      } else {
        memory_.wishes.try_emplace(bundle, control::Wish{name, control::Why::kHot, now});
      }
    }
  }
}

/// Shards whose owner has to open them anew, which takes a new epoch.
std::vector<control::Assign> Balancer::AssignsAgain() const {
  std::vector<control::Assign> assigns;
  for (const auto& [instance, worker] : desk_.roster().workers()) {
    for (const ShardReport& shard : worker.report.shards) {
      if (shard.info.state != PhaseName(ShardPhase::kWaiting)) continue;
      const auto at = control_.fold().shards().find(shard.info.shard);
      if (at == control_.fold().shards().end() || at->second.epoch != shard.info.epoch ||
          at->second.worker.instance != instance)
        continue;
      assigns.push_back({{}, at->first, at->second.worker, Epoch(at->second.epoch.value + 1)});
    }
  }
  return assigns;
}

Task<Status> Balancer::Assign(control::Assign assign, std::string_view why) {
  const std::string shard = assign.shard.ToString();
  CrashPoint("assign.before_append");
  MILLRACE_CO_ASSIGN(const control::Verdict verdict,
                     co_await leadership_.Append(std::move(assign)));
  CrashPoint("assign.after_append");
  if (verdict == control::Verdict::kValid) ++moves_[why];
  // Stale or unknown: somebody else gave it an owner, or it was dropped.
  if (verdict != control::Verdict::kValid && verdict != control::Verdict::kStale &&
      verdict != control::Verdict::kUnknown) {
    co_return Conflict("cannot assign " + shard, {{"verdict", control::VerdictName(verdict)}});
  }
  co_return Status();
}

Answer Balancer::AnswerTo(uint64_t instance) const {
  if (!leadership_.leads()) return {};
  const auto wish = wishes_.find(instance);
  return {leadership_.number(), wish == wishes_.end() ? std::vector<ShardId>() : wish->second};
}

std::string Balancer::WhyUnowned(const ShardId& shard) const {
  const auto at = unowned_.find(control::BundleOf(control_.fold(), shard));
  if (at == unowned_.end()) return {};
  switch (at->second) {
    case control::Unowned::kHeld:
      return "it was at work in several workers that died, so no other gets it; find out why, then "
             "`millrace shard release " +
             shard.ToString() + "`";
    case control::Unowned::kNoWorker:
      return "no worker is there that can run it; start one";
    case control::Unowned::kExpecting:
      return "all workers start, and more of them are expected (expected_workers)";
    case control::Unowned::kNoMemory:
      return "no worker has the memory for it; start another one";
  }
  return {};
}

std::optional<control::Process> Balancer::TakerOf(const ShardId& shard) const {
  const control::Fold& fold = control_.fold();
  const Roster& roster = desk_.roster();
  if (const auto at = fold.shards().find(shard); at != fold.shards().end()) {
    const Roster::Worker* owner = roster.Find(at->second.worker.instance);
    if (owner != nullptr && owner->answers()) return at->second.worker;
  }
  std::map<uint64_t, size_t> has;
  for (const auto& [id, state] : fold.shards()) ++has[state.worker.instance];
  std::optional<control::Process> taker;
  for (const auto& [instance, candidate] : roster.workers()) {
    if (!candidate.answers() || candidate.report.draining) continue;
    if (!taker || has[instance] < has[taker->instance]) taker = candidate.hello.process;
  }
  return taker;
}

bool Balancer::Release(const ShardId& shard) {
  const control::BundleId bundle = control::BundleOf(control_.fold(), shard);
  const auto why = unowned_.find(bundle);
  if (why == unowned_.end() || why->second != control::Unowned::kHeld) return false;
  released_[bundle] = Roster::TicksOf(Executor::Current().Monotonic());
  Wake();
  return true;
}

std::map<std::string, int64_t> Balancer::Workers() const {
  std::map<std::string, int64_t> states;
  if (!leadership_.leads()) return states;
  for (const auto& [instance, worker] : desk_.roster().workers()) {
    if (worker.unreachable) {
      ++states["unreachable"];
    } else if (!worker.answers()) {
      ++states["silent"];
    } else if (shaky_.contains(worker.hello.process.name)) {
      ++states["shaky"];
    } else if (!worker.report.cannot.empty()) {
      ++states["cannot"];
    } else {
      ++states[worker.report.draining ? "draining" : "ready"];
    }
  }
  return states;
}

std::map<control::Unowned, int64_t> Balancer::Unowned() const {
  std::map<control::Unowned, int64_t> unowned;
  for (const auto& [bundle, why] : unowned_) ++unowned[why];
  return unowned;
}

std::string Balancer::Troubles() const {
  std::string text;
  const auto add = [&](const std::string& trouble) {
    text += (text.empty() ? "" : "; ") + trouble;
  };
  for (const auto& [instance, worker] : desk_.roster().workers()) {
    const std::string& name = worker.hello.process.name;
    if (worker.unreachable)
      add("worker " + name +
          " sends no reports, and its commits show that it lives: see to the network between it "
          "and this coordinator");
    if (!worker.report.cannot.empty()) add("worker " + name + " " + worker.report.cannot);
  }
  for (const std::string& name : shaky_)
    add("worker " + name + " died twice in ten minutes, it gets only what nobody else can take");
  for (const auto& [why, bundles] : Unowned())
    add(std::to_string(bundles) + " partitions have no worker (" +
        std::string(control::UnownedName(why)) + "), see `millrace shard list`");
  return text;
}

}  // namespace millrace::runtime
