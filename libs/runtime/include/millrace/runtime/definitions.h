#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "millrace/control/control_reader.h"
#include "millrace/operations/operations.h"
#include "millrace/runtime/leadership.h"
#include "millrace/runtime/ports.h"
#include "millrace/runtime/troubles.h"
#include "millrace/runtime/turns.h"
#include "millrace/sql/planner.h"

namespace millrace::runtime {

/// What is defined and dropped: writes it to the control log for callers who ask for it, and makes
/// topics and tables follow what the log says. Each step can be done again: what a leader
/// that died left undone, the next one does.
///
/// Errors: those of operations::Operations. What fails in the stores is tried again and shown in
/// troubles(). Threads: the control executor.
class Definitions {
 public:
  struct Wiring {
    Ports ports;
    Options options;
    /// Ends when the gateway of this process appends to no stream that the fold does not have.
    /// Empty: the process has none.
    std::function<Task<>()> stop_appending;
    /// Ends when no shard of a dropped pipeline reads in this process any more.
    std::function<Task<>()> stop_lost;
    std::function<void()> on_tables;  ///< called when a pipeline has got its tables
  };

  /// `control` and `leadership` outlive it.
  Definitions(Wiring wiring, const control::ControlReader* control, Leadership* leadership)
      : wiring_(std::move(wiring)), control_(*control), leadership_(*leadership) {}

  Task<Result<operations::ApplyReport>> Apply(std::string sql, bool may_drop);
  Task<Status> DropPipeline(std::string name_space, std::string name);

  /// Nobody makes or removes the topic in this process while the turn is held.
  Task<Turns::Turn> TakeTopic(std::string topic);

  /// If this process leads, makes topics, and defines and drops tables, as the fold says now and as
  /// the table store needs: one that went back lacks views that it had, or has views that were
  /// dropped. A pipeline whose stores refuse it is put off. Errors are those of the log.
  Task<Status> Follow();
  /// Removes the topics of dropped streams, once no shard of this process reads them, if this
  /// process leads.
  Task<> RemoveDroppedTopics();

  /// Call Follow again after UntilNextTry(), also if the fold stays as it is.
  bool due_again() const { return leadership_.leads() || !put_off_.empty(); }
  Executor::Duration UntilNextTry() const;
  Troubles& troubles() { return troubles_; }
  /// How troubles() calls the tables of a pipeline.
  static std::string TablesOf(const Incarnation& incarnation);

 private:
  /// Tables to define or a drop to finish, after a try that failed, by what it is about.
  struct PutOff {
    Executor::Duration until{0};
    Executor::Duration delay{0};
  };

  Task<Result<operations::AppliedStatement>> ApplyStatement(Statement statement);
  Task<Result<operations::AppliedStatement>> ApplyStream(StreamSpec spec);
  Task<Status> TakeOrMakeTopic(StreamSpec* spec);
  Task<Result<operations::AppliedStatement>> ApplyPipeline(PipelineSpec spec);
  Task<Result<operations::AppliedStatement>> ApplySetting(SettingStatement setting);
  Task<Result<operations::AppliedStatement>> ApplyDrop(DropStatement drop);
  Task<Status> DropStream(std::string name_space, std::string name);
  Task<Result<std::vector<Offset>>> StartOffsets(PipelineSpec spec, StreamSpec stream);
  Task<Status> MakeTopics();
  Task<Status> MakeTopic(StreamSpec stream);
  bool IsPutOff(const std::string& what) const;
  void NoteTry(const std::string& what, const Status& status, const std::string& advice);
  Task<Status> DefineServing(Incarnation incarnation);
  /// What FinishDrop and DefineServing say is noted, to be tried again if they failed.
  Task<Status> TryDrop(Incarnation incarnation);
  Task<Status> TryDefine(Incarnation incarnation);
  /// Which views the table store has. It tells of a drop that a leader before this one did not
  /// finish, and of a store that went back.
  Task<> LookForViews();
  bool IsDropped(const Incarnation& incarnation) const;
  Task<Status> FinishDrop(Incarnation incarnation);
  Task<Status> FinishStreamDrop(Offset generation);

  const Wiring wiring_;
  const control::ControlReader& control_;
  Leadership& leadership_;
  std::set<Incarnation> served_;  ///< have their tables, as far as is known
  /// Pipelines that may have tables: those that the fold had, and those whose views were seen.
  /// One that the fold has no more was dropped, and its drop is to be finished.
  std::set<Incarnation> known_;
  Executor::Duration look_for_views_at_{0};
  std::set<Offset> removed_topics_;  ///< of dropped streams, by generation
  std::map<std::string, PutOff> put_off_;
  Troubles troubles_{"coordinator"};
  std::set<Offset> topics_;  ///< made, by the generation of their streams
  /// A table and its views are made and dropped in turn, so is a topic: a step that was decided
  /// before a drop must not take effect after it.
  Turns turns_;
};

}  // namespace millrace::runtime
