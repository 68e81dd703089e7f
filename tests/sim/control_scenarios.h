#pragma once

#include <string>

namespace millrace::sim {

// Stories of the control log that random histories seldom tell. Each gives what went wrong; empty:
// nothing. The same ones show that mistakes planted there are found.

/// The first copy of a definition arrives after the view was dropped.
std::string LateDefinition();
/// A leader goes on after another process claimed, also once it has read that.
std::string OvertakenLeader();
/// A leader that does not know yet of the next one, nor of what that one defined, cleans up.
std::string SweepOfAnOvertakenLeader();
/// A process starts under the name of one that still runs.
std::string TwoOfOneName();
/// The serving store goes back while a batch is on its way to it.
std::string LateBatchOfAnEarlierLife();
/// A view is defined and a stream is trimmed, each decided before the other was read.
std::string DefineAgainstTrim();
/// A view is defined while the leader looks which records may go.
std::string DefineDuringTrim();
/// A stream is trimmed while a shard may still have to go back to where a skip leads it.
std::string TrimAgainstSkipBack();
/// A coordinator sleeps for a minute and wakes up.
std::string PausedObserver();
/// A process leads before it has heard of the workers that own the shards.
std::string NewLeaderAmongLivingOwners();

/// A skip was decided for a halt that is over when it arrives; the shard has halted again.
std::string SkipOfAnEarlierHalt();
/// A batch of an owner that halted arrives when the halt is known already.
std::string LateBatchOfAHaltedOwner();
/// A log lost its end, a skip went back, and the checkpoint that it went on from is gone.
std::string BaseLostBehindAPinnedSkip();
/// A shard was skipped when its newest checkpoint could not be read, and then it can again.
std::string FoundAgainBehindASkip();

}  // namespace millrace::sim
