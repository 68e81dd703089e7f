#pragma once

#include <string>

namespace millrace::sim {

// Histories in which the serving store and the log do not belong together. Each gives what went
// wrong: empty, if nothing did.

/// The store holds rows of a log that is gone. In its place is one that makes as many rows.
std::string RunWithAnotherLog();

/// A shard makes again, without a checkpoint, what the store has, and would have time to cut.
std::string RunThroughALongReplay();

/// A result file of a log that is gone. In its place is one that puts other rows under its numbers.
std::string RunWithAnotherFile();

/// The log is another one, and a record of it cannot be read before the rows of the store are made
/// again.
std::string RunIntoDamageWhileUnproved();

/// How a shard may miss that its log changed: its process stands still, the log does not answer, or
/// the end is seen where it is not any more.
enum class MissedBy { kPause, kLink, kDrop };
/// The log loses its end and grows past the place of a shard that has read it. Nothing that is
/// committed or shown was of the lost records.
std::string RunPastALostEnd(MissedBy by);

/// The log loses its end above the place of a shard whose reader has fetched more already.
std::string RunWithAReaderAhead();

/// The log loses its end while a shard makes again what the store has. What is left ends before
/// that.
std::string RunUpToALostEnd();

}  // namespace millrace::sim
