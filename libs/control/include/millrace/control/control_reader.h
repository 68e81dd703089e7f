#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "millrace/base/executor.h"
#include "millrace/control/changes.h"
#include "millrace/control/fold.h"
#include "millrace/control/snapshot.h"
#include "millrace/log/log.h"

namespace millrace::control {

class AwaitedRecord;

/// Reads the control topic into a Fold. One executor. Who also appends has a ControlWriter.
///
/// A reader whose place was trimmed begins again from a snapshot. So does one that stands behind
/// the topic's end, or finds that a snapshot of the leader differs from its own fold at that place:
/// the topic lost its end, and what was read is not what stands there. It knows nothing then until
/// it has read the topic to its end.
class ControlReader {
 public:
  /// A snapshot is due each time an offset that is a multiple of `snapshot_interval` is crossed.
  explicit ControlReader(EventLog* log, int64_t snapshot_interval = 10'000)
      : log_(log), snapshot_interval_(snapshot_interval), now_(snapshot_interval) {}

  /// Makes the topic if needed and folds it to its present end, from its first record or, if the
  /// log no longer has that, from a snapshot. kCorruption: no snapshot can be used.
  Task<Status> Start();
  /// Folds what comes until Stop(). Spawn it once, after Start.
  Task<> Follow();
  void Stop() { stopped_ = true; }

  /// Asks for the topic's end now and waits until it is folded, as Follow() does that.
  /// kUnavailable: not within kDeadline.
  Task<Status> CatchUp();

  /// The fold at the last place for a snapshot, if the log holds no whole one of that place yet;
  /// else nullptr.
  const FoldImage* DueSnapshot() const;

  /// What the log may be trimmed to: the place of the last whole snapshot but one, if there is one.
  std::optional<Offset> TrimPlace() const { return now_.snapshots.last_but_one(); }

  const Fold& fold() const { return now_.fold; }
  /// Notified after every record. Who asks what changed has a ChangeFeed.
  Event& changed() { return changed_; }
  const std::map<Verdict, int64_t>& skipped() const { return skipped_; }
  /// Since when the log cannot be followed, and why; empty: it can.
  const std::string& failure() const { return failure_; }

  /// How long a catching up, or a write, is tried.
  static constexpr Executor::Duration kDeadline = std::chrono::seconds(10);

 private:
  friend class ChangeFeed;
  friend class AwaitedRecord;

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
  void NoteChanges(const Changes& changes);

  EventLog* log_;
  const int64_t snapshot_interval_;
  Reading now_;
  Event changed_;
  bool stopped_ = false;
  std::multimap<uint64_t, AwaitedRecord*> awaited_;  ///< by a hash of the bytes
  const std::shared_ptr<std::set<ChangeFeed*>> feeds_ = std::make_shared<std::set<ChangeFeed*>>();
  std::map<Verdict, int64_t> skipped_;
  std::string failure_;
};

/// Hears what becomes of a record for as long as it lives. The same bytes may be appended more than
/// once. The reader outlives it.
class AwaitedRecord {
 public:
  AwaitedRecord(ControlReader* reader, const std::string& bytes);
  ~AwaitedRecord();
  AwaitedRecord(const AwaitedRecord&) = delete;

  bool valid() const { return valid_; }  ///< one of them took effect
  /// The verdict on the record at this place; nothing: it is not folded yet.
  std::optional<Verdict> At(Offset offset) const;
  /// Notified when another one is folded.
  Event& next() { return next_; }

 private:
  friend class ControlReader;

  ControlReader* const reader_;
  const std::multimap<uint64_t, AwaitedRecord*>::iterator place_;
  bool valid_ = false;
  std::map<Offset, Verdict> verdicts_;
  Event next_;
};

}  // namespace millrace::control
