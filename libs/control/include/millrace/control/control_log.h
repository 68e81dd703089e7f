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
  /// Asks the leader to assign the shard once more to the process that owns it under `epoch`, so
  /// that the process can open it again. The fold shows the new epoch when there is one. kConflict:
  /// another process leads. kUnavailable: the log does not answer.
  virtual Task<Status> RequestEpoch(ShardId shard, Epoch epoch) = 0;
  /// The shard as the log has it by now: the fold is caught up first. kNotFound: it is not defined
  /// any more. kUnavailable: the log does not answer.
  virtual Task<Result<ShardState>> ReadShard(ShardId shard) = 0;
};

/// Reads the control topic into a Fold and appends to it. A reader whose place was trimmed begins
/// again from a snapshot. One executor.
class ControlLog {
 public:
  explicit ControlLog(EventLog* log) : log_(log) {}

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

  /// Records, snapshots apart, since the last whole snapshot that was valid, or since the start.
  int64_t records_since_snapshot() const { return snapshots_.records_since(); }

  const Fold& fold() const { return fold_; }
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

  Task<Status> ReadToEnd();
  Task<Status> BeginAt(OffsetRange range);
  Task<Status> BeginAgain(Error outside);
  Task<Result<Offset>> ReadOnce(std::chrono::microseconds wait);
  void NoteFolded(const LogRecord& record, Verdict verdict);

  EventLog* log_;
  std::unique_ptr<LogReader> reader_;  ///< stands where the fold does; from Start on
  Fold fold_;
  Offset read_to_;  ///< where the reader stands; markers may lie between it and the fold
  SnapshotCounter snapshots_;
  Event changed_;
  bool stopped_ = false;
  /// By a hash of the bytes. The writers keep them.
  std::multimap<uint64_t, Awaited*> awaited_;
  int64_t ownership_changes_ = 0;
  std::map<Verdict, int64_t> skipped_;
  std::string failure_;
};

}  // namespace millrace::control
