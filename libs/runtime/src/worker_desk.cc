#include "millrace/runtime/worker_desk.h"

#include <algorithm>

#include "at_once.h"
#include "millrace/base/facts.h"
#include "millrace/runtime/shard.h"

namespace millrace::runtime {

using operations::Operations;
using operations::ProducerInfo;
namespace {

constexpr auto kRound = std::chrono::seconds(1);
/// So long a list waits for a worker.
constexpr auto kListPatience = std::chrono::seconds(1);
constexpr auto kLookForOwner = std::chrono::milliseconds(50);
/// Workers asked at a time.
constexpr size_t kAsked = 64;

}  // namespace

Status WorkerDesk::Open(Hello hello, std::shared_ptr<WorkerQuestions> worker) {
  const uint64_t instance = hello.process.instance;
  const std::string& cluster = control_.fold().cluster();
  if (!hello.cluster.empty() && !cluster.empty() && hello.cluster != cluster) {
    return Conflict("the worker belongs to another cluster",
                    {{"worker", hello.process.name}, {"its", hello.cluster}, {"this", cluster}});
  }
  MILLRACE_TRY(roster_.Joined(std::move(hello), Executor::Current().Monotonic()));
  links_[instance] = std::move(worker);
  wiring_.news();
  return {};
}

Result<Answer> WorkerDesk::Take(uint64_t instance, Report report) {
  if (report.shards.size() > kMostShardsReported)
    return InvalidArgument("a report names too many shards", {{"most", kMostShardsReported}});
  const Roster::Worker* worker = roster_.Find(instance);
  const bool drained = worker != nullptr && worker->report.draining;
  const bool waits =
      std::any_of(report.shards.begin(), report.shards.end(), [](const ShardReport& shard) {
        return shard.info.state == PhaseName(ShardPhase::kWaiting) || shard.level;
      });
  const bool news = waits || report.draining != drained;
  if (!roster_.Reported(instance, std::move(report)))
    return Unavailable("this coordinator does not know the worker; it has to say who it is");
  if (news) wiring_.news();
  return wiring_.answer(instance);
}

void WorkerDesk::Bye(uint64_t instance) {
  links_.erase(instance);
  roster_.Left(instance, Executor::Current().Monotonic());
  wiring_.news();
}

void WorkerDesk::Broke(uint64_t instance, const WorkerQuestions* worker) {
  const auto at = links_.find(instance);
  // Another one has come in its place already.
  if (at == links_.end() || at->second.get() != worker) return;
  links_.erase(at);
  roster_.Broke(instance);
}

Task<> WorkerDesk::Rounds() {
  while (!stopped_) {
    co_await Delay(kRound);
    Status read;
    // Who is alone has nobody whose commits could tell something.
    if (!wiring_.alone) read = co_await control_.CatchUp();
    // What arrived while this waited is handled first.
    co_await Delay(Executor::Duration(0));
    const bool died = roster_.Round(control_.fold(), Executor::Current().Monotonic(), read.ok());
    std::erase_if(links_, [&](const auto& l) { return roster_.Find(l.first) == nullptr; });
    if (died) wiring_.news();
  }
}

void WorkerDesk::WakeAll() {
  for (const auto& [instance, worker] : links_) worker->Wake();
}

std::map<uint64_t, std::shared_ptr<WorkerQuestions>> WorkerDesk::Answering() const {
  std::map<uint64_t, std::shared_ptr<WorkerQuestions>> answering;
  for (const auto& [instance, link] : links_) {
    const Roster::Worker* worker = roster_.Find(instance);
    if (worker != nullptr && worker->answers()) answering.emplace(instance, link);
  }
  return answering;
}

namespace {

/// What several workers answered, for those that wait for all.
template <typename T>
using Answers = std::shared_ptr<std::map<uint64_t, T>>;

Task<Status> AskForReport(std::shared_ptr<WorkerQuestions> worker, uint64_t instance,
                          Answers<Report> answers) {
  const auto ask = [](std::shared_ptr<WorkerQuestions> of) -> Task<Result<Report>> {
    auto report = co_await of->ReportNow();
    co_return report;
  };
  auto report = co_await WaitAtMost(ask(std::move(worker)), kListPatience);
  if (report && report->ok()) (*answers)[instance] = std::move(**report);
  co_return Status();
}

Task<Status> AskForProducers(std::shared_ptr<WorkerQuestions> worker, uint64_t instance,
                             std::string name_space, std::string stream, Principal principal,
                             std::string prefix, Answers<std::vector<ProducerInfo>> answers) {
  const auto ask = [](std::shared_ptr<WorkerQuestions> of, std::string in, std::string named,
                      Principal who,
                      std::string begins) -> Task<Result<std::vector<ProducerInfo>>> {
    auto found = co_await of->FindProducers(std::move(in), std::move(named), std::move(who),
                                            std::move(begins));
    co_return found;
  };
  auto found = co_await WaitAtMost(ask(std::move(worker), std::move(name_space), std::move(stream),
                                       std::move(principal), std::move(prefix)),
                                   kListPatience);
  if (found && found->ok()) (*answers)[instance] = std::move(**found);
  co_return Status();
}

}  // namespace

Task<std::map<uint64_t, Report>> WorkerDesk::Reports() {
  const auto reports = std::make_shared<std::map<uint64_t, Report>>();
  std::vector<Task<Status>> questions;
  for (const auto& [instance, link] : Answering()) {
    (*reports)[instance] = roster_.Find(instance)->report;
    questions.push_back(AskForReport(link, instance, reports));
  }
  const Status asked = co_await RunAll(std::move(questions), kAsked);
  asked.Ignore("a worker that does not answer is taken by its last report");
  co_return std::move(*reports);
}

Task<std::vector<ProducerInfo>> WorkerDesk::FindProducers(std::string name_space,
                                                          std::string stream, Principal principal,
                                                          std::string prefix) {
  const auto found = std::make_shared<std::map<uint64_t, std::vector<ProducerInfo>>>();
  std::vector<Task<Status>> questions;
  for (const auto& [instance, link] : Answering())
    questions.push_back(
        AskForProducers(link, instance, name_space, stream, principal, prefix, found));
  const Status asked = co_await RunAll(std::move(questions), kAsked);
  asked.Ignore("a list does not fail because one worker does not answer");
  std::vector<ProducerInfo> out;
  for (auto& [instance, some] : *found)
    for (ProducerInfo& info : some) out.push_back(std::move(info));
  co_return out;
}

Task<Status> WorkerDesk::WaitApplied(ShardId shard, Offset offset, Executor::Duration deadline,
                                     Operations::Left left) {
  Executor& executor = Executor::Current();
  for (;;) {
    if (left && *left) co_return Unavailable("the caller left");
    const auto at = control_.fold().shards().find(shard);
    if (at == control_.fold().shards().end())
      co_return NotFound("the control log has no such shard", {{"shard", shard.ToString()}});
    const uint64_t owner = at->second.worker.instance;
    const Epoch epoch = at->second.epoch;
    const auto link = links_.find(owner);
    if (link != links_.end()) {
      const std::shared_ptr<WorkerQuestions> worker = link->second;
      const Status applied =
          co_await worker->WaitApplied(shard, offset, deadline - executor.Monotonic(), left);
      if (!applied.ok() && applied.error().code != Code::kConflict) co_return applied;
      MILLRACE_CO_TRY(co_await control_.CatchUp());
      const auto now = control_.fold().shards().find(shard);
      if (applied.ok() && now != control_.fold().shards().end() && now->second.epoch == epoch)
        co_return Status();
    }
    if (executor.Monotonic() >= deadline) {
      co_return Unavailable("a shard's worker does not answer; see `millrace shard list`",
                            {{"shard", shard.ToString()}});
    }
    co_await Delay(kLookForOwner);
  }
}

}  // namespace millrace::runtime
