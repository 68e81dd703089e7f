#include "millrace/runtime/worker.h"

#include <algorithm>

#include "at_once.h"
#include "millrace/base/crash_point.h"
#include "millrace/base/facts.h"
#include "millrace/base/hash.h"
#include "millrace/base/planted.h"
#include "millrace/control/settings.h"

namespace millrace::runtime {

using operations::Operations;
using operations::ProducerInfo;
namespace {

constexpr auto kByePatience = std::chrono::seconds(1);
/// For the last cuts of a worker that could not give away all of its shards in time.
constexpr auto kLastCuts = std::chrono::seconds(5);
constexpr auto kLookAtFold = std::chrono::seconds(1);

Task<Status> DrainHost(ShardHost* host, Executor::Duration patience) {
  co_await host->Drain(patience);
  co_return Status();
}

Task<Result<std::vector<ProducerInfo>>> ProducersOf(ShardHost* host, std::string name_space,
                                                    std::string stream, Principal principal,
                                                    std::string prefix) {
  co_return host->FindProducers(name_space, stream, principal, prefix);
}

Task<bool> Passed() { co_return true; }

Task<Status> SayBye(WorkerLink* link) {
  co_await link->Bye();
  co_return Status();
}

}  // namespace

size_t ExecutorOf(const std::string& topic, PartitionId partition, size_t executors) {
  return (Hash(topic).lo + static_cast<uint64_t>(partition.value)) % executors;
}

Worker::Worker(Wiring wiring, control::ControlReader* control, control::ControlWriter* writer)
    : wiring_(std::move(wiring)), control_(*control), writer_(*writer), changes_(control) {
  Options options = wiring_.options;
  options.opening_shards = std::max<size_t>(1, options.opening_shards / wiring_.shards.size());
  for (size_t i = 0; i < wiring_.shards.size(); ++i)
    hosts_.push_back(std::make_unique<ShardHost>(wiring_.ports, options, this));
  said_.resize(hosts_.size());
}

void Worker::Start() {
  for (size_t i = 0; i < hosts_.size(); ++i)
    wiring_.shards[i]->Post([host = hosts_[i].get()] { host->Start(); });
  for (WorkerLink* link : wiring_.coordinators) Executor::Current().Spawn(ReportTo(link));
  Executor::Current().Spawn(Follow());
}

Task<> Worker::Drain() {
  const auto begun = Executor::Current().Monotonic();
  draining_ = true;
  Tell();
  // One that is alone has nobody to give anything to.
  if (wiring_.options.beat_interval > Options::Duration(0)) co_await MoveAway();
  const auto spent = Executor::Current().Monotonic() - begun;
  const auto left = std::max<Executor::Duration>(wiring_.options.drain_deadline - spent, kLastCuts);
  stopped_ = true;
  tell_.Notify();
  std::vector<Task<Status>> drains;
  for (size_t i = 0; i < hosts_.size(); ++i)
    drains.push_back(RunOn(*wiring_.shards[i], DrainHost(hosts_[i].get(), left)));
  const size_t all = drains.size();
  const Status drained = co_await RunAll(std::move(drains), all);
  drained.Ignore("a drain cannot fail");
  CrashPoint("drain.before_bye");
  std::vector<Task<Status>> byes;
  for (WorkerLink* link : wiring_.coordinators) byes.push_back(SayBye(link));
  const size_t links = byes.size();
  const auto said = co_await WaitAtMost(RunAll(std::move(byes), links), kByePatience);
  static_cast<void>(said);  // who does not hear it finds the silence
}

bool Worker::OwnsAny() const {
  const auto& shards = control_.fold().shards();
  // Of a halted one nothing is to be handed over.
  return std::any_of(shards.begin(), shards.end(),
                     [&](const auto& s) { return IsMine(s.second) && !s.second.halt; });
}

Task<> Worker::MoveAway() {
  const auto deadline = Executor::Current().Monotonic() + wiring_.options.drain_deadline;
  for (size_t i = 0; i < hosts_.size(); ++i)
    wiring_.shards[i]->Post([host = hosts_[i].get()] { host->CutAll(); });
  while (OwnsAny() && Executor::Current().Monotonic() < deadline)
    co_await control_.changed().WaitFor(kLookAtFold);
  CrashPoint("drain.moved_away");
}

Task<> Worker::Follow() {
  while (!stopped_) {
    FollowFold();
    if (changes_.empty()) co_await changes_.filled().Wait();
  }
}

/// Sees to what changed since the last call.
void Worker::FollowFold() {
  const control::Changes changes = changes_.Take();
  if (changes.empty()) return;
  std::set<ShardId> changed = changes.shards;
  std::set<Incarnation> views = changes.settings;
  views.insert(changes.views.begin(), changes.views.end());
  if (changes.everything) {
    views = paused_;
    for (const auto& [what, settings] : control_.fold().settings()) views.insert(what);
    for (const auto& [id, owned] : owned_) changed.insert(id);
    for (const auto& [id, shard] : control_.fold().shards()) changed.insert(id);
  }
  // First, so that a shard of a paused view does not begin to read.
  for (const Incarnation& view : views) ComparePause(view);
  for (const ShardId& id : changed) Compare(id);
  FollowWished();
  owned_changed_.Notify();
}

/// By the instance: a process that was started again under this name is another one.
bool Worker::IsMine(const control::ShardState& shard) const {
  return Planted("owner_by_name") ? shard.worker.name == wiring_.self.name
                                  : shard.worker.instance == wiring_.self.instance;
}

void Worker::ComparePause(const Incarnation& view) {
  const bool paused = control::IsPaused(control_.fold(), view);
  if (paused == paused_.contains(view)) return;
  paused ? static_cast<void>(paused_.insert(view)) : static_cast<void>(paused_.erase(view));
  for (size_t i = 0; i < hosts_.size(); ++i)
    wiring_.shards[i]->Post(
        [host = hosts_[i].get(), view, paused] { host->SetPaused(view, paused); });
}

/// Gives a shard to a host if this worker owns it, and takes it away if not.
void Worker::Compare(const ShardId& id) {
  const control::Fold& fold = control_.fold();
  const auto at = fold.shards().find(id);
  const bool mine = at != fold.shards().end() && IsMine(at->second);
  const auto owned = owned_.find(id);
  if (!mine && owned == owned_.end()) return;
  if (!mine) {
    const size_t i = owned->second.host;
    owned_.erase(owned);
    wiring_.shards[i]->Post([host = hosts_[i].get(), id] { host->Disown(id); });
    return;
  }
  if (owned != owned_.end() && owned->second.epoch == at->second.epoch) return;
  // Its hosts have stopped, or are about to.
  if (stopped_) return;
  Ownership ownership = OwnershipOf(id);
  const size_t i = ExecutorOf(ownership.stream.topic, id.partition, hosts_.size());
  owned_[id] = {at->second.epoch, i};
  followed_.erase(id);
  wiring_.shards[i]->Post([host = hosts_[i].get(), own = std::move(ownership)] { host->Own(own); });
}

Ownership Worker::OwnershipOf(const ShardId& id) const {
  const control::Fold& fold = control_.fold();
  const control::PipelineState& pipeline = fold.pipelines().at(id.incarnation);
  const StreamSpec* stream = fold.FindStream(id.incarnation.name_space, pipeline.spec.stream);
  return {id, *stream, pipeline, fold.shards().at(id)};
}

/// Has its hosts follow what the leader wishes, and no more.
void Worker::FollowWished() {
  const control::Fold& fold = control_.fold();
  std::erase_if(followed_, [&](const auto& followed) {
    if (wished_.contains(followed.first) && fold.shards().contains(followed.first)) return false;
    wiring_.shards[followed.second]->Post(
        [host = hosts_[followed.second].get(), id = followed.first] { host->Disown(id); });
    return true;
  });
  for (const ShardId& id : wished_) {
    const auto at = fold.shards().find(id);
    if (at == fold.shards().end() || IsMine(at->second) || owned_.contains(id) ||
        followed_.contains(id) || draining_)
      continue;
    Ownership ownership = OwnershipOf(id);
    const size_t i = ExecutorOf(ownership.stream.topic, id.partition, hosts_.size());
    followed_[id] = i;
    wiring_.shards[i]->Post(
        [host = hosts_[i].get(), follow = std::move(ownership)] { host->Follow(follow); });
  }
}

/// Only the coordinator that leads in this worker's own fold has anything to wish.
Task<> Worker::Obey(Answer answer) {
  if (answer.leader == 0 || answer.leader != control_.fold().leader().n) co_return;
  std::set<ShardId> wished(answer.follow.begin(), answer.follow.end());
  const bool drops = std::any_of(wished_.begin(), wished_.end(),
                                 [&](const ShardId& id) { return !wished.contains(id); });
  if (drops) {
    // What is wished no more may be assigned, and that is on its way.
    const Status read = co_await control_.CatchUp();
    if (!read.ok()) co_return;
    FollowFold();
  }
  wished_ = std::move(wished);
  FollowWished();
}

Task<> Worker::StopLost() {
  FollowFold();
  // Behind what was posted, now or by Follow() a moment ago.
  for (Executor* executor : wiring_.shards) {
    const bool passed = co_await RunOn(*executor, Passed());
    static_cast<void>(passed);
  }
}

Task<Result<std::vector<ProducerInfo>>> Worker::FindProducers(std::string name_space,
                                                              std::string stream,
                                                              Principal principal,
                                                              std::string prefix) {
  std::vector<ProducerInfo> out;
  for (size_t i = 0; i < hosts_.size(); ++i) {
    MILLRACE_CO_ASSIGN(std::vector<ProducerInfo> some,
                       co_await RunOn(*wiring_.shards[i], ProducersOf(hosts_[i].get(), name_space,
                                                                      stream, principal, prefix)));
    for (ProducerInfo& info : some) out.push_back(std::move(info));
  }
  co_return out;
}

Task<Status> Worker::WaitApplied(ShardId shard, Offset offset, Executor::Duration patience,
                                 Operations::Left left) {
  const auto deadline = Executor::Current().Monotonic() + patience;
  // It may be defined and not be here yet.
  while (!owned_.contains(shard)) {
    if (left && *left) co_return Unavailable("the caller left");
    const auto at = control_.fold().shards().find(shard);
    if (at == control_.fold().shards().end())
      co_return NotFound("the control log has no such shard", {{"shard", shard.ToString()}});
    if (!IsMine(at->second))
      co_return Conflict("the shard has another owner", {{"shard", shard.ToString()}});
    if (draining_ || stopped_ || Executor::Current().Monotonic() >= deadline) {
      co_return Unavailable("a shard does not run; see `millrace shard list`",
                            {{"shard", shard.ToString()}});
    }
    co_await owned_changed_.WaitFor(std::chrono::milliseconds(50));
  }
  const size_t i = owned_.at(shard).host;
  auto applied = co_await RunOn(*wiring_.shards[i],
                                hosts_[i]->WaitApplied(shard, offset, deadline, std::move(left)));
  co_return applied;
}

Task<Result<control::ControlClient::Committed>> Worker::WriteCommit(control::Commit commit) {
  auto committed = co_await RunOn(*wiring_.control, WriteCommitHere(std::move(commit)));
  co_return committed;
}

Task<Result<control::ControlClient::Committed>> Worker::WriteCommitHere(control::Commit commit) {
  const auto verdict = co_await writer_.Write(commit);
  Committed out{verdict.ok() ? *verdict : control::Verdict::kUnknown, {}};
  const auto at = control_.fold().shards().find(commit.shard);
  if (at != control_.fold().shards().end()) out.shard = at->second;
  // An append whose outcome was unknown may have counted; the one after it is stale then. And a
  // log that was trimmed in between tells only by its fold.
  const auto& commits = out.shard.commits;
  if (std::any_of(commits.begin(), commits.end(),
                  [&](const auto& c) { return c.manifest == commit.manifest; })) {
    out.verdict = control::Verdict::kValid;
  } else if (!verdict.ok()) {
    co_return verdict.error();
  }
  co_return out;
}

Task<Result<control::Verdict>> Worker::WriteHalt(control::Halt halt) {
  control::Record record = std::move(halt);
  auto written = co_await RunOn(*wiring_.control, writer_.Write(std::move(record)));
  co_return written;
}

Task<Status> Worker::RequestEpoch(ShardId shard, Epoch epoch) {
  auto asked = co_await RunOn(*wiring_.control, RequestEpochHere(std::move(shard), epoch));
  co_return asked;
}

Task<Status> Worker::RequestEpochHere(ShardId shard, Epoch epoch) {
  const auto at = control_.fold().shards().find(shard);
  // Dropped, or another epoch came already.
  if (at == control_.fold().shards().end() || at->second.epoch != epoch || !IsMine(at->second))
    co_return Status();
  // The leader assigns the shard again when it reads in a report that it waits.
  Tell();
  co_return Status();
}

Task<Result<control::ShardState>> Worker::ReadShard(ShardId shard) {
  auto state = co_await RunOn(*wiring_.control, ReadShardHere(std::move(shard)));
  co_return state;
}

Task<Result<control::ShardState>> Worker::ReadShardHere(ShardId shard) {
  // What a shard concludes from this would be wrong if its next owner was on its way here.
  if (!Planted("halt_without_catching_up")) MILLRACE_CO_TRY(co_await control_.CatchUp());
  const auto at = control_.fold().shards().find(shard);
  if (at == control_.fold().shards().end())
    co_return NotFound("the control log has no such shard", {{"shard", shard.ToString()}});
  co_return at->second;
}

}  // namespace millrace::runtime
