#include <algorithm>

#include "millrace/base/crash_point.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"
#include "millrace/runtime/read_again.h"
#include "millrace/runtime/shard.h"

namespace millrace::runtime {

/// Whatever else keeps a checkpoint from being used may pass, and a restart from an older one, or
/// from the log's start, costs more than waiting.
bool Shard::IsLost(const Error& error) {
  return error.code == Code::kCorruption || error.code == Code::kNotFound;
}

Task<Status> Shard::Open(control::ShardState committed, Offset start) {
  const auto begun = Executor::Current().Monotonic();
  NoteWays(committed, start);
  MILLRACE_CO_TRY(co_await AttachTables());
  MILLRACE_CO_TRY(co_await TakeOver(committed));
  CrashPoint("open.after_takeover");
  MILLRACE_CO_TRY(co_await RestoreCommitted(committed, start));
  if (halted()) co_return Corruption(message_);
  // A drop stops it and takes its checkpoints away, so there may be no fold.
  if (phase_ != ShardPhase::kOpening)
    co_return Unavailable("the shard was stopped while it opened");
  Begin(begun);
  co_return Status();
}

/// Until a checkpoint is restored, the newest is what a pinned halt would name.
void Shard::NoteWays(const control::ShardState& committed, Offset start) {
  start_ = base_offset_ = start;
  base_ = CutNumber(0);
  if (committed.commits.empty()) return;
  base_ = committed.commits.back().cut;
  base_offset_ = committed.commits.back().next_offset;
}

Task<Status> Shard::AttachTables() {
  auto attached = co_await ports_.serving->Attach(id_.incarnation, stream_, pipeline_.spec);
  waits_for_tables_ = !attached.ok() && attached.error().code == Code::kNotFound;
  co_return attached;
}

/// Brings the fold to the newest commit that can be used. What is wrong may also halt the shard.
Task<Status> Shard::RestoreCommitted(const control::ShardState& committed, Offset start) {
  MILLRACE_CO_ASSIGN(state_, co_await ports_.states->Open(local_name_));
  checkpointer_ = std::make_unique<checkpoint::Checkpointer>(ports_.objects, state_.get());
  last_cut_ = cut_at_open_ = committed.last_cut;
  committed_offset_ = committed.next_offset;
  MILLRACE_CO_TRY(co_await RestoreNewest(committed, start));
  if (phase_ != ShardPhase::kOpening) co_return Status();
  ApplySkipsUpTo(next_offset_);
  CheckRows();
  CheckLogCoversSinks();
  co_return Status();
}

/// From here on it is the owner that runs.
void Shard::Begin(Executor::Duration begun) {
  const auto now = Executor::Current().Monotonic();
  tick_seen_ = fold_->last_tick();
  tick_read_ = tick_sent_ = cut_at_ = now;
  cut_read_ = fold_->ledger().read;
  telemetry_.Restored(now - begun);
  ledger_at_opening_ = fold_->ledger();
  outbox_.Reached(fold_->watermark());
  phase_ = ShardPhase::kRunning;
}

/// Makes this epoch the owner of the fence, before anything is restored: where the sinks are
/// decides which checkpoint will do.
Task<Status> Shard::TakeOver(const control::ShardState& committed) {
  const auto fence = co_await ports_.serving->TakeOver(id_, fence_epoch());
  if (!fence.ok()) {
    fenced_ = fence.error().code == Code::kFenced;
    co_return fence.error();
  }
  OutputSeqs decided = {};
  for (const control::SkipState& skip : committed.skips) {
    for (size_t o = 1; o <= kOutputs; ++o)
      decided[o] = std::max(decided[o], skip.first_seqs[o] - 1);
  }
  outbox_.Settle(decided);
  for (const Output output : kServedOutputs)
    outbox_.Believe(output, fence->last[static_cast<size_t>(output)]);
  // Only after the take-over: what the store holds by now was made of records below this end.
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await ports_.log->Range(stream_.topic, id_.partition));
  end_at_takeover_ = range.end;
  co_return Status();
}

/// What the store holds must be rows of this log: a row that this shard has made too is the same
/// one.
void Shard::CheckRows() {
  const std::optional<Outbox::Other>& other = outbox_.other();
  if (!other) return;
  Halt(
      {"the serving store holds rows of another log: a row that it has is not the one that this "
       "log makes; restore the log that belongs to it, or keep those rows",
       "output=" + std::string(OutputName(other->output)) +
           " row=" + std::to_string(other->held.seq),
       true});
}

