#pragma once

#include <functional>
#include <string>

#include "millrace/base/planted.h"
#include "millrace/control/control_writer.h"

namespace millrace::runtime {

/// Whether this process leads, and under which number. Every record of a leader carries the number
/// of its own claim and a count that rises with each, never what the fold shows: a leader that was
/// overtaken reads the other claim before it knows, and its records would count as the other one's.
///
/// Threads: the control executor.
class Leadership {
 public:
  /// Both ends of the control log outlive it. `beat`: how often a leader says that it lives; 0
  /// where no other process waits to take its place. `deaf`: whether the leader of a number does
  /// not answer the workers; null: it does. `predecessor`: an instance that is known to be dead, or
  /// 0.
  Leadership(control::ControlReader* log, control::ControlWriter* writer, control::Process self,
             Executor::Duration beat, std::function<bool(int64_t)> deaf = nullptr,
             uint64_t predecessor = 0)
      : log_(log),
        writer_(writer),
        self_(std::move(self)),
        beat_(beat),
        deaf_(std::move(deaf)),
        predecessor_(predecessor) {}

  /// Waits until nobody leads any more, or whoever leads hears no worker; and not at all for a
  /// predecessor. Returns at once without beats. kUnavailable: stopped.
  Task<Status> WaitForTurn();
  /// Takes the number above the fold's. kConflict: another claim came first.
  Task<Status> Claim();
  /// As far as this process has read.
  bool leads() const {
    return number_ > 0 && (log_->fold().leader().n == number_ || Planted("fold_number"));
  }
  /// Of the last claim that took effect; 0: there was none.
  int64_t number() const { return number_; }
  /// That another process leads (kFenced), or nobody does, and so cannot `what` here.
  Error NotLeader(const std::string& what) const;
  /// Appends a record of the leader, stamped. `what` says what it was to do. kConflict: it did not
  /// take effect. kFenced: for another process leads.
  Task<Status> Write(control::Record record, std::string what);
  /// The same; the verdict is the answer.
  Task<Result<control::Verdict>> Append(control::Record record);
  /// Appends an image of the fold as Snapshot records. Any verdict but kValid: what was written of
  /// it is void. One at a time.
  Task<Result<control::Verdict>> WriteSnapshot(control::FoldImage image);
  /// Beats while this process leads, until Leave(). Spawn it once; ends at once without beats.
  Task<> Beat();
  /// Tells the others, if there may be any, that they need not wait.
  Task<> Leave();

 private:
  control::ControlReader* log_;
  control::ControlWriter* writer_;
  const control::Process self_;
  const Executor::Duration beat_;
  const std::function<bool(int64_t)> deaf_;
  const uint64_t predecessor_;
  int64_t number_ = 0;  ///< of the last claim that took effect
  int64_t count_ = 0;   ///< of the records under it
  bool stopped_ = false;
};

}  // namespace millrace::runtime
