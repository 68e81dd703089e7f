#include <algorithm>

#include "at_once.h"
#include "millrace/base/log.h"
#include "millrace/model/spec.h"
#include "millrace/runtime/worker.h"

// What a worker tells the coordinators.

namespace millrace::runtime {
namespace {

constexpr auto kReport = std::chrono::seconds(1);
/// A host that folds a large batch answers later, and is taken by what it said before.
constexpr auto kHostPatience = std::chrono::milliseconds(500);
/// Questions that one host may owe an answer to.
constexpr int kMostAsked = 64;
constexpr auto kOpenAgain = std::chrono::seconds(1);

/// One shard may have a trouble of its own. If all that run have the same, it is the worker's.
std::string StoreAway(const std::vector<ShardReport>& shards) {
  std::string_view away;
  for (const ShardReport& shard : shards) {
    if (shard.info.state != PhaseName(ShardPhase::kRunning)) continue;
    if (shard.cannot.empty() || (!away.empty() && away != shard.cannot)) return {};
    away = shard.cannot;
  }
  return away.empty() ? "" : "has not reached the " + std::string(away) + " for 30 s";
}

Task<std::vector<ShardReport>> ReportOf(ShardHost* host) { co_return host->Report(); }

}  // namespace

Hello Worker::Describe() const {
  Hello hello;
  hello.cluster = control_.fold().cluster();
  hello.process = wiring_.self;
  hello.predecessor = wiring_.predecessor;
  hello.versions = std::to_string(kSemanticsVersion);
  hello.executors = static_cast<int64_t>(wiring_.shards.size());
  hello.memory = wiring_.memory;
  hello.standby = wiring_.standby;
  return hello;
}

/// Every coordinator hears all, so that the next leader knows it already.
Task<> Worker::ReportTo(WorkerLink* link) {
  while (!stopped_) {
    Hello hello = Describe();
    const std::shared_ptr<WorkerQuestions> self(std::shared_ptr<void>(), this);
    const Status opened = co_await link->Open(std::move(hello), self);
    while (opened.ok() && !stopped_) {
      const int64_t told = told_;
      auto report = co_await ReportNow();
      // The last word is Bye.
      if (stopped_) co_return;
      const auto answer = co_await link->Send(std::move(*report));
      if (!answer.ok()) break;
      leaders_[link] = answer->leader;
      co_await Obey(*answer);
      if (told == told_ && !stopped_) co_await tell_.WaitFor(kReport);
    }
    leaders_.erase(link);
    if (!stopped_) co_await tell_.WaitFor(kOpenAgain);
  }
}

/// Something is new for the coordinators.
void Worker::Tell() {
  ++told_;
  tell_.Notify();
}

void Worker::Wake() {
  Tell();
  for (size_t i = 0; i < hosts_.size(); ++i)
    wiring_.shards[i]->Post([host = hosts_[i].get()] { host->OpenAgain(); });
}

Task<Status> Worker::AskHost(size_t host) {
  Said& said = said_[host];
  if (said.asked >= kMostAsked) co_return Status();
  ++said.asked;
  auto shards = co_await RunOn(*wiring_.shards[host], ReportOf(hosts_[host].get()));
  --said.asked;
  said.shards = std::move(shards);
  co_return Status();
}

Task<Result<Report>> Worker::ReportNow() {
  std::vector<Task<Status>> questions;
  for (size_t i = 0; i < hosts_.size(); ++i) questions.push_back(AskHost(i));
  const auto asked =
      co_await WaitAtMost(RunAll(std::move(questions), hosts_.size()), kHostPatience);
  static_cast<void>(asked);
  Report report;
  report.draining = draining_;
  for (const auto& [link, number] : leaders_) report.leader = std::max(report.leader, number);
  for (const Said& said : said_) {
    for (const ShardReport& shard : said.shards) {
      if (report.shards.size() == kMostShardsReported) break;
      report.shards.push_back(shard);
      std::string& message = report.shards.back().info.message;
      message.resize(std::min(message.size(), kLongestMessage));
    }
  }
  report.cannot = StoreAway(report.shards);
  co_return report;
}

}  // namespace millrace::runtime
