#include "millrace/runtime/node.h"

#include <algorithm>

#include "at_once.h"
#include "definitions.h"
#include "millrace/base/facts.h"
#include "millrace/base/hash.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"

namespace millrace::runtime {
namespace {

constexpr auto kRetry = std::chrono::milliseconds(200);

/// Control records on their way at a time.
constexpr size_t kWrites = 64;

Task<Status> DrainWorker(Worker* worker) {
  co_await worker->Drain();
  co_return Status();
}

Task<bool> Passed() { co_return true; }

}  // namespace

Node::Node(Wiring wiring)
    : wiring_(std::move(wiring)),
      self_{wiring_.name, wiring_.control->Random()},
      control_(wiring_.ports.log),
      leadership_(&control_, self_, wiring_.options.beat_interval),
      housekeeping_(
          wiring_.ports, wiring_.options, [this] { return leadership_.leads(); },
          &control_.fold()) {
  Options options = wiring_.options;
  options.opening_shards = std::max<size_t>(1, options.opening_shards / wiring_.shards.size());
  for (size_t i = 0; i < wiring_.shards.size(); ++i)
    workers_.push_back(std::make_unique<Worker>(wiring_.ports, options, this));
}

Node::~Node() = default;

size_t ExecutorOf(const std::string& topic, PartitionId partition, size_t executors) {
  return (Hash(topic).lo + static_cast<uint64_t>(partition.value)) % executors;
}

Task<Status> Node::Start() {
  if (!following_) {
    MILLRACE_CO_TRY(co_await control_.Start());
    following_ = true;
    Executor::Current().Spawn(control_.Follow());
    for (size_t i = 0; i < workers_.size(); ++i) {
      wiring_.shards[i]->Post([worker = workers_[i].get()] { worker->Start(); });
    }
  }
  MILLRACE_CO_TRY(co_await leadership_.WaitForTurn());
  MILLRACE_CO_TRY(co_await leadership_.Claim());
  // Whoever owned the shards before was another process; a new epoch says so to every sink.
  // A Skip that waits keeps its place: it is part of the shard's state until a commit covers it.
  std::vector<Task<Status>> assigns;
  for (const auto& [id, shard] : control_.fold().shards()) {
    control::Record assign = control::Assign{{}, id, self_, Epoch(shard.epoch.value + 1)};
    assigns.push_back(leadership_.Write(std::move(assign), "assign " + id.ToString()));
  }
  MILLRACE_CO_TRY(co_await RunAll(std::move(assigns), kWrites));
  MILLRACE_CO_TRY(co_await Reconcile());
  Executor::Current().Spawn(ReconcileLoop());
  Executor::Current().Spawn(leadership_.Beat());
  Executor::Current().Spawn(housekeeping_.Loop());
  Executor::Current().Spawn(MetricsLoop());
  co_return Status();
}

Task<> Node::Drain() {
  stopped_ = true;
  housekeeping_.Stop();
  std::vector<Task<Status>> drains;
  for (size_t i = 0; i < workers_.size(); ++i)
    drains.push_back(RunOn(*wiring_.shards[i], DrainWorker(workers_[i].get())));
  const size_t all = drains.size();
  const Status drained = co_await RunAll(std::move(drains), all);
  drained.Ignore("a drain cannot fail");
  co_await leadership_.Leave();
  control_.Stop();
}

Task<> Node::ReconcileLoop() {
  while (!stopped_) {
    const Offset seen = control_.fold().next_offset();
    const int64_t changes = control_.ownership_changes();
    Status status;
    if (changes != reconciled_ || !put_off_.empty()) status = co_await Reconcile();
    if (status.ok()) reconciled_ = changes;
    SnapshotIfDue();
    if (status.ok()) troubles_.Worked("reconcile");
    if (!status.ok()) {
      troubles_.Failed("reconcile", "see to the log and its disk", status.error());
      co_await Delay(kRetry);
    } else if (control_.fold().next_offset() == seen) {
      if (put_off_.empty()) {
        co_await control_.changed().Wait();
      } else {
        co_await control_.changed().WaitFor(UntilNextTry());
      }
    }
  }
}

/// Beside the reconciling, which must not wait for it.
void Node::SnapshotIfDue() {
  if (snapshotting_ || stopped_ || !leadership_.leads() ||
      control_.records_since_snapshot() < wiring_.options.snapshot_records ||
      Executor::Current().Monotonic() < snapshot_not_before_) {
    return;
  }
  snapshotting_ = true;
  Executor::Current().Spawn(WriteSnapshot());
}

Task<> Node::WriteSnapshot() {
  const auto written = co_await leadership_.WriteSnapshot();
  snapshotting_ = false;
  if (written.ok() && *written == control::Verdict::kValid) co_return;
  snapshot_not_before_ = Executor::Current().Monotonic() + wiring_.options.retry_last;
  LogWarn("a snapshot of the control log was not written, it is tried again",
          {{"error",
            written.ok() ? std::string(control::VerdictName(*written)) : written.error().message}});
}

/// By the instance: a process that was started again under this name is another one.
bool Node::IsMine(const control::ShardState& shard) const {
  return Planted("owner_by_name") ? shard.worker.name == self_.name
                                  : shard.worker.instance == self_.instance;
}

/// Makes the workers run what the fold says, no more.
Task<Status> Node::Reconcile() {
  const control::Fold& fold = control_.fold();
  MILLRACE_CO_TRY(co_await AnnounceStreams());
  std::vector<Incarnation> undefined;
  std::vector<Incarnation> leaving;
  for (const auto& [incarnation, pipeline] : fold.pipelines()) {
    const bool done = (pipeline.dropped ? dropped_ : served_).contains(incarnation);
    const std::string tables = TablesOf(incarnation);
    if (done) {
      put_off_.erase(tables);
      troubles_.Worked(tables);
    }
    if (done || IsPutOff(tables)) continue;
    (pipeline.dropped ? leaving : undefined).push_back(incarnation);
  }
  // Drops first: a later pipeline may want a name that they free.
  std::vector<Task<Status>> drops;
  for (const Incarnation& incarnation : leaving) drops.push_back(TryDrop(incarnation));
  MILLRACE_CO_TRY(co_await RunAll(std::move(drops), kDefinitionsAtOnce));
  std::vector<Task<Status>> definitions;
  for (const Incarnation& incarnation : undefined) definitions.push_back(TryDefine(incarnation));
  MILLRACE_CO_TRY(co_await RunAll(std::move(definitions), kDefinitionsAtOnce));

  co_await DisownLost();
  co_await RemoveDroppedTopics();
  std::vector<Task<Status>> unassigned;
  for (const auto& [id, shard] : fold.shards()) {
    const auto pipeline = fold.pipelines().find(id.incarnation);
    if (shard.epoch.value == 0 && leadership_.leads())
      unassigned.push_back(AssignUnowned({{}, id, self_, Epoch(1)}));
    if (!IsMine(shard) || !served_.contains(id.incarnation)) continue;
    const auto owned = owned_.find(id);
    if (owned != owned_.end() && owned->second.epoch == shard.epoch) continue;
    const StreamSpec* stream =
        fold.FindStream(id.incarnation.name_space, pipeline->second.spec.stream);
    const size_t i = ExecutorOf(stream->topic, id.partition, workers_.size());
    owned_[id] = {shard.epoch, i};
    wiring_.shards[i]->Post(
        [worker = workers_[i].get(), ownership = Ownership{id, *stream, pipeline->second, shard}] {
          worker->Own(ownership);
        });
  }
  auto assigned = co_await RunAll(std::move(unassigned), kWrites);
  co_return assigned;
}

Task<Status> Node::TryDrop(Incarnation incarnation) {
  const Status finished = co_await FinishDrop(incarnation);
  NoteTry(TablesOf(incarnation), finished,
          "the pipeline is dropped; see to the table store and its disk");
  co_return Status();
}

Task<Status> Node::TryDefine(Incarnation incarnation) {
  const Status defined = co_await DefineServing(incarnation);
  NoteTry(TablesOf(incarnation), defined,
          "see to the table store and its disk, or drop the pipeline if that does not end");
  co_return Status();
}

Task<Status> Node::AssignUnowned(control::Assign assign) {
  const std::string shard = assign.shard.ToString();
  MILLRACE_CO_ASSIGN(const control::Verdict verdict,
                     co_await leadership_.Append(std::move(assign)));
  if (verdict != control::Verdict::kValid && verdict != control::Verdict::kStale &&
      verdict != control::Verdict::kUnknown) {
    co_return Conflict("cannot assign " + shard, {{"verdict", control::VerdictName(verdict)}});
  }
  co_return Status();
}

/// Stops the shards that this process does not own any more.
Task<> Node::DisownLost() {
  const control::Fold& fold = control_.fold();
  bool any = false;
  std::erase_if(owned_, [&](const auto& owned) {
    const auto at = fold.shards().find(owned.first);
    if (at != fold.shards().end() && IsMine(at->second)) return false;
    const size_t i = owned.second.worker;
    wiring_.shards[i]->Post([worker = workers_[i].get(), id = owned.first] { worker->Disown(id); });
    return any = true;
  });
  // Behind what was posted, so that no shard reads a topic that goes with its stream.
  for (size_t i = 0; any && i < wiring_.shards.size(); ++i) {
    const bool passed = co_await RunOn(*wiring_.shards[i], Passed());
    static_cast<void>(passed);
  }
}

bool Node::IsPutOff(const std::string& what) const {
  const auto at = put_off_.find(what);
  return at != put_off_.end() && at->second.until > Executor::Current().Monotonic();
}

/// One pipeline whose stores refuse it must not keep the others, or the process, from starting.
void Node::NoteTry(const std::string& what, const Status& status, const std::string& advice) {
  if (status.ok()) {
    put_off_.erase(what);
    troubles_.Worked(what);
    return;
  }
  PutOff& next = put_off_[what];
  next.delay = std::clamp<Executor::Duration>(next.delay * 2, kRetry, wiring_.options.retry_last);
  next.until = Executor::Current().Monotonic() + next.delay;
  troubles_.Failed(what, advice, status.error());
}

std::string Node::TablesOf(const Incarnation& incarnation) {
  return "tables of " + incarnation.ToString();
}

Executor::Duration Node::UntilNextTry() const {
  Executor::Duration wait = wiring_.options.retry_last;
  for (const auto& [what, next] : put_off_)
    wait = std::min(wait, next.until - Executor::Current().Monotonic());
  return std::max(wait, Executor::Duration(0));
}

Task<Result<control::ControlClient::Committed>> Node::WriteCommit(control::Commit commit) {
  auto committed = co_await RunOn(*wiring_.control, WriteCommitHere(std::move(commit)));
  co_return committed;
}

Task<Result<control::ControlClient::Committed>> Node::WriteCommitHere(control::Commit commit) {
  MILLRACE_CO_ASSIGN(const control::Verdict verdict, co_await control_.Write(commit));
  Committed out{verdict, {}};
  const auto at = control_.fold().shards().find(commit.shard);
  if (at == control_.fold().shards().end()) co_return out;
  out.shard = at->second;
  // An append whose outcome was unknown may have counted; the one after it is stale then.
  if (verdict == control::Verdict::kStale && !out.shard.commits.empty() &&
      out.shard.commits.back().manifest == commit.manifest) {
    out.verdict = control::Verdict::kValid;
  }
  co_return out;
}

Task<Status> Node::RequestEpoch(ShardId shard, Epoch epoch) {
  auto asked = co_await RunOn(*wiring_.control, RequestEpochHere(std::move(shard), epoch));
  co_return asked;
}

Task<Status> Node::RequestEpochHere(ShardId shard, Epoch epoch) {
  const auto at = control_.fold().shards().find(shard);
  // Dropped, or another epoch came already.
  if (at == control_.fold().shards().end() || at->second.epoch != epoch || !IsMine(at->second))
    co_return Status();
  if (!leadership_.leads()) {
    co_return Conflict("another process leads and has not assigned the shard yet",
                       {{"leader", control_.fold().leader().process.name}});
  }
  control::Assign assign{{}, shard, self_, Epoch(epoch.value + 1)};
  auto assigned = co_await AssignUnowned(std::move(assign));
  co_return assigned;
}

Task<Result<control::ShardState>> Node::ReadShard(ShardId shard) {
  auto state = co_await RunOn(*wiring_.control, ReadShardHere(std::move(shard)));
  co_return state;
}

Task<Result<control::ShardState>> Node::ReadShardHere(ShardId shard) {
  const auto at = control_.fold().shards().find(shard);
  if (at == control_.fold().shards().end())
    co_return NotFound("the control log has no such shard", {{"shard", shard.ToString()}});
  co_return at->second;
}

}  // namespace millrace::runtime