/// Whatever the serving store held at the take-over was made of records below the log's end of
/// then; a log that makes less of them is another one, and its rows would be taken for those that
/// are there.
void Shard::CheckLogCoversSinks() {
  if (!end_at_takeover_ || next_offset_ < *end_at_takeover_ || !skips_.empty()) return;
  const Offset end = *std::exchange(end_at_takeover_, std::nullopt);
  if (outbox_.proved()) return;
  const auto& [output, held] = *outbox_.unproved().begin();
  Halt(
      {"the log is older than the serving store, or another: the store holds rows that this log "
       "does not make; restore the log that belongs to it, or keep those rows",
       "output=" + std::string(OutputName(output)) + " held=" + std::to_string(held.seq) +
           " made=" + std::to_string(fold_->last_seq(output)) +
           " log_end=" + std::to_string(end.value),
       true});
}

bool Shard::Covers(const checkpoint::Manifest& manifest) const {
  if (Planted("checkpoint_ahead_of_store")) return true;
  return std::all_of(std::begin(kServedOutputs), std::end(kServedOutputs), [&](Output o) {
    return manifest.applied[static_cast<size_t>(o)].seq <= outbox_.applied(o);
  });
}

Task<Status> Shard::RestoreNewest(const control::ShardState& committed, Offset start) {
  for (const control::CommitState& commit : committed.commits) {
    auto manifest =
        co_await checkpoint::LoadManifest(ports_.objects, commit.manifest, commit.manifest_hash);
    if (manifest.ok()) {
      kept_.push_back(std::move(*manifest));
      kept_objects_.push_back(commit.manifest);
    } else {
      MILLRACE_CO_TRY(co_await FallBack(committed, commit.cut, manifest.error()));
    }
  }
  for (size_t i = kept_.size(); i-- > 0;) {
    const checkpoint::Manifest manifest = kept_[i];
    if (!Covers(manifest)) {
      LogWarn("a checkpoint is ahead of the serving store, an older one is tried",
              {{"shard", id_.ToString()}, {"cut", manifest.cut.value}});
      continue;
    }
    skips_.clear();
    for (control::SkipState& skip : committed.SkipsAfter(manifest.epoch))
      skips_.push_back(std::move(skip));
    const Status restored = co_await RestoreFrom(manifest);
    if (restored.ok() || phase_ != ShardPhase::kOpening) co_return Status();
    MILLRACE_CO_TRY(co_await FallBack(committed, manifest.cut, restored.error()));
  }
  base_ = CutNumber(0);
  base_offset_ = start;
  if (committed.start_gone) {
    Halt(
        {"the checkpoint that the last skip went on from is gone, and a skip from the start counts "
         "all again; bring its objects back and run `millrace shard retry " +
             id_.ToString() + "`",
         "start=" + std::to_string(start.value), true});
    co_return Status();
  }
  skips_.assign(committed.skips.begin(), committed.skips.end());
  auto begun = co_await BeginAtStart(start);
  co_return begun;
}

/// Ok: the checkpoint is lost, so an older one is to be tried.
Task<Status> Shard::FallBack(const control::ShardState& committed, CutNumber cut, Error error) {
  if (!IsLost(error)) co_return error;
  MILLRACE_CO_TRY(co_await StillCommitted(committed));
  telemetry_.FellBack();
  LogWarn("a checkpoint cannot be used, an older one is tried",
          {{"shard", id_.ToString()}, {"cut", cut.value}, {"error", error.message}});
  co_return Status();
}

/// Objects of a commit are deleted when newer ones count. So one that is not there means loss only
/// if the control log, read to its present end, still has the same commits.
Task<Status> Shard::StillCommitted(const control::ShardState& committed) {
  if (Planted("fall_back_without_catching_up")) co_return Status();
  const auto now = co_await control_->ReadShard(id_);
  const bool dropped = !now.ok() && now.error().code == Code::kNotFound;
  if (!now.ok() && !dropped) co_return now.error();
  // A follower may follow another owner than before.
  if (dropped || (!muted_ && now->epoch != epoch_)) {
    Stop();
    co_return Unavailable("the shard was stopped while it opened");
  }
  const bool same = std::equal(
      now->commits.begin(), now->commits.end(), committed.commits.begin(), committed.commits.end(),
      [](const auto& a, const auto& b) { return a.manifest == b.manifest; });
  if (!same) co_return Unavailable("other checkpoints count by now, the shard opens again");
  co_return Status();
}

Task<Status> Shard::RestoreFrom(const checkpoint::Manifest& manifest) {
  MILLRACE_CO_TRY(co_await checkpointer_->LoadState(manifest));
  ResetFold();
  MILLRACE_CO_ASSIGN(state_hash_,
                     co_await checkpoint::RestoreFold(state_.get(), manifest, fold_.get()));
  restored_cut_ = base_ = manifest.cut;
  next_offset_ = base_offset_ = manifest.next_offset;
  remembered_ = checkpoint::Remembered(manifest.records);
  MILLRACE_CO_TRY(co_await VerifyRecords(manifest));
  MILLRACE_CO_TRY(co_await RestoreOwed(manifest));
  LogInfo("a shard was restored", {{"shard", id_.ToString()},
                                   {"epoch", epoch_.value},
                                   {"cut", manifest.cut.value},
                                   {"next_offset", next_offset_.value}});
  co_return Status();
}

