#pragma once

#include <optional>
#include <string>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/base/task.h"
#include "millrace/model/ids.h"
#include "millrace/model/row.h"
#include "millrace/model/spec.h"

namespace millrace {

/// Who owns the right to write one output of one shard, and how far it has come: rows up to `seq`
/// are applied.
struct Fence {
  Epoch epoch;
  int64_t seq = 0;
};

/// A batch moves the fence from `low` (exclusive) to `high` in the same transaction as its rows.
struct ServingBatch {
  ShardId shard;
  Output output = Output::kResults;
  Epoch epoch;
  int64_t low = 0;
  int64_t high = 0;
  /// Rows (low, high] of the output, ascending by seq.
  std::vector<OutputRow> rows;
};

/// Writes what dashboards read: one table per incarnation and output (table_shape.h), views
/// `name`, `name_late`, `name_quarantine` on the current incarnation's, and a fence row per
/// (incarnation, shard, output). Rows of kResults and kProvisional share a table: of one `_key` the
/// result of the largest seq stands, or, before there is a result, the provisional row of the
/// largest seq. Revisions decide nothing: after a skip they begin at a lower one.
/// Threads: any executor. kUnavailable: the outcome is unknown.
class ServingStore {
 public:
  virtual ~ServingStore() = default;

  /// Tables of the incarnation, and the views of the name on them unless they show a younger one.
  /// Idempotent; once in each process before Apply. kConflict: another pipeline's view has one of
  /// the names. kInvalidArgument: as CheckServingTables (table_shape.h).
  virtual Task<Status> Define(Incarnation incarnation, StreamSpec stream,
                              PipelineSpec pipeline) = 0;
  /// Removes the views of the name if they show this incarnation; its tables stay.
  virtual Task<Status> DropViews(Incarnation incarnation) = 0;

  /// Makes `epoch` the owner if the fence's epoch is smaller (or there is no fence: seq 0) and
  /// gives the seq reached. The same epoch again gives the seq reached. kFenced: the fence has a
  /// newer epoch.
  virtual Task<Result<Fence>> TakeOver(ShardId shard, Output output, Epoch epoch) = 0;
  virtual Task<Result<std::optional<Fence>>> ReadFence(ShardId shard, Output output) = 0;
  /// All of the batch, durable, or nothing. kConflict: the fence was not at (epoch, low), so
  /// nothing was written: read it. kNotFound: the incarnation was not defined.
  virtual Task<Status> Apply(ServingBatch batch) = 0;

  /// Deletes rows of the late and quarantine tables, which hold raw events, of every incarnation
  /// that ever was: those whose record was appended before `appended_before`, at most `max_rows` of
  /// them, of each shard those of the smallest numbers first. Gives how many. Fewer than `max_rows`:
  /// no more are left, or some stand behind that many rows whose record was appended later, as after
  /// a clock that stepped back; those come later.
  /// Fences stay where they are, so no owner sends such a row again.
  virtual Task<Result<int64_t>> DeleteRaw(Micros appended_before, int64_t max_rows) = 0;
};

}  // namespace millrace
