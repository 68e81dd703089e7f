#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/planted.h"
#include "millrace/checkpoint/checkpointer.h"
#include "millrace/checkpoint/remembered.h"
#include "millrace/control/control_client.h"
#include "millrace/model/object_keys.h"
#include "millrace/runtime/outbox.h"
#include "millrace/runtime/ports.h"
#include "millrace/runtime/shard_telemetry.h"
#include "millrace/runtime/troubles.h"
#include "millrace/window/shard_fold.h"

namespace millrace::runtime {

/// Following: another worker owns it, and this one folds it too, without any effect outside.
/// Waiting: what the shard remembers does not hold any more. It goes on under a new epoch, since a
/// late batch of this life would pass a fence that this epoch took over once more. Halting: nothing
/// goes out any more, and the control log does not have the halt yet.
enum class ShardPhase { kOpening, kFollowing, kRunning, kWaiting, kHalting, kHalted, kStopped };
std::string_view PhaseName(ShardPhase phase);

struct Recalled;

/// Why a shard cannot go on.
struct HaltCause {
  std::string what;   ///< what happened, and what to do but for a skip
  std::string facts;  ///< "key=value key=value"
  /// The log or the store is another one (control::Halt).
  bool pinned = false;
  /// Of a forward one, where the log can be read again; by default behind the next record.
  std::optional<Offset> readable = {};
  bool skip_helps = true;
  /// The log begins above the place of the shard.
  bool below_start = false;
};

/// One stage of one pipeline on one partition, as its present owner runs it: the fold, its outbox
/// and sinks, its cuts.
///
/// Life: Open() takes the sinks over and restores, Step() folds, StartSinks() drains, Cut() saves,
/// until it stops, is fenced or halts. Everything runs on one executor; a shared_ptr keeps the
/// shard while any of its tasks runs. Errors: a halt keeps what is there and says why in message();
/// nothing is reset silently. A shard is opened once: what opens anew is another object.
class Shard : public std::enable_shared_from_this<Shard> {
 public:
  /// `opening`: a number that no other opening of the shard in this process has.
  Shard(ShardId id, Epoch epoch, int64_t opening, const StreamSpec& stream,
        const control::PipelineState& pipeline, Ports ports, Options options,
        control::ControlClient* control);
  ~Shard();

  /// Takes over the sinks, then restores the newest valid checkpoint that covers what the sinks
  /// have, or begins at the start. kCorruption: halted, message() says why. kFenced: a newer owner
  /// exists. kUnavailable: try again.
  Task<Status> Open(control::ShardState committed, Offset start);
  void StartSinks();

  /// Restores the newest checkpoint that counts and goes on from there as a follower: it folds what
  /// the owner folds and keeps the rows that the store lacks. It writes nothing anywhere, and where
  /// an owner would halt it stops, to begin again. Errors: those of Open().
  Task<Status> Follow(control::ShardState committed, Offset start);
  /// Looks at times at what the owner has done, while this shard follows. Spawn it after Follow().
  Task<> FollowOwner();
  /// Makes a follower the owner under the epoch of `assigned`, with one take-over. False: it cannot
  /// go on from where it stands, so the shard has to be opened anew, which this epoch allows,
  /// because nothing was sent. Errors are those of Open(), and mean the same.
  Task<Result<bool>> BecomeOwner(control::ShardState assigned);

  /// Folds one item unless the shard has read it already: read, aggregate, emit. `records` are the
  /// log records it was made of. If it makes more rows due than are given out at once, the shard is
  /// emitting(): no further item and no cut before GoOn() has brought it through, which should wait
  /// for room in the outbox.
  void Step(const LogItem& item, const LogRecord* records, size_t count);
  bool emitting() const { return steps_to_.has_value(); }
  void GoOn();
  /// No record at or above it was folded.
  Offset next_offset() const { return next_offset_; }
  /// The log holds no record from next_offset() up to `place`. Moves the shard there, or to where
  /// the skips in between lead it. A skip applies at its own offset, however large the hole is.
  void PassTo(Offset place);
  /// No batch may reach over a place in (after, offset]: the shard stands there, or a logged skip
  /// that it has not applied begins or ends there.
  bool BreaksIn(Offset after, Offset offset) const;
  /// Of the log below its place, as it read it or its checkpoint says.
  const checkpoint::Remembered& remembered() const { return remembered_; }
  /// The log has become another one while the shard ran: what it remembers is not there. It goes on
  /// under a new epoch from its last checkpoint. Only that tells whether anything that counts, or
  /// that a sink has, was of the lost records.
  void LogChanged(const Recalled& recalled);
  /// It stands at `end` or above, and reckons with a log that ends further above.
  bool expects_beyond(Offset end) const {
    return alive() && end_at_takeover_ && end < *end_at_takeover_ && next_offset_ >= end;
  }
  /// The log ends here now, maybe below the end that it had at the take-over.
  void SawEnd(Offset end);

