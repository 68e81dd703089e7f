#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/model/ids.h"
#include "millrace/model/row.h"
#include "millrace/model/spec.h"
#include "millrace/serving/serving_reader.h"
#include "millrace/serving/serving_writer.h"

namespace millrace {

/// SQLite takes 2,000, and `_deleted` is one. A numeric column counts twice, because a store may
/// need two for it.
inline constexpr size_t kMaxServingColumns = 1'999;

struct ServingColumn {
  std::string name;
  Type type = Type::kText;
  bool meta = false;  ///< shown only if asked for
};

/// The columns of the table of one output (kResults, also for kProvisional; kLate; kQuarantine), as
/// readers see them:
/// - results: the SELECT's, `_key`, `_revision`, `_provisional`, `_gap`, `_overflow`, `_shard`,
///   `_seq`, `_updated_at`. `_deleted` is the store's own: its rows are hidden;
/// - late: partition, offset, row, event_time, missed, first_missed_end, last_missed_end, the
///   stream's, `_shard`, `_seq`, `_updated_at`;
/// - quarantine: partition, offset, row, kind, reason, detail, payload, `_shard`, `_seq`,
///   `_updated_at`.
/// A declared column with the name of another, regardless of ASCII case, gets underscores behind it
/// until it has its own.
std::vector<ServingColumn> ServingColumns(const StreamSpec& stream, const PipelineSpec& pipeline,
                                          Output output);

/// Whether every store can have the pipeline's tables. kInvalidArgument: two columns of one cannot
/// be told apart, there are too many, or the view's name is the store's own.
Status CheckServingTables(const StreamSpec& stream, const PipelineSpec& pipeline);

/// `name`, with underscores behind it until no column has it, regardless of ASCII case.
std::string FreeColumnName(const std::vector<ServingColumn>& columns, std::string name);

/// Whether a column of a view is one of those that begin with an underscore above.
bool IsServingMeta(std::string_view name);

/// The row's value in each of those columns. `_key` is bytes. A failed row (is_row) without payload
/// gets one: its window and group columns as JSON.
std::vector<Value> ServingCells(const PipelineSpec& pipeline, const ShardId& shard,
                                const OutputRow& row);

/// Every key filter of a query for results names a column of the SELECT that is a group column, or
/// window_start or window_end, unchanged, and a value of its type. kInvalidArgument names those
/// columns.
Status CheckKeys(const PipelineSpec& pipeline, const ServingQuery& query);

/// Text of a `key` filter as a value of the column's type; one zero byte is NULL. kInvalidArgument:
/// it is none.
Result<Value> ParseKeyText(const std::string& column, Type type, const std::string& text);

/// "name", "name_late" or "name_quarantine", "<namespace>." before it if that is not the default.
std::string ServingViewName(const std::string& name_space, const std::string& name, Output output);

/// kInternal: `rows` are not rows (from, to] of served outputs, those of each in ascending order,
/// or the batch moves the place of files.
Status CheckServingBatch(const ServingBatch& batch);

/// What Apply says of a row that the store will never take (kInvalidArgument).
Error RefusedRow(const ShardId& shard, const OutputRow& row, std::string_view why);

}  // namespace millrace
