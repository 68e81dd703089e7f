#include "millrace/control/leader_watch.h"

namespace millrace::control {

bool LeaderWatch::Round(const LeaderState& leader, Duration now, bool at_end) {
  const bool paused = now - std::exchange(last_, now) > kPaused;
  const std::pair newest(leader.n, leader.k);
  const bool heard = newest != std::exchange(seen_, newest);
  if (!at_end || paused || heard) {
    silent_ = 0;
  } else {
    ++silent_;
  }
  const bool nobody = leader.n == 0 || leader.left;
  return at_end && (nobody || silent_ >= kSilentRounds + spare_);
}

}  // namespace millrace::control
