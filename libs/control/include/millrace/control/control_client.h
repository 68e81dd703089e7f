#pragma once

#include "millrace/base/task.h"
#include "millrace/control/fold.h"

namespace millrace::control {

/// What a shard needs of the control log, wherever the two run.
class ControlClient {
 public:
  virtual ~ControlClient() = default;

  /// What became of a commit.
  struct Committed {
    Verdict verdict = Verdict::kUnknown;
    /// The shard as the fold has it after the record.
    ShardState shard;
  };
  /// Appends a Commit and gives the verdict of the fold. On doubt the same bytes are appended
  /// again; it counts as valid if the fold holds this very commit. kUnavailable: the log does not
  /// answer.
  virtual Task<Result<Committed>> WriteCommit(Commit commit) = 0;
  /// Appends a Halt and gives the verdict of the fold.
  virtual Task<Result<Verdict>> WriteHalt(Halt halt) = 0;
  /// Asks the leader to assign the shard once more to the process that owns it under `epoch`, so
  /// that the process can open it again. The fold shows the new epoch when there is one. kConflict:
  /// another process leads. kUnavailable: the log does not answer.
  virtual Task<Status> RequestEpoch(ShardId shard, Epoch epoch) = 0;
  /// The shard as the log has it by now: the fold is caught up first. kNotFound: it is not defined
  /// any more. kUnavailable: the log does not answer.
  virtual Task<Result<ShardState>> ReadShard(ShardId shard) = 0;
};

}  // namespace millrace::control
