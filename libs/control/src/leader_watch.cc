#include "millrace/control/leader_watch.h"

namespace millrace::control {

bool LeaderWatch::Round(const LeaderState& leader, Duration now, bool at_end, bool deaf) {
  const bool paused = now - std::exchange(last_, now) > kPaused;
  const std::pair newest(leader.n, leader.k);
  const std::pair before = std::exchange(seen_, newest);
  const bool evidence = at_end && !paused;
  silent_ = evidence && newest == before ? silent_ + 1 : 0;
  deaf_ = evidence && deaf && leader.n == before.first ? deaf_ + 1 : 0;
  const bool nobody = leader.n == 0 || leader.left;
  return at_end && (nobody || silent_ >= kSilentRounds + spare_ || leader_is_deaf());
}

}  // namespace millrace::control
