#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/control/control_reader.h"
#include "millrace/control/plan_moves.h"
#include "millrace/operations/operations.h"
#include "millrace/runtime/leadership.h"
#include "millrace/runtime/turns.h"
#include "millrace/runtime/worker_desk.h"

namespace millrace::runtime {

/// Sees to it that every shard has an owner that lives, and that the workers are busy alike, while
/// this process leads. It asks control::PlanMoves, writes what that assigns, and answers the
/// workers' reports with whom they are to follow. All shards on a partition get one owner.
///
/// Threads: the control executor.
class Balancer {
 public:
  /// All outlive it.
  Balancer(const control::ControlReader* control, Leadership* leadership, WorkerDesk* desk)
      : control_(*control), leadership_(*leadership), desk_(*desk) {}

  /// Plans each second and after Wake(), until Stop(). Spawn it once.
  Task<> Loop();
  void Stop();
  /// Something is new: an owner, a worker, a report that a move waited for.
  void Wake();
  /// Plans once and writes what that says, if this process leads. Errors: those of the log;
  /// kConflict, another process leads.
  Task<Status> PlanOnce();

  /// The answer to a report of the worker.
  Answer AnswerTo(uint64_t instance) const;
  /// Why the last plan of this leader left the shard without an owner; empty: it did not.
  std::string WhyUnowned(const ShardId& shard) const;
  /// The worker that would get the shard now: its owner if that answers, else the one with the
  /// least shards. Nothing: no worker answers.
  std::optional<control::Process> TakerOf(const ShardId& shard) const;
  /// As in operations::Operations. False: the shard is not held.
  bool Release(const ShardId& shard);
  /// How many workers are in each state of kWorkerStates, while this process leads.
  std::map<std::string, int64_t> Workers() const;
  static constexpr std::array<std::string_view, 6> kWorkerStates = {
      "ready", "silent", "unreachable", "draining", "cannot", "shaky"};
  /// How many partitions no worker gets, by the reason, while this process leads.
  std::map<control::Unowned, int64_t> Unowned() const;
  /// How often this process gave a shard to a worker, by each of kMoveReasons.
  const std::map<std::string_view, int64_t>& Moves() const { return moves_; }
  static constexpr std::array<std::string_view, 7> kMoveReasons = {
      "new", "orphan", "drain", "fresh", "hot", "together", "again"};
  /// What operators must know of workers and of shards that none gets; empty: nothing.
  std::string Troubles() const;

 private:
  Task<Status> PlanNow();
  void TakeOffice();
  Task<Status> Assign(control::Assign assign, std::string_view why);
  std::vector<control::Assign> AssignsAgain() const;

  const control::ControlReader& control_;
  Leadership& leadership_;
  WorkerDesk& desk_;
  int64_t number_ = 0;  ///< of the leadership that memory_ belongs to
  control::PlanMemory memory_;
  std::map<control::BundleId, control::Unowned> unowned_;
  std::map<control::BundleId, control::Ticks> released_;
  std::map<uint64_t, std::vector<ShardId>> wishes_;  ///< by instance
  std::set<std::string> shaky_;                      ///< names of workers that keep dying
  std::map<std::string_view, int64_t> moves_;        ///< by the reason
  Event woken_;
  bool news_ = false;
  Turns turns_;
  bool stopped_ = false;
};

}  // namespace millrace::runtime