Task<Status> Shard::RestoreOwed(const checkpoint::Manifest& manifest) {
  std::deque<std::vector<checkpoint::OwedRows>> loaded;
  for (const checkpoint::OwedObject& object : manifest.owed) {
    MILLRACE_CO_ASSIGN(auto rows, co_await checkpoint::LoadOwed(ports_.objects, object));
    loaded.push_back(std::move(rows));
  }
  // Only when nothing can fail any more: an older checkpoint owes rows that come before these.
  outbox_.SetApplied(Output::kFiles, manifest.applied[static_cast<size_t>(Output::kFiles)]);
  for (const Output output : kServedOutputs)
    outbox_.Compare(output, manifest.applied[static_cast<size_t>(output)]);
  for (const checkpoint::OwedObject& object : manifest.owed) {
    for (const checkpoint::OwedRows& rows : loaded.front()) outbox_.Restore(rows, object);
    loaded.pop_front();
  }
  co_return Status();
}

/// The log must still be the one that the checkpoint was folded from, unless a pinned skip says how
/// to go on in another.
Task<Status> Shard::VerifyRecords(const checkpoint::Manifest& manifest) {
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await ports_.log->Range(stream_.topic, id_.partition));
  MILLRACE_CO_ASSIGN(
      const Recalled recalled,
      co_await ReadAgain(ports_.log, stream_.topic, id_.partition, manifest.records, range));
  if (!skips_.empty() && skips_.front().pinned) {
    auto verified = co_await VerifyPinnedSkip(recalled, range);
    co_return verified;
  }
  Offset goes_on = manifest.next_offset;
  for (const control::SkipState& skip : skips_)
    if (goes_on >= skip.from) goes_on = skip.GoesOn(goes_on);
  if (recalled.first_other && *recalled.first_other < range.end) {
    Halt(
        {"the log is not the one that the checkpoint was made from: a record before the committed "
         "offset has changed; restore the log",
         "changed=" + std::to_string(recalled.first_other->value) +
             " committed=" + std::to_string(manifest.next_offset.value),
         true});
    co_return Corruption(message_);
  }
  if (range.end >= goes_on) co_return Status();
  Halt(
      {"the log ends below the last commit: records that were counted are gone; restore the log",
       "log_end=" + std::to_string(range.end.value) + " committed=" + std::to_string(goes_on.value),
       true});
  co_return Corruption(message_);
}

/// The skip was decided for one log. In another one, also in the one from before that was brought
/// back, records would count twice or not at all.
Task<Status> Shard::VerifyPinnedSkip(const Recalled& recalled, OffsetRange range) {
  const control::SkipState& skip = skips_.front();
  std::vector<RecordIdentity> before;
  if (skip.before) before.push_back(*skip.before);
  MILLRACE_CO_ASSIGN(
      const Recalled now,
      co_await ReadAgain(ports_.log, stream_.topic, id_.partition, std::move(before), range));
  const bool brought_back =
      recalled.last_same && (!skip.before || skip.before->offset < recalled.last_same->offset);
  if (!brought_back && !now.first_other && skip.to <= range.end) co_return Status();
  Halt({std::string(brought_back
                        ? "a skip was decided for another log: records that the checkpoint holds "
                          "are there again"
                        : "a skip was decided for another log: the record before its place is "
                          "another one, or the log ends below it") +
            "; restore the log that it was decided for",
        "skip_from=" + std::to_string(skip.from.value) + " skip_to=" +
            std::to_string(skip.to.value) + " log_end=" + std::to_string(range.end.value),
        true});
  co_return Corruption(message_);
}

Task<Status> Shard::BeginAtStart(Offset start) {
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await ports_.log->Range(stream_.topic, id_.partition));
  ResetFold();
  next_offset_ = start;
  remembered_ = {};
  state_hash_ = window::StateHash();
  cut_everything_ = true;
  ApplySkipsUpTo(next_offset_);
  if (range.start > next_offset_) {
    Halt(
        {"no checkpoint can be used and the log no longer reaches the shard's start; bring one of "
         "them back",
         "log_start=" + std::to_string(range.start.value) +
             " start=" + std::to_string(next_offset_.value),
         false, range.start, true, true});
    co_return Status();
  }
  if (range.end < next_offset_) {
    Halt(
        {"the log ends below the shard's start: it was truncated or made again; restore it, or "
         "drop the pipeline and create it again",
         "log_end=" + std::to_string(range.end.value) +
             " start=" + std::to_string(next_offset_.value),
         true});
    co_return Status();
  }
  LogInfo(
      "a shard begins at its start",
      {{"shard", id_.ToString()}, {"epoch", epoch_.value}, {"next_offset", next_offset_.value}});
  co_return Status();
}

}  // namespace millrace::runtime
