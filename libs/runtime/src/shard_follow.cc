#include <algorithm>

#include "millrace/base/crash_point.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"
#include "millrace/runtime/shard.h"

// A shard that another worker owns: folded here too, without any effect outside, until this worker
// is to own it.

namespace millrace::runtime {

Task<Status> Shard::Follow(control::ShardState committed, Offset start) {
  muted_ = true;
  NoteWays(committed, start);
  MILLRACE_CO_TRY(co_await AttachTables());
  followed_ = committed;
  // After the commits were read, so that it covers them.
  MILLRACE_CO_TRY(co_await BelieveFence());
  MILLRACE_CO_TRY(co_await RestoreCommitted(committed, start));
  if (phase_ != ShardPhase::kOpening) co_return Corruption(message_);
  phase_ = ShardPhase::kFollowing;
  co_return Status();
}

/// Rows that the store has are not kept here.
Task<Status> Shard::BelieveFence() {
  std::vector<ShardId> own{id_};
  MILLRACE_CO_ASSIGN(const auto fences, co_await ports_.serving->ReadFences(std::move(own)));
  // The fence of the take-over is younger.
  if (becomes_owner_ || (phase_ != ShardPhase::kFollowing && phase_ != ShardPhase::kOpening))
    co_return Status();
  const std::optional<Fence>& fence = fences.front();
  const auto behind = [&](Output output) {
    const int64_t held = fence ? fence->last[static_cast<size_t>(output)].seq : 0;
    return held < outbox_.applied(output);
  };
  if (std::any_of(std::begin(kServedOutputs), std::end(kServedOutputs), behind)) {
    StopFollowing("the serving store went back");
    co_return Status();
  }
  if (fence) {
    for (const Output output : kServedOutputs)
      outbox_.Believe(output, fence->last[static_cast<size_t>(output)]);
  }
  if (outbox_.other()) StopFollowing("the serving store holds rows of another log");
  co_return Status();
}

/// Whoever owns the shard meets the trouble too, and says what to do. A follower begins again.
void Shard::StopFollowing(std::string why) {
  message_ = std::move(why);
  phase_ = ShardPhase::kStopped;
  outbox_.changed().Notify();
}

Task<> Shard::FollowOwner() {
  const auto self = shared_from_this();
  while (phase_ == ShardPhase::kFollowing) {
    const Status looked = co_await LookAtOwner();
    looked.Ignore("it is tried again, and what is not known costs memory only");
    const auto until = Executor::Current().Monotonic() + options_.follow_check;
    while (phase_ == ShardPhase::kFollowing && Executor::Current().Monotonic() < until)
      co_await outbox_.changed().WaitFor(until - Executor::Current().Monotonic());
  }
}

/// What the owner has done since.
Task<Status> Shard::LookAtOwner() {
  const auto state = co_await control_->ReadShard(id_);
  if (phase_ != ShardPhase::kFollowing) co_return Status();
  if (!state.ok() || !SameWay(*state)) {
    StopFollowing("the shard goes on another way, or not at all");
    co_return Status();
  }
  if (!state->commits.empty()) {
    const control::CommitState& newest = state->commits.back();
    MILLRACE_CO_ASSIGN(
        const checkpoint::Manifest manifest,
        co_await checkpoint::LoadManifest(ports_.objects, newest.manifest, newest.manifest_hash));
    if (phase_ != ShardPhase::kFollowing) co_return Status();
    BelieveFiles(manifest);
  }
  auto believed = co_await BelieveFence();
  co_return believed;
}

/// No skip came or went since this shard was restored.
bool Shard::SameWay(const control::ShardState& now) const {
  return std::equal(now.skips.begin(), now.skips.end(), followed_.skips.begin(),
                    followed_.skips.end(),
                    [](const auto& a, const auto& b) { return a.epoch == b.epoch; });
}

void Shard::BelieveFiles(const checkpoint::Manifest& manifest) {
  const LastRow& put = manifest.applied[static_cast<size_t>(Output::kFiles)];
  // Its end mark must not be waited for here: the file is there.
  if (put.seq > outbox_.applied(Output::kFiles) && put.seq <= outbox_.made(Output::kFiles))
    outbox_.SetApplied(Output::kFiles, put);
}

Task<Result<bool>> Shard::BecomeOwner(control::ShardState assigned) {
  const auto begun = Executor::Current().Monotonic();
  if (phase_ != ShardPhase::kFollowing || !SameWay(assigned)) co_return false;
  // Below it the owner has made rows, and may have put files, that this one would make later.
  if (next_offset_ < assigned.next_offset && !Planted("follower_behind_the_commits"))
    co_return false;
  std::vector<checkpoint::Manifest> kept;
  std::vector<std::string> objects;
  for (const control::CommitState& commit : assigned.commits) {
    auto manifest =
        co_await checkpoint::LoadManifest(ports_.objects, commit.manifest, commit.manifest_hash);
    if (!manifest.ok() || phase_ != ShardPhase::kFollowing) co_return false;
    kept.push_back(std::move(*manifest));
    objects.push_back(commit.manifest);
  }
  const LastRows before = outbox_.applied();
  CrashPoint("follow.before_takeover");
  becomes_owner_ = true;
  epoch_ = assigned.epoch;
  MILLRACE_CO_TRY(co_await TakeOver(assigned));
  CrashPoint("follow.after_takeover");
  for (const Output output : kServedOutputs) {
    const auto o = static_cast<size_t>(output);
    if (outbox_.applied()[o].seq < before[o].seq) co_return false;
  }
  if (phase_ != ShardPhase::kFollowing || outbox_.other()) co_return false;
  const bool restored_kept =
      std::any_of(kept.begin(), kept.end(), [&](const auto& m) { return m.cut == restored_cut_; });
  // What the checkpoint named that it was restored from may be deleted by now.
  if (!restored_kept) outbox_.ForgetObjects();
  kept_ = std::move(kept);
  kept_objects_ = std::move(objects);
  last_cut_ = cut_at_open_ = assigned.last_cut;
  committed_offset_ = assigned.next_offset;
  NoteWays(assigned, start_);
  if (!kept_.empty()) BelieveFiles(kept_.back());
  muted_ = false;
  Begin(begun);
  telemetry_.BecameOwner();
  CheckLogCoversSinks();
  co_return phase_ == ShardPhase::kRunning;
}

}  // namespace millrace::runtime
