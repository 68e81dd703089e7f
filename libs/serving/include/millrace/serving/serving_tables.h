#pragma once

#include <string>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/base/task.h"
#include "millrace/model/ids.h"
#include "millrace/model/spec.h"

namespace millrace {

/// The tables that dashboards read, for the process that leads: one per incarnation and output
/// (table_shape.h), and views `name`, `name_late`, `name_quarantine` on those of the present
/// incarnation. Threads: any executor. kUnavailable: the outcome is unknown.
class ServingTables {
 public:
  virtual ~ServingTables() = default;

  /// Asks the store once whether it takes this process. kInvalidArgument: it answers, and something
  /// in the configuration must be changed. kUnavailable: whatever may pass by itself.
  virtual Task<Status> Probe() { co_return Status(); }

  /// The mark that says whose store this is; empty: there is none. Writes nothing.
  virtual Task<Result<std::string>> ReadMark() = 0;
  /// Sets `mark` where none stands, or in any case if `replace`; gives the one that stands then.
  virtual Task<Result<std::string>> Mark(std::string mark, bool replace) = 0;

  /// Tables of the incarnation, and the views of the name on them unless they show a younger one.
  /// Idempotent. kConflict: another pipeline's view has one of the names. kInvalidArgument: as
  /// CheckServingTables (table_shape.h).
  virtual Task<Status> Define(Incarnation incarnation, StreamSpec stream,
                              PipelineSpec pipeline) = 0;
  /// Removes the views of the name if they show this incarnation; its tables stay.
  virtual Task<Status> DropViews(Incarnation incarnation) = 0;
  /// The incarnations whose views are there.
  virtual Task<Result<std::vector<Incarnation>>> ListViews() = 0;

  /// Deletes rows of the late and quarantine tables, which hold raw events, of every incarnation
  /// that ever was: those whose record was appended before `appended_before`, at most `max_rows` of
  /// them, of each shard those of the smallest numbers first. Gives how many. Fewer than
  /// `max_rows`: no more are left, or some stand behind that many rows whose record was appended
  /// later, as after a clock that stepped back; those come later. Fences stay where they are, so no
  /// owner sends such a row again.
  virtual Task<Result<int64_t>> DeleteRaw(Micros appended_before, int64_t max_rows) = 0;
};

}  // namespace millrace