  /// Saves a checkpoint if one is due (or `force`) and none is under way. Ends when it is committed
  /// or has failed.
  Task<Status> Cut(bool force);
  bool cut_due() const;
  /// Something was read since the last cut, and nothing stands against one now.
  bool can_cut() const;
  bool cutting() const { return cut_running_; }

  /// Takes what is read of its partition.
  bool folds() const { return phase_ == ShardPhase::kRunning || phase_ == ShardPhase::kFollowing; }
  bool can_read() const { return folds() && !outbox_.full(); }
  Outbox& outbox() { return outbox_; }
  const Outbox& outbox() const { return outbox_; }

  /// Rule 4: the tick this shard would append now, if one is due; `force` asks what it would be
  /// whatever the time.
  std::optional<Tick> DueTick(Executor::Duration now) const;
  /// Its tick is on its way; then it is at this offset. No other one is due before it was read.
  void NoteTickSent(Executor::Duration now) { tick_sent_ = now; }
  void NoteTickAppended(Offset at) { tick_own_ = at; }

  void Halt(HaltCause cause);
  bool halted() const { return phase_ == ShardPhase::kHalting || phase_ == ShardPhase::kHalted; }
  /// Closes the door behind this owner, so that nothing takes effect that it still has on its way,
  /// and appends the Halt. kFenced: a newer owner exists. After any other error, call again.
  Task<Status> RecordHalt();
  /// It halts because the log begins above its place, and a checkpoint that counts lies above that:
  /// it could not be used when the shard was opened, and can be by now. Errors: as RecordHalt().
  Task<Result<bool>> CanOpenAhead();
  /// It does not halt, but needs a new epoch, to be opened from that checkpoint.
  void OpenAhead();
  /// Where it stands, or would begin.
  Offset place() const { return fold_ ? next_offset_ : base_offset_; }
  /// The halt is recorded, or cannot be.
  void EndHalting();
  void Stop();
  /// Ends this life of the shard, which needs a new epoch.
  void AwaitEpoch(std::string why);
  ShardPhase phase() const { return phase_; }
  const std::string& message() const { return message_; }
  /// What fails while the shard runs: its sinks, its cuts, its log.
  Troubles& troubles() { return troubles_; }
  const Troubles& troubles() const { return troubles_; }
  bool fenced() const { return fenced_; }

  const ShardId& id() const { return id_; }
  Epoch epoch() const { return epoch_; }
  /// Under which its local state lies: "default_delays_hourly@17_p2@3".
  const std::string& local_name() const { return local_name_; }
  bool has_fold() const { return fold_ != nullptr; }
  const window::ShardFold& fold() const { return *fold_; }
  /// The ledger as it was restored; empty for a shard that began at the start.
  const window::Ledger& ledger_at_opening() const { return ledger_at_opening_; }
  size_t outbox_rows(Output output) const { return outbox_.rows_owed(output); }
  CutNumber last_cut() const { return last_cut_; }
  Offset committed_offset() const { return committed_offset_; }
  /// Append time of the last record read since it was opened.
  std::optional<Micros> last_append_time() const { return remembered_.last_append_time(); }
  const Options& options() const { return options_; }
  /// Time of the executor and bytes of the log that it took since it was opened.
  Executor::Duration busy() const { return busy_; }
  int64_t bytes_read() const { return bytes_read_; }
  /// Its tables are not made yet, so it cannot be opened.
  bool waits_for_tables() const { return waits_for_tables_; }
  const StreamSpec& stream() const { return stream_; }

 private:
  Task<Status> AttachTables();
  Task<Status> RestoreCommitted(const control::ShardState& committed, Offset start);
  void Begin(Executor::Duration begun);
  Task<Status> BelieveFence();
  void BelieveFiles(const checkpoint::Manifest& manifest);
  Task<Status> LookAtOwner();
  bool SameWay(const control::ShardState& now) const;
  void StopFollowing(std::string why);
  Task<Status> TakeOver(const control::ShardState& committed);
  void NoteWays(const control::ShardState& committed, Offset start);
  Task<Status> RestoreNewest(const control::ShardState& committed, Offset start);
  Task<Status> FallBack(const control::ShardState& committed, CutNumber cut, Error error);
  Task<Status> StillCommitted(const control::ShardState& committed);
  Task<Status> RestoreFrom(const checkpoint::Manifest& manifest);
  Task<Status> RestoreOwed(const checkpoint::Manifest& manifest);
  Task<Status> VerifyRecords(const checkpoint::Manifest& manifest);
  Task<Status> VerifyPinnedSkip(const Recalled& recalled, OffsetRange range);
  /// What a Halt says of the log.
  struct Bounds {
    Offset lowest;
    Offset advised;
    std::optional<RecordIdentity> before;
  };
  Task<Result<Bounds>> FindBounds();
  Task<Result<int64_t>> LastFileSeq();
  std::string HaltText(const Bounds& bounds) const;
  Task<Status> BeginAtStart(Offset start);
  bool Covers(const checkpoint::Manifest& manifest) const;
  /// Whether a checkpoint that cannot be used for this error is lost for good.
  static bool IsLost(const Error& error);
  void CheckRows();
  void CheckLogCoversSinks();
  void ResetFold();
  template <typename F>
  void Fold(F&& make_rows);
  void EndStep();
  void ApplySkipsUpTo(Offset place);
  void ApplySkip(const control::SkipState& skip);
  bool DecidedForThisLog(const control::SkipState& skip);

