#include "millrace/runtime/shard_host.h"

#include "at_once.h"
#include "backoff.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"

namespace millrace::runtime {

using operations::Operations;
using operations::ProducerInfo;
using operations::ShardInfo;
namespace {

constexpr auto kHousekeeping = std::chrono::milliseconds(50);
constexpr auto kExportMetrics = std::chrono::milliseconds(500);
constexpr auto kPoll = std::chrono::milliseconds(10);
/// A follower that is no further behind may own its shard.
constexpr int64_t kLevelRecords = 1'000;
constexpr std::chrono::microseconds kLevelTime = std::chrono::seconds(1);
/// Shards that a host cuts at once when it stops.
constexpr size_t kDrains = 8;

/// A store that a shard has not reached for so long is named in the report.
constexpr auto kAwayTime = std::chrono::seconds(30);

std::string_view StoreAway(const Shard& shard) {
  const auto fails = [&](std::string_view part) {
    return shard.troubles().failing_for(part, kAwayTime);
  };
  if (fails("sink_tables")) return "table store";
  if (fails("sink_files") || fails("cut")) return "object store";
  if (fails("log_read") || fails("log_append")) return "log";
  return "";
}

Task<Status> CutOne(std::shared_ptr<Shard> shard) {
  auto cut = co_await shard->Cut(true);
  co_return cut;
}

}  // namespace

ShardHost::ShardHost(Ports ports, Options options, control::ControlClient* control)
    : ports_(ports), options_(options), control_(control) {}

void ShardHost::Start() { Executor::Current().Spawn(MetricsLoop()); }

bool ShardHost::Current(const ShardId& id, int64_t generation) const {
  const auto at = slots_.find(id);
  return !stopped_ && at != slots_.end() && at->second.generation == generation;
}

void ShardHost::Own(Ownership ownership) {
  const ShardId id = ownership.shard;
  Slot& slot = slots_[id];
  // RunShard makes a follower the owner, if it can.
  if (slot.shard && slot.shard->phase() != ShardPhase::kFollowing) slot.shard->Stop();
  if (!slot.metrics)
    slot.metrics = std::make_unique<ShardMetrics>(ports_.metrics, id, ownership.stream.name);
  slot.ownership = std::move(ownership);
  slot.generation = ++generations_;
  Executor::Current().Spawn(RunShard(id, slot.generation));
}

void ShardHost::Follow(Ownership ownership) {
  const ShardId id = ownership.shard;
  Slot& slot = slots_[id];
  slot.ownership = std::move(ownership);
  slot.generation = ++generations_;
  Executor::Current().Spawn(FollowShard(id, slot.generation));
}

void ShardHost::Disown(const ShardId& shard) {
  const auto at = slots_.find(shard);
  if (at == slots_.end()) return;
  Close(std::move(at->second.shard));
  if (at->second.metrics) at->second.metrics->Clear();
  slots_.erase(at);
}

void ShardHost::SetPaused(const Incarnation& view, bool paused) {
  paused ? static_cast<void>(paused_.insert(view)) : static_cast<void>(paused_.erase(view));
  for (const auto& [id, slot] : slots_) {
    if (id.incarnation == view && slot.shard && slot.shard->phase() == ShardPhase::kRunning)
      AttachUnlessPaused(slot.shard);
  }
}

/// One that is paused has no reader. It goes on where it stands, apart from others at first.
void ShardHost::AttachUnlessPaused(const std::shared_ptr<Shard>& shard) {
  if (paused_.contains(shard->id().incarnation)) {
    Detach(shard);
  } else {
    RunnerOf(shard->stream(), shard->id().partition).Attach(shard);
  }
}

void ShardHost::Close(std::shared_ptr<Shard> shard) {
  if (!shard) return;
  shard->Stop();
  Executor::Current().Spawn(RemoveState(shard->local_name(), shard));
}

Task<> ShardHost::RemoveState(std::string local_name, std::weak_ptr<Shard> shard) {
  while (!shard.expired() && !stopped_) co_await Delay(kPoll);
  if (stopped_) co_return;
  const Status removed = co_await ports_.states->Remove(local_name);
  if (!removed.ok()) {
    LogWarn("the local state of a shard was not removed; it is at the next start",
            {{"state", local_name}, {"error", removed.error().message}});
  }
}

PartitionRunner& ShardHost::RunnerOf(const StreamSpec& stream, PartitionId partition) {
  auto& runner = runners_[{stream.topic, partition}];
  // The topic may have gone to another stream; no shard of the one before is left then.
  if (runner && runner->stream().schema() != stream.schema()) {
    runner->Stop();
    runner.reset();
  }
  if (!runner) {
    runner = std::make_shared<PartitionRunner>(stream, partition, ports_, options_);
    runner->Start();
  }
  return *runner;
}

/// A partition that no shard reads costs nothing.
void ShardHost::DropIdleRunner(const StreamSpec& stream, PartitionId partition) {
  const auto at = runners_.find({stream.topic, partition});
  if (at == runners_.end() || at->second->has_shards()) return;
  at->second->Stop();
  runners_.erase(at);
}

/// A shard that opens holds more than one that runs, so only some do at a time. Who tries again
/// waits for another turn.
Task<Status> ShardHost::OpenInTurn(std::shared_ptr<Shard> shard, const Ownership& ownership,
                                   int64_t generation, bool follow) {
  if (opening_ < options_.opening_shards) {
    ++opening_;
  } else {
    const Completion<bool> turn;
    opening_next_.push_back(turn);
    co_await turn;  // whoever leaves hands its place over
  }
  const ShardId& id = shard->id();
  Status opened =
      Unavailable("the shard is not this worker's any more", {{"shard", id.ToString()}});
  const auto partition = static_cast<size_t>(id.partition.value);
  try {
    const Offset start = ownership.pipeline.start_offsets[partition];
    if (Current(id, generation)) {
      auto open =
          follow ? shard->Follow(ownership.state, start) : shard->Open(ownership.state, start);
      opened = co_await std::move(open);
    }
  } catch (const InvariantViolation& broken) {
    shard->Halt({std::string("a broken invariant while opening: ") + broken.what() +
                     "; report it, then try again with `millrace shard retry " + id.ToString() +
                     "`",
                 "", false, std::nullopt, false});
  }
  if (opening_next_.empty()) {
    --opening_;
  } else {
    opening_next_.front().Set(true);
    opening_next_.pop_front();
  }
  co_return opened;
}

/// Opens and serves a shard until its ownership changes, it is fenced or it halts. Opens it again
/// under the same epoch only if it could not be opened: then no batch of that life was ever sent.
Task<> ShardHost::RunShard(ShardId id, int64_t generation) {
  Backoff backoff(options_.retry_first, options_.retry_last);
  while (Current(id, generation)) {
    const Ownership ownership = slots_.at(id).ownership;
    std::shared_ptr<Shard> shard = co_await OwnFollower(id);
    if (!Current(id, generation)) co_return;
    Status opened;
    if (!shard) {
      shard = NewShard(ownership);
      Close(std::exchange(slots_.at(id).shard, shard));
      opened = co_await OpenInTurn(shard, ownership, generation, false);
    }
    if (!Current(id, generation)) co_return;
    if (shard->halted()) {
      co_await RecordHalt(shard, generation);
      if (shard->phase() == ShardPhase::kWaiting)
        co_await AskForEpoch(id, shard->epoch(), generation);
      co_return;
    }
    if (shard->fenced()) {
      co_await HaltIfOwner(shard, generation);
      co_return;
    }
    if (opened.ok()) {
      backoff.Reset();
      slots_.at(id).open_failure.clear();
      const Status served = co_await ServeShard(shard, id, generation);
      served.Ignore("why a shard stopped is logged where it stops");
      if (shard->fenced() && Current(id, generation)) co_await HaltIfOwner(shard, generation);
      if (shard->phase() == ShardPhase::kHalting) co_await RecordHalt(shard, generation);
      if (shard->phase() != ShardPhase::kWaiting) co_return;
      if (!Planted("reopen_same_epoch")) {
        co_await AskForEpoch(id, shard->epoch(), generation);
        co_return;
      }
      const auto state = co_await control_->ReadShard(id);
      if (state.ok() && Current(id, generation)) slots_.at(id).ownership.state = *state;
      continue;
    }
    // The leader says itself what keeps it from making tables.
    slots_.at(id).open_failure = shard->waits_for_tables() ? "" : opened.error().message;
    if (!shard->waits_for_tables()) {
      open_failures_.Warn("a shard cannot be opened, it is tried again",
                          {{"shard", id.ToString()}, {"error", opened.error().message}});
    }
    co_await open_again_.WaitFor(backoff.Next());
    // A commit of an earlier owner may have counted since: what it replaced may be cleaned away.
    auto state = co_await control_->ReadShard(id);
    if (state.ok() && Current(id, generation) && state->epoch == ownership.state.epoch)
      slots_.at(id).ownership.state = std::move(*state);
  }
}

std::shared_ptr<Shard> ShardHost::NewShard(const Ownership& ownership) {
  return std::make_shared<Shard>(ownership.shard, ownership.state.epoch, ++openings_,
                                 ownership.stream, ownership.pipeline, ports_, options_, control_);
}

/// The follower of the slot, which owns the shard now; nullptr: there is none that can.
Task<std::shared_ptr<Shard>> ShardHost::OwnFollower(ShardId id) {
  const std::shared_ptr<Shard> shard = slots_.at(id).shard;
  if (!shard || shard->phase() != ShardPhase::kFollowing) co_return nullptr;
  control::ShardState assigned = slots_.at(id).ownership.state;
  const auto owns = co_await shard->BecomeOwner(std::move(assigned));
  if (owns.ok() && *owns) co_return shard;
  LogInfo(
      "a follower cannot go on as the owner, the shard is opened anew",
      {{"shard", id.ToString()}, {"error", owns.ok() ? shard->message() : owns.error().message}});
  Detach(shard);
  co_return nullptr;
}

void ShardHost::Detach(const std::shared_ptr<Shard>& shard) {
  const auto at = runners_.find({shard->stream().topic, shard->id().partition});
  if (at != runners_.end()) at->second->Detach(shard.get());
  if (!stopped_) DropIdleRunner(shard->stream(), shard->id().partition);
}

/// Follows until the worker owns the shard or is to let go of it.
Task<> ShardHost::FollowShard(ShardId id, int64_t generation) {
  Backoff backoff(options_.retry_first, options_.retry_last);
  while (Current(id, generation)) {
    auto state = co_await control_->ReadShard(id);
    if (!Current(id, generation)) co_return;
    if (state.ok()) {
      slots_.at(id).ownership.state = std::move(*state);
      const Ownership ownership = slots_.at(id).ownership;
      const std::shared_ptr<Shard> shard = NewShard(ownership);
      Close(std::exchange(slots_.at(id).shard, shard));
      const Status opened = co_await OpenInTurn(shard, ownership, generation, true);
      if (!Current(id, generation)) co_return;
      if (opened.ok()) {
        backoff.Reset();
        RunnerOf(ownership.stream, id.partition).Attach(shard);
        Executor::Current().Spawn(shard->FollowOwner());
        while (Current(id, generation) && shard->phase() == ShardPhase::kFollowing)
          co_await Delay(kHousekeeping);
        // The owner now, or about to be.
        if (shard->folds()) co_return;
        Detach(shard);
        if (!Current(id, generation)) co_return;
      }
      slots_.at(id).open_failure = opened.ok() ? shard->message() : opened.error().message;
    }
    co_await open_again_.WaitFor(backoff.Next());
  }
}

/// Until Own() brings the next epoch.
Task<> ShardHost::AskForEpoch(ShardId id, Epoch epoch, int64_t generation) {
  Backoff backoff(options_.retry_first, options_.retry_last);
  while (Current(id, generation)) {
    const Status asked = co_await control_->RequestEpoch(id, epoch);
    if (!asked.ok()) {
      open_failures_.Warn("a shard waits for a new epoch",
                          {{"shard", id.ToString()}, {"error", asked.error().message}});
    }
    co_await Delay(backoff.Next());
  }
}

Task<Status> ShardHost::ServeShard(std::shared_ptr<Shard> shard, ShardId id, int64_t generation) {
  AttachUnlessPaused(shard);
  shard->StartSinks();
  while (Current(id, generation) && shard->phase() == ShardPhase::kRunning) {
    if (shard->cut_due()) {
      const Status cut = co_await shard->Cut(false);
      cut.Ignore("a failed cut is logged and due again");
    }
    co_await Delay(kHousekeeping);
  }
  Detach(shard);
  co_return Status();
}

void ShardHost::CutAll() { Executor::Current().Spawn(CutShards()); }

Task<> ShardHost::CutShards() {
  std::vector<Task<Status>> cuts;
  for (const auto& [id, slot] : slots_) {
    if (slot.shard && slot.shard->phase() == ShardPhase::kRunning)
      cuts.push_back(CutOne(slot.shard));
  }
  const Status cut = co_await RunAll(std::move(cuts), kDrains);
  cut.Ignore("a failed cut is logged; who takes the shard over reads more");
}

Task<> ShardHost::Drain(Executor::Duration patience) {
  const auto deadline = Executor::Current().Monotonic() + patience;
  for (const auto& [key, runner] : runners_) runner->Stop();
  Executor::Current().Spawn(DrainShards());
  while (!drained_ && Executor::Current().Monotonic() < deadline)
    co_await drain_ended_.WaitFor(deadline - Executor::Current().Monotonic());
  int64_t uncut = 0;
  for (const auto& [id, slot] : slots_) {
    if (!slot.shard || slot.shard->phase() != ShardPhase::kRunning) continue;
    ++uncut;
    slot.shard->Stop();
  }
  if (uncut > 0) {
    LogWarn("shards were not cut in time; the next start reads on from their last cuts",
            {{"shards", uncut}});
  }
  stopped_ = true;
}

Task<> ShardHost::DrainShards() {
  std::vector<Task<Status>> drains;
  for (const auto& [id, slot] : slots_) {
    if (slot.shard && slot.shard->phase() == ShardPhase::kRunning)
      drains.push_back(DrainShard(slot.shard));
  }
  const Status drained = co_await RunAll(std::move(drains), kDrains);
  drained.Ignore("a failed cut is logged; what it would have saved is replayed at the next start");
  drained_ = true;
  drain_ended_.Notify();
}

Task<Status> ShardHost::DrainShard(std::shared_ptr<Shard> shard) {
  // A cut that is under way, or a record that still makes rows.
  while (shard->phase() == ShardPhase::kRunning && (shard->cutting() || shard->emitting()))
    co_await Delay(kPoll);
  const Status cut = co_await shard->Cut(true);
  shard->Stop();
  co_return cut;
}

Offset ShardHost::EndSeen(const StreamSpec& stream, PartitionId partition) const {
  const auto at = runners_.find({stream.topic, partition});
  return at == runners_.end() ? Offset(-1) : at->second->end();
}

/// Of a follower: it could own the shard at once.
bool ShardHost::IsLevel(const Shard& shard) const {
  const auto runner = runners_.find({shard.stream().topic, shard.id().partition});
  if (shard.phase() != ShardPhase::kFollowing || runner == runners_.end()) return false;
  const Executor& executor = Executor::Current();
  const Offset end = runner->second->end();
  // One that cannot read does not know how far it is behind.
  if (end < Offset(0) || executor.Monotonic() - runner->second->end_read_at() > kLevelTime)
    return false;
  const auto last = shard.last_append_time();
  return end.value - shard.next_offset().value <= kLevelRecords ||
         (last && executor.Wall() - *last <= kLevelTime.count());
}

std::vector<ShardReport> ShardHost::Report() const {
  std::vector<ShardReport> out;
  for (const auto& [id, slot] : slots_) {
    ShardReport report;
    ShardInfo& info = report.info;
    info.shard = id;
    info.epoch = slot.ownership.state.epoch;
    info.worker = slot.ownership.state.worker.name;
    info.state = PhaseName(slot.shard ? slot.shard->phase() : ShardPhase::kOpening);
    if (slot.shard) {
      info.message =
          slot.shard->phase() == ShardPhase::kOpening ? slot.open_failure : slot.shard->message();
      if (slot.shard->phase() == ShardPhase::kHalting && !slot.open_failure.empty())
        info.message += "; the control log does not say so yet: " + slot.open_failure;
      if (slot.shard->phase() == ShardPhase::kRunning) info.message = slot.shard->troubles().Text();
      info.next_offset =
          slot.shard->has_fold() ? slot.shard->next_offset() : slot.ownership.state.next_offset;
      info.last_cut = slot.shard->last_cut();
      if (slot.shard->has_fold()) {
        const auto& fold = slot.shard->fold();
        info.watermark = slot.shard->outbox().applied_watermark();
        info.read_watermark = fold.watermark();
        info.late = fold.ledger().late;
        info.quarantined = fold.ledger().quarantined;
        info.open_windows = static_cast<int64_t>(fold.open_windows());
        report.state_bytes = static_cast<int64_t>(fold.state_bytes());
      }
      info.end_offset = EndSeen(slot.ownership.stream, id.partition);
      report.level = IsLevel(*slot.shard);
      if (slot.shard->phase() == ShardPhase::kRunning) report.cannot = StoreAway(*slot.shard);
      report.busy = slot.shard->busy();
      report.bytes = slot.shard->bytes_read();
      for (int o = 1; o <= kOutputs; ++o) {
        report.rows_made += slot.shard->outbox().made(static_cast<Output>(o));
        report.rows_applied += slot.shard->outbox().applied(static_cast<Output>(o));
      }
    }
    out.push_back(std::move(report));
  }
  return out;
}

std::vector<ProducerInfo> ShardHost::FindProducers(const std::string& name_space,
                                                   const std::string& stream,
                                                   const Principal& principal,
                                                   const std::string& prefix) const {
  std::vector<ProducerInfo> found;
  for (const auto& [id, slot] : slots_) {
    const StreamSpec& spec = slot.ownership.stream;
    if (spec.name_space != name_space || spec.name != stream || !slot.shard ||
        !slot.shard->has_fold())
      continue;
    for (window::KnownProducer& producer :
         slot.shard->fold().FindProducers(principal.name, prefix, Operations::kMostProducers))
      found.push_back({std::move(producer.id), producer.end});
  }
  return found;
}

std::shared_ptr<Shard> ShardHost::Find(const ShardId& shard) const {
  const auto at = slots_.find(shard);
  return at == slots_.end() ? nullptr : at->second.shard;
}

Task<Status> ShardHost::WaitApplied(ShardId id, Offset offset, Executor::Duration deadline,
                                    Operations::Left left) {
  std::vector<int64_t> made;
  for (;;) {
    if (left && *left) co_return Unavailable("the caller left");
    const std::shared_ptr<Shard> shard = Find(id);
    if (stopped_ || !shard || shard->phase() == ShardPhase::kHalted) {
      co_return Unavailable("a shard does not run; see `millrace shard list`",
                            {{"shard", id.ToString()}});
    }
    if (shard->phase() == ShardPhase::kRunning && shard->next_offset() >= offset) {
      if (made.empty()) {
        for (int o = 1; o <= kOutputs; ++o)
          made.push_back(shard->fold().last_seq(static_cast<Output>(o)));
      }
      bool applied = true;
      for (int o = 1; o <= kOutputs; ++o) {
        const auto output = static_cast<Output>(o);
        if (output != Output::kFiles)
          applied &= shard->outbox().applied(output) >= made[static_cast<size_t>(o - 1)];
      }
      if (applied) co_return Status();
    }
    if (Executor::Current().Monotonic() >= deadline) {
      co_return Unavailable("the shard did not reach the offset in time; see `millrace shard list`",
                            {{"shard", id.ToString()}, {"offset", offset.value}});
    }
    co_await Delay(kPoll);
  }
}

Task<> ShardHost::MetricsLoop() {
  while (!stopped_) {
    co_await Delay(kExportMetrics);
    std::vector<ShardId> ids;
    for (const auto& [id, slot] : slots_) ids.push_back(id);
    for (const ShardId& id : ids) {
      const auto shard = Find(id);
      if (!shard) continue;
      const auto range = co_await ports_.log->Range(shard->stream().topic, id.partition);
      const auto at = slots_.find(id);
      if (range.ok() && at != slots_.end() && at->second.shard == shard && at->second.metrics)
        at->second.metrics->Export(*shard, paused_.contains(id.incarnation), range->end,
                                   Executor::Current().Wall());
    }
  }
}

}  // namespace millrace::runtime
