#pragma once

#include <chrono>
#include <utility>

#include "millrace/control/fold.h"

namespace millrace::control {

/// Tells a process that does not lead when it should claim: after kSilentRounds rounds without a
/// record of the leader, after as many in which the leader was deaf to the workers, and at once
/// after the leader said that it goes.
///
/// A deaf leader beats, and can decide nothing: it stood still while its successor took its name
/// and address, or it is cut off from the workers alone.
///
/// A round is one pass of a timer of a second in which the control log was read to its end first.
/// Silence is counted in rounds, never as a difference of times. A watcher that was paused itself
/// counts from the beginning, so it never takes the others for dead because of its own pause.
class LeaderWatch {
 public:
  using Duration = std::chrono::microseconds;

  static constexpr int kSilentRounds = 10;
  /// Rounds that are further apart than this are no evidence.
  static constexpr Duration kPaused = std::chrono::seconds(2);

  /// `spare`: rounds to wait beyond those, drawn at random, so that two watchers do not claim at
  /// the same moment.
  explicit LeaderWatch(int spare) : spare_(spare) {}

  /// One round at `now`, of a monotonic clock. `at_end`: the log was read to its end in it. `deaf`:
  /// the workers that are heard here say that this leader does not answer them. True: claim, once
  /// more at the end.
  bool Round(const LeaderState& leader, Duration now, bool at_end, bool deaf);
  /// Why Round() was true: the leader is there, and hears no worker.
  bool leader_is_deaf() const { return deaf_ >= kSilentRounds + spare_; }

 private:
  const int spare_;
  std::pair<int64_t, int64_t> seen_{-1, -1};  ///< n and k of the leader's last record
  Duration last_{0};
  int silent_ = 0;
  int deaf_ = 0;
};

}  // namespace millrace::control
