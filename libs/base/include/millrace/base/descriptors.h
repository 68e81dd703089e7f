#pragma once

#include "millrace/base/result.h"

namespace millrace {

/// How a process shares out the descriptors that it may have (docs/bounds.md): shards stop first,
/// then connections, and the last of them are kept for files, so that what runs goes on.
namespace descriptors {

/// Kept for the log, the stores and the HTTP server.
constexpr int kForFiles = 192;
/// Kept for connections before shards take theirs, where there are so many.
constexpr int kForConnections = 256;
/// A process with fewer does not start.
constexpr int kLeast = 256;

/// The limit of this process (ulimit -n).
int Limit();
/// A connection that was given this descriptor, or a higher one, is closed again. The kernel gives
/// the lowest that is free, so all below it are in use.
int EndOfConnections(int limit);
/// No shard is opened while this one, or a higher one, would be the next.
int EndOfShards(int limit);
/// kUnavailable: the process has no descriptors left for another shard, for another connection.
Status RoomForShard();
Status RoomForConnection();

}  // namespace descriptors
}  // namespace millrace
