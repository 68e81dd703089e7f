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

/// The outputs that have tables.
inline constexpr Output kServedOutputs[] = {Output::kResults, Output::kProvisional, Output::kLate,
                                            Output::kQuarantine};

/// Who owns the right to write a shard's rows, and how far each served output has come: rows up to
/// `last` are applied. Of files it says nothing.
struct Fence {
  Epoch epoch;
  LastRows last = {};

  int64_t seq(Output output) const { return last[static_cast<size_t>(output)].seq; }
  friend bool operator==(const Fence&, const Fence&) = default;
};

/// Rows of one shard. They move its fence from `from` (exclusive) to `to` in the transaction in
/// which they are written. Both say nothing of files.
struct ServingBatch {
  ShardId shard;
  Epoch epoch;
  LastRows from = {};
  LastRows to = {};
  /// Of each served output its rows (from, to], ascending by seq.
  std::vector<OutputRow> rows = {};
};

/// Writes what dashboards read, for the owners of shards: rows, and a fence for each shard. Rows of
/// kResults and kProvisional share a table: of one `_key` the result of the largest seq stands, or,
/// before there is a result, the provisional row of the largest seq. Revisions decide nothing:
/// after a skip they begin at a lower one. Threads: any executor. kUnavailable: the outcome is
/// unknown.
class ServingWriter {
 public:
  virtual ~ServingWriter() = default;

  /// Makes ready to write to the incarnation's tables; once in each process before Apply.
  /// kNotFound: the tables are not there yet.
  virtual Task<Status> Attach(Incarnation incarnation, StreamSpec stream,
                              PipelineSpec pipeline) = 0;
  /// Makes `epoch` the owner if the fence's epoch is smaller, or there is no fence, and gives the
  /// fence. The same epoch again gives the fence. kFenced: the fence has a newer epoch.
  virtual Task<Result<Fence>> TakeOver(ShardId shard, Epoch epoch) = 0;
  /// The fences of these shards, in their order; nothing where there is none.
  virtual Task<Result<std::vector<std::optional<Fence>>>> ReadFences(
      std::vector<ShardId> shards) = 0;
  /// All of the batch, durable, or nothing. kConflict: the fence was not exactly (epoch, from), so
  /// nothing was written: read it. kNotFound: the incarnation was not attached. kInvalidArgument:
  /// the store will never take a row as long as something forbids it, and nothing was written; the
  /// message names the row's output and number. Nothing else is kInvalidArgument.
  virtual Task<Status> Apply(ServingBatch batch) = 0;
};

}  // namespace millrace