  Task<> ServingLoop();
  Task<Status> ApplyBatch(Outbox::Batch rows);
  Task<Status> CheckFence();
  void Believe(const LastRows& believed, const LastRows& held);
  void WentBack();
  Task<> FileLoop();
  /// A result file that could not be put yet.
  struct EncodedFile {
    std::string object;
    Buffer bytes;
  };
  Task<Status> PutFile(Outbox::File file, std::optional<EncodedFile>* encoded);
  Task<Result<bool>> HasFile(ResultFileKey key);

  checkpoint::Manifest Describe() const;
  std::vector<checkpoint::Manifest> WholeOnes() const;
  Task<Status> CutNow();
  Task<Status> SaveAndCommit(checkpoint::Manifest manifest,
                             std::shared_ptr<checkpoint::Change> change, checkpoint::Owed owed);
  void Committed(const checkpoint::Prepared& saved);
  Task<> CleanUp(std::vector<std::string> objects);
  Epoch fence_epoch() const { return Planted("fence_without_takeover") ? Epoch(1) : epoch_; }
  /// What the serving store holds are rows of this log: it has made them all.
  bool proved() const { return outbox_.proved() || Planted("cut_while_unproved"); }
  bool alive() const { return phase_ == ShardPhase::kRunning; }

  const ShardId id_;
  Epoch epoch_;
  const std::string local_name_;
  const StreamSpec stream_;
  const control::PipelineState pipeline_;
  const Ports ports_;
  const Options options_;
  control::ControlClient* control_;
  ShardTelemetry telemetry_;

  ShardPhase phase_ = ShardPhase::kOpening;
  std::string message_;
  HaltCause cause_;  ///< of a shard that halted
  Troubles troubles_{id_.ToString()};
  bool fenced_ = false;
  bool waits_for_tables_ = false;
  bool becomes_owner_ = false;
  bool muted_ = false;                 ///< it does not own the shard
  control::ShardState followed_ = {};  ///< what it was restored by, as a follower
  Executor::Duration busy_{0};
  int64_t bytes_read_ = 0;

  std::unique_ptr<window::ShardFold> fold_;
  window::Ledger ledger_at_opening_;
  Offset next_offset_;
  /// While rows of the last item are still to come: the next offset after it.
  std::optional<Offset> steps_to_;
  /// The end that the log had when the serving store was taken over, until it was folded up to it.
  std::optional<Offset> end_at_takeover_;
  checkpoint::Remembered remembered_;  ///< of the log below its place
  /// Logged ones that it has not applied yet; no cut is made before the last of them.
  std::deque<control::SkipState> skips_;
  Outbox outbox_;

  std::unique_ptr<StateStore> state_;
  std::unique_ptr<checkpoint::Checkpointer> checkpointer_;
  window::StateHash state_hash_;
  /// Of the last kKeptCommits valid commits, oldest first, those that could be read. Never older
  /// ones: what they name may be deleted.
  std::vector<checkpoint::Manifest> kept_;
  std::vector<std::string> kept_objects_;  ///< their manifests' objects
  /// Of kept_, those whose every file is known to be whole are the one restored from and those
  /// committed since.
  std::optional<CutNumber> restored_cut_;
  /// The checkpoint that was restored or committed last, 0 for the shard's start, and its end.
  CutNumber base_{0};
  Offset base_offset_;
  Offset start_;
  CutNumber cut_at_open_;
  CutNumber last_cut_;
  Offset committed_offset_;
  bool cut_running_ = false;
  /// What the local state holds is not known: the next cut writes all of it.
  bool cut_everything_ = false;
  Executor::Duration cut_at_{0};
  int64_t cut_read_ = 0;

  Executor::Duration tick_read_{0};
  Executor::Duration tick_sent_{0};
  Offset tick_own_{-1};
  Offset tick_seen_{-1};
};

}  // namespace millrace::runtime
