#include "millrace/base/crash_point.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"
#include "millrace/runtime/shard.h"

namespace millrace::runtime {

bool Shard::can_cut() const {
  return alive() && !cut_running_ && !emitting() && skips_.empty() && proved() &&
         next_offset_ > committed_offset_;
}

bool Shard::cut_due() const {
  if (!can_cut()) return false;
  return Executor::Current().Monotonic() - cut_at_ >= options_.cut_interval ||
         fold_->ledger().read - cut_read_ >= options_.cut_events;
}

/// Everything about the shard now but its state.
checkpoint::Manifest Shard::Describe() const {
  checkpoint::Manifest m;
  m.shard = id_;
  m.topic = stream_.topic;
  m.epoch = epoch_;
  m.cut = CutNumber(last_cut_.value + 1);
  m.next_offset = next_offset_;
  m.watermark = fold_->watermark();
  m.records = remembered_.all();
  m.ledger = fold_->ledger();
  m.applied = outbox_.applied();
  m.made = fold_->last_rows();
  return m;
}

/// The kept checkpoints whose files may be named again. One that could not be restored, or was not
/// tried, may have lost files, and naming those would pass the damage on.
std::vector<checkpoint::Manifest> Shard::WholeOnes() const {
  std::vector<checkpoint::Manifest> whole;
  for (const checkpoint::Manifest& m : kept_) {
    if (m.cut == restored_cut_ || m.cut > cut_at_open_) whole.push_back(m);
  }
  return whole;
}

Task<Status> Shard::Cut(bool force) {
  const auto self = shared_from_this();
  if (!(force ? can_cut() : cut_due())) co_return Status();
  cut_running_ = true;
  Status saved;
  try {
    saved = co_await CutNow();
  } catch (const InvariantViolation& broken) {
    Halt({std::string("a broken invariant in a cut: ") + broken.what() +
              "; report it, then try again with `millrace shard retry " + id_.ToString() + "`",
          "", false, std::nullopt, false});
    saved = Internal(message_);
  }
  cut_running_ = false;
  if (!saved.ok()) {
    telemetry_.CutFailed();
    if (alive()) {
      troubles_.Failed("cut",
                       "see to the object store, the local state and their disks; until a cut is "
                       "committed a restart replays more",
                       saved.error());
    }
  } else {
    troubles_.Worked("cut");
  }
  outbox_.changed().Notify();
  co_return saved;
}

Task<Status> Shard::CutNow() {
  // Before the fold is frozen: what a freeze has given out can be given out again only as a whole.
  const Status read = co_await CheckFence();
  if (!read.ok()) cut_at_ = Executor::Current().Monotonic();
  MILLRACE_CO_TRY(read);
  if (!alive()) co_return Fenced("the shard stopped during a cut");
  // It has read on, or the fence shows more than it has made; the cut stays due.
  if (emitting() || !proved()) co_return Status();
  const auto begun = Executor::Current().Monotonic();
  cut_at_ = begun;
  cut_read_ = fold_->ledger().read;
  CrashPoint("cut.begin");
  checkpoint::Manifest manifest = Describe();
  checkpoint::Owed owed = outbox_.Owed();
  const bool everything = std::exchange(cut_everything_, true);  // until it has succeeded
  auto change = std::make_shared<checkpoint::Change>(
      checkpoint::Change{fold_->Freeze(everything), state_hash_});
  telemetry_.CutPhaseTook(ShardTelemetry::kFreeze, Executor::Current().Monotonic() - begun);
  if (everything) MILLRACE_CO_TRY(co_await checkpointer_->EmptyState());
  MILLRACE_CO_TRY(co_await SaveAndCommit(std::move(manifest), std::move(change), std::move(owed)));
  cut_everything_ = false;
  co_return Status();
}

Task<Status> Shard::SaveAndCommit(checkpoint::Manifest manifest,
                                  std::shared_ptr<checkpoint::Change> change,
                                  checkpoint::Owed owed) {
  auto phase_began = Executor::Current().Monotonic();
  const auto end_phase = [&](ShardTelemetry::CutPhase phase) {
    const auto now = Executor::Current().Monotonic();
    telemetry_.CutPhaseTook(phase, now - std::exchange(phase_began, now));
  };
  MILLRACE_CO_ASSIGN(const checkpoint::Prepared prepared,
                     co_await checkpointer_->Prepare(std::move(manifest), std::move(change),
                                                     std::move(owed), WholeOnes()));
  end_phase(ShardTelemetry::kWrite);
  if (!Planted("commit_before_upload")) MILLRACE_CO_TRY(co_await checkpointer_->Upload(prepared));
  end_phase(ShardTelemetry::kUpload);
  // What waits for a new epoch holds what may be of another log.
  if (phase_ == ShardPhase::kWaiting) co_return Fenced("the shard stopped during a cut");
  const checkpoint::Manifest& m = prepared.manifest;
  control::Commit commit{id_,           epoch_,      m.cut, m.next_offset, prepared.object,
                         prepared.hash, m.state_hash};
  auto committed = co_await control_->WriteCommit(std::move(commit));
  if (Planted("commit_before_upload")) MILLRACE_CO_TRY(co_await checkpointer_->Upload(prepared));
  if (!committed.ok()) co_return committed.error();
  CrashPoint("cut.after_commit");
  if (committed->verdict != control::Verdict::kValid) {
    fenced_ = committed->shard.epoch > epoch_;
    if (fenced_) Stop();
    // An earlier commit took effect although its outcome was never known, so this one counts from
    // the wrong cut. Opened anew, the shard begins at what the log says.
    if (committed->shard.epoch == epoch_)
      AwaitEpoch("an earlier commit counted, and its outcome was not known");
    co_return Fenced("a commit was skipped by the control log",
                     {{"verdict", control::VerdictName(committed->verdict)}});
  }
  end_phase(ShardTelemetry::kCommit);
  Committed(prepared);
  const size_t kept = Planted("cleaning_that_keeps_two") ? 2 : control::kKeptCommits;
  std::vector<std::string> garbage;
  while (kept_.front().cut.value + static_cast<int64_t>(kept) <= last_cut_.value) {
    const checkpoint::Manifest old = std::move(kept_.front());
    kept_.erase(kept_.begin());
    garbage = checkpoint::Unreferenced(old, kept_);
    garbage.push_back(kept_objects_.front());
    kept_objects_.erase(kept_objects_.begin());
  }
  // Fewer: one could not be read at the restore, so what it names is not known.
  if (kept_.size() == kept) co_await CleanUp(std::move(garbage));
  co_return Status();
}

void Shard::Committed(const checkpoint::Prepared& saved) {
  const checkpoint::Manifest& m = saved.manifest;
  telemetry_.CutCommitted(saved.upload_bytes(), Executor::Current().Wall());
  state_hash_ = saved.state_hash;
  last_cut_ = m.cut;
  committed_offset_ = base_offset_ = m.next_offset;
  ports_.log->NoteProgress({id_.incarnation.name_space + "-" + id_.incarnation.name, stream_.topic,
                            id_.partition, m.next_offset});
  base_ = m.cut;
  for (size_t i = 0; i < saved.owed.size(); ++i)
    outbox_.Saved(saved.owed[i], m.owed[m.owed.size() - saved.owed.size() + i]);
  kept_.push_back(m);
  kept_objects_.push_back(saved.object);
}

/// Cleaning rule (a). What cannot be deleted now is left: a leaked object is harmless.
Task<> Shard::CleanUp(std::vector<std::string> objects) {
  for (std::string& object : objects) {
    CrashPoint("cut.before_delete");
    const Status deleted = co_await ports_.objects->Delete(object);
    if (!deleted.ok()) {
      LogWarn("an old checkpoint object was not deleted",
              {{"object", object}, {"error", deleted.error().message}});
    }
  }
}

}  // namespace millrace::runtime
