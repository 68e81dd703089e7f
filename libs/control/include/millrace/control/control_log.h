#pragma once

#include <map>
#include <memory>
#include <optional>

#include "millrace/base/executor.h"
#include "millrace/control/fold.h"
#include "millrace/control/snapshot.h"
#include "millrace/log/log.h"

namespace millrace::control {

/// What a shard needs of the control log, wherever the two run.
class ControlClient {
 public:
  virtual ~ControlClient() = default;

  /// What became of a commit.
  struct Committed {
    Verdict verdict = Verdict::kUnknown;
    /// The shard as the fold has it after the record.
    ShardState shard;
  };
  /// Appends a Commit and gives the verdict of the fold. On doubt the same bytes are appended
  /// again; it counts as valid if the fold holds this very commit. kUnavailable: the log does not
  /// answer.
  virtual Task<Result<Committed>> WriteCommit(Commit commit) = 0;
  /// Appends a Halt and gives the verdict of the fold.
  virtual Task<Result<Verdict>> WriteHalt(Halt halt) = 0;
  /// Asks the leader to assign the shard once more to the process that owns it under `epoch`, so
  /// that the process can open it again. The fold shows the new epoch when there is one. kConflict:
  /// another process leads. kUnavailable: the log does not answer.
  virtual Task<Status> RequestEpoch(ShardId shard, Epoch epoch) = 0;
  /// The shard as the log has it by now: the fold is caught up first. kNotFound: it is not defined
  /// any more. kUnavailable: the log does not answer.
  virtual Task<Result<ShardState>> ReadShard(ShardId shard) = 0;
};

/// Reads the control topic into a Fold and appends to it. One executor.
///
/// A reader whose place was trimmed begins again from a snapshot. So does one that stands behind
/// the topic's end, or finds that a snapshot of the leader differs from its own fold at that place:
/// the topic lost its end, and what was read is not what stands there. It knows nothing then until
/// it has read the topic to its end.
class ControlLog {
 public:
  /// A snapshot is due each time an offset that is a multiple of `snapshot_interval` is crossed.
  explicit ControlLog(EventLog* log, int64_t snapshot_interval = 10'000)
      : log_(log), snapshot_interval_(snapshot_interval), now_(snapshot_interval) {}

  /// Makes the topic if needed and folds it to its present end, from its first record or, if the
  /// log no longer has that, from a snapshot. kCorruption: no snapshot can be used.
  Task<Status> Start();
  /// Folds what comes until Stop(). Spawn it once, after Start.
  Task<> Follow();
  void Stop() { stopped_ = true; }

  /// Asks for the topic's end now and waits until it is folded, as Follow() does that.
  /// kUnavailable: not within kWriteDeadline.
  Task<Status> CatchUp();

  /// Appends a record and gives the fold's verdict on it. On doubt the same bytes are appended
  /// again; if any of them took effect the verdict is kValid. kUnavailable: whether it took effect
  /// was not known within kWriteDeadline, and it may do so later.
  Task<Result<Verdict>> Write(Record record);

  /// Deletes what lies before the last whole snapshot but one, once it was seen that a reader can
  /// begin there. Does nothing while there are not two. For the leader; one at a time.
  Task<Status> Trim();

  /// The fold at the last place for a snapshot, if the log holds no whole one of that place yet;
  /// else nullptr.
  const FoldImage* DueSnapshot() const;

  const Fold& fold() const { return now_.fold; }
  /// Notified after every record.
  Event& changed() { return changed_; }
  /// Grows with each record that can change what is defined or who owns a shard: all but commits,
  /// snapshots and beats, which are most.
  int64_t ownership_changes() const { return ownership_changes_; }
  const std::map<Verdict, int64_t>& skipped() const { return skipped_; }
  /// Since when the log cannot be followed, and why; empty: it can.
  const std::string& failure() const { return failure_; }

  static constexpr Executor::Duration kWriteDeadline = std::chrono::seconds(10);

 private:
  /// A record that somebody waits for the verdict on. The same bytes may have been appended more
  /// than once.
  struct Awaited {
    bool valid = false;                  ///< one of them took effect
    std::map<Offset, Verdict> verdicts;  ///< of all of them
    Event next;                          ///< notified when another one is folded
  };
  class Writer;

  /// What was read of the log.
  struct Reading {
    explicit Reading(int64_t snapshot_interval) : images(snapshot_interval) {}

    Fold fold;
    std::unique_ptr<LogReader> reader;  ///< stands where the fold does; null: nothing was read
    Offset read_to;  ///< where the reader stands; markers may lie between it and the fold
    WholeSnapshots snapshots;
    FoldImages images;
    bool differs = false;  ///< from a snapshot of the leader
  };

  Task<Status> ReadToEnd(Reading* reading);
  Task<Status> BeginAt(Reading* reading, OffsetRange range);
  Task<Result<Offset>> ReadOnce(Reading* reading, std::chrono::microseconds wait);
  Task<Status> FollowOnce();
  Task<Status> NoteOutside(Error outside);
  void Forget(const std::string& why);
  void NoteFolded(const LogRecord& record, Verdict verdict);

  EventLog* log_;
  const int64_t snapshot_interval_;
  Reading now_;
  Event changed_;
  bool stopped_ = false;
  /// By a hash of the bytes. The writers keep them.
  std::multimap<uint64_t, Awaited*> awaited_;
  int64_t ownership_changes_ = 0;
  std::map<Verdict, int64_t> skipped_;
  std::string failure_;
};

}  // namespace millrace::control
