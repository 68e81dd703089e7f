#pragma once

#include <string>

namespace millrace::sim {

// Stories of shards that move between two workers. Each gives what went wrong; empty: nothing.

/// A worker stops in order while events come: the other one has followed its shard, and owns it.
std::string Drain();
/// One of the two processes dies, or stands still for a minute, where it first passes this crash
/// point in a drain.
std::string CrashInADrain(const std::string& point, bool pause);
/// One of the two processes dies, or stands still for a minute, where it first passes this crash
/// point in a drain.
std::string CrashInADrain(const std::string& point, bool pause);
/// A worker dies `after` it was told to stop, wherever the move is by then.
std::string DeathInADrain(int after_ms);
/// A follower that could not read for a while is behind the commits when the owner dies.
std::string FollowerBehindTheCommits();
/// A follower restores so slowly that newer checkpoints replace those that it reads.
std::string SlowFollower();
/// A follower becomes the owner long after the checkpoint that it was restored from was let go.
std::string FollowerOfAnOldCheckpoint();
/// Each shard has a follower for good, which owns it as soon as its owner is dead.
std::string FollowerForGood();
/// The operator pins a partition to the other worker, and ends that.
std::string Pinned();
/// An owner reads in the fence that it was replaced, before it has read that in the control log.
std::string ReplacedBeforeItKnows();
/// The coordinators hear nothing of a worker that goes on with its shard.
std::string SilentOwner();
/// A worker does not reach the serving store any more, and the other one does.
std::string CutOffFromTheTables();

}  // namespace millrace::sim
