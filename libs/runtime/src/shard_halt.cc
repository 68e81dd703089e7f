#include <algorithm>

#include "millrace/base/crash_point.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"
#include "millrace/model/object_keys.h"
#include "millrace/objectstore/object_pager.h"
#include "millrace/runtime/read_again.h"
#include "millrace/runtime/shard.h"

namespace millrace::runtime {
namespace {

/// Of a Halt record: the message is for people.
constexpr size_t kMessageBytes = 4096;

}  // namespace

void Shard::LogChanged(const Recalled& recalled) {
  if (muted_) return StopFollowing("the log is not the one that was read");
  if (!alive()) return;
  const Offset first =
      recalled.last_same ? Offset(recalled.last_same->offset.value + 1) : base_offset_;
  const int64_t lost = std::max<int64_t>(1, next_offset_.value - first.value);
  telemetry_.LostRecords(lost);
  LogWarn(
      "the log has become another one while a shard read it; the shard goes on from its last "
      "checkpoint, if that is of this log",
      {{"shard", id_.ToString()},
       {"next_offset", next_offset_.value},
       {"checkpoint", base_offset_.value},
       {"lost_records_at_most", lost}});
  // If the shard has another owner by now, nobody hears what this one waits for.
  AwaitEpoch("the log lost records that the shard had read, at most " + std::to_string(lost) +
             "; it opens again from its last checkpoint");
}

void Shard::SawEnd(Offset end) {
  if (!expects_beyond(end) || emitting() || Planted("end_that_may_go_back")) return;
  end_at_takeover_ = end;
  CheckLogCoversSinks();
}

/// The largest number that some result file of the shard ends with.
Task<Result<int64_t>> Shard::LastFileSeq() {
  ObjectPager pager(ports_.objects, ResultFolder(id_.incarnation));
  int64_t last = 0;
  for (;;) {
    MILLRACE_CO_ASSIGN(const std::vector<ObjectInfo> objects, co_await pager.Next());
    if (objects.empty()) co_return last;
    for (const ObjectInfo& object : objects) {
      const auto key = ResultFileKey::Parse(object.key);
      if (key && key->shard == id_) last = std::max(last, key->last_seq);
    }
  }
}

/// Of a pinned halt: what is known of the log below the end of the base. Checkpoints from before it
/// remember records further below.
Task<Result<Shard::Bounds>> Shard::FindBounds() {
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await ports_.log->Range(stream_.topic, id_.partition));
  std::vector<RecordIdentity> remembered;
  for (const checkpoint::Manifest& m : kept_) {
    if (m.cut <= base_) remembered.insert(remembered.end(), m.records.begin(), m.records.end());
  }
  MILLRACE_CO_ASSIGN(
      const Recalled recalled,
      co_await ReadAgain(ports_.log, stream_.topic, id_.partition, std::move(remembered), range));
  Bounds bounds;
  bounds.before = recalled.last_same;
  bounds.lowest = start_ <= range.end ? std::max(start_, range.start) : range.start;
  if (bounds.before) bounds.lowest = Offset(bounds.before->offset.value + 1);
  bounds.lowest = std::min(bounds.lowest, base_offset_);
  bounds.advised = std::max(bounds.lowest, std::min(base_offset_, range.end));
  // From the first one that has changed all records are new.
  if (recalled.first_other && *recalled.first_other < bounds.advised)
    bounds.advised = std::max(bounds.lowest, *recalled.first_other);
  co_return bounds;
}

std::string Shard::HaltText(const Bounds& bounds) const {
  std::string text = cause_.what;
  if (cause_.skip_helps) {
    text += ", or go on with `millrace shard skip " + id_.ToString() + " --to " +
            std::to_string(bounds.advised.value) + " --reason TEXT`";
  }
  if (!cause_.facts.empty()) text += " " + cause_.facts;
  return text + " lowest=" + std::to_string(bounds.lowest.value);
}

