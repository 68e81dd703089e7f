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

}  // namespace millrace::sim
