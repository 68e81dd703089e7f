#pragma once

#include "millrace/control/control_log.h"
#include "millrace/runtime/leadership.h"

namespace millrace::runtime {

/// Sees to it that every shard has an owner that lives, while this process leads. It asks
/// control::PlanMoves and writes what that says. All shards on a partition get one owner.
///
/// Threads: the control executor.
class Balancer {
 public:
  /// Both outlive it. `worker` is the one that lives: every other process counts as dead.
  Balancer(const control::ControlLog* control, Leadership* leadership, control::Process worker,
           size_t executors)
      : control_(*control),
        leadership_(*leadership),
        worker_(std::move(worker)),
        executors_(executors) {}

  /// Assigns the shards whose owner is dead or that never had one. kConflict: another process
  /// leads.
  Task<Status> AssignOrphans();

  /// Gives the shard of this epoch to its worker again, under the next one. kConflict: this process
  /// does not lead.
  Task<Status> AssignAgain(ShardId shard, Epoch epoch);

 private:
  Task<Status> Assign(control::Assign assign);

  const control::ControlLog& control_;
  Leadership& leadership_;
  const control::Process worker_;
  const size_t executors_;
};

}  // namespace millrace::runtime