Task<Result<bool>> Shard::CanOpenAhead() {
  const auto self = shared_from_this();
  if (!cause_.below_start) co_return false;
  const auto state = co_await control_->ReadShard(id_);
  if (!state.ok() && state.error().code != Code::kNotFound) co_return state.error();
  if (!state.ok() || state->epoch != epoch_) co_return false;
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await ports_.log->Range(stream_.topic, id_.partition));
  for (auto commit = state->commits.rbegin(); commit != state->commits.rend(); ++commit) {
    if (commit->next_offset <= place() || commit->next_offset < range.start) break;
    const auto manifest =
        co_await checkpoint::LoadManifest(ports_.objects, commit->manifest, commit->manifest_hash);
    if (manifest.ok() && Covers(*manifest)) co_return true;
    if (!manifest.ok() && !IsLost(manifest.error())) co_return manifest.error();
  }
  co_return false;
}

void Shard::OpenAhead() {
  if (phase_ != ShardPhase::kHalting) return;
  message_ =
      "the log begins above the place of the shard, which opens again from a checkpoint above it";
  LogWarn(message_, {{"shard", id_.ToString()}, {"next_offset", place().value}});
  phase_ = ShardPhase::kWaiting;
}

Task<Status> Shard::RecordHalt() {
  const auto self = shared_from_this();
  // One that was replaced has nothing to say, and another's door to leave alone.
  const auto state = co_await control_->ReadShard(id_);
  if (!state.ok() && state.error().code != Code::kNotFound) co_return state.error();
  if (!state.ok() || state->epoch != epoch_)
    co_return Fenced("the shard has another owner, or was dropped", {{"shard", id_.ToString()}});
  control::Halt halt;
  halt.shard = id_;
  halt.epoch = epoch_;
  // With the next epoch: a fence that was only read could still be raised by a batch of this owner
  // that is on its way, and rows after a skip would take numbers that it has.
  const Epoch door = Planted("first_numbers_by_read_fence") ? epoch_ : Epoch(epoch_.value + 1);
  MILLRACE_CO_ASSIGN(const Fence fence, co_await ports_.serving->TakeOver(id_, door));
  CrashPoint("halt.door_closed");
  halt.first_seqs.assign(kOutputs + 1, 1);
  bool unproved = !outbox_.proved();
  for (const Output output : kServedOutputs) {
    halt.first_seqs[static_cast<size_t>(output)] = fence.seq(output) + 1;
    const int64_t made = std::max(fold_ ? fold_->last_seq(output) : 0, outbox_.settled(output));
    unproved |= made < fence.seq(output);
  }
  MILLRACE_CO_ASSIGN(const int64_t files, co_await LastFileSeq());
  halt.first_seqs[static_cast<size_t>(Output::kFiles)] = files + 1;
  if (unproved && !cause_.pinned && !Planted("forward_halt_while_unproved")) {
    // Behind a forward skip those rows would count as made, and this log has others.
    cause_.pinned = true;
    cause_.what +=
        "; the table store holds rows that were not made again yet, so a skip goes on from the "
        "last checkpoint";
  }
  const Offset at = place();
  Bounds bounds{Offset(at.value + 1), cause_.readable.value_or(Offset(at.value + 1)),
                remembered_.last()};
  if (cause_.pinned) {
    MILLRACE_CO_ASSIGN(bounds, co_await FindBounds());
  }
  halt.from = cause_.pinned ? base_offset_ : at;
  halt.lowest = bounds.lowest;
  halt.before = bounds.before;
  halt.pinned = cause_.pinned;
  halt.base = cause_.pinned ? base_ : CutNumber(0);
  message_ = HaltText(bounds);
  halt.message = message_.substr(0, kMessageBytes);
  MILLRACE_CO_ASSIGN(const control::Verdict verdict, co_await control_->WriteHalt(std::move(halt)));
  CrashPoint("halt.recorded");
  // Stale: it is recorded already, or a newer epoch ends this halt. Unknown: the view is gone.
  if (verdict == control::Verdict::kConflict) {
    co_return Unavailable("the control log did not take the halt",
                          {{"verdict", control::VerdictName(verdict)}});
  }
  co_return Status();
}

}  // namespace millrace::runtime
