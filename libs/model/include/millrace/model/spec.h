#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/model/column.h"
#include "millrace/model/expr.h"
#include "millrace/model/ids.h"

namespace millrace {

/// Raised by any change that can alter one byte of state or output for some log.
inline constexpr int32_t kSemanticsVersion = 4;

struct ColumnSpec {
  std::string name;
  Type type = Type::kInt;
  bool not_null = false;
  /// Declared in quotes. If not, what sends it may spell the name in upper and lower case
  /// (docs/formats/json.md).
  bool quoted = false;

  friend bool operator==(const ColumnSpec&, const ColumnSpec&) = default;
};

enum class RecordFormat : uint8_t { kArrow = 1, kJson };

/// A stream: a topic with declared columns. Immutable but for added nullable columns, each with a
/// new schema id.
struct StreamSpec {
  std::string name_space = "default";
  std::string name;
  int32_t schema_id = 1;
  std::vector<ColumnSpec> columns;
  int32_t event_time = 0;  ///< index of the event time column (timestamptz)
  Micros watermark_delay = 0;
  int32_t partition_key = -1;       ///< index of the column, or -1
  bool partitioned_by_key = false;  ///< another writer's promise; each record is checked
  Micros max_ahead = 3'600 * kSecond;
  Micros idle_timeout = 30 * kSecond;
  RecordFormat format = RecordFormat::kArrow;
  int32_t partitions = 4;
  bool ticks = true;
  bool keep_raw = false;
  /// The topic has broker append times; without them rule 3 takes the event time alone and
  /// max_ahead is off.
  bool append_times = true;
  /// Others made the topic and write it. It is neither made nor removed, and nothing of it is
  /// deleted.
  bool foreign = false;
  std::string topic;  ///< log topic; default "<namespace>.<name>"
  /// Control-log offset of its DefineStream record, which tells it from an earlier stream of the
  /// same name. Not part of the definition: the fold of the control log sets it.
  Offset generation;

  SchemaIdentity schema() const { return {generation, schema_id}; }

  friend bool operator==(const StreamSpec&, const StreamSpec&) = default;
};

enum class WindowKind : uint8_t { kTumble = 1, kHop };

/// Which windows an event belongs to.
struct WindowSpec {
  WindowKind kind = WindowKind::kTumble;
  Micros size = 0;
  Micros slide = 0;   ///< hop; equal to size for tumble
  Micros offset = 0;  ///< already counted from the epoch: Monday alignment of whole weeks is in it
  std::string zone;   ///< tumble of whole days only; empty: UTC
  /// With a zone: starts of its local days, ascending, from 1970-01-01 to before 2101-01-01.
  /// Outside them days are 24 hours of the nearest UTC offset, so the table is all that is ever
  /// read of the zone.
  std::vector<Micros> day_starts;
  int32_t days = 1;  ///< with a zone: window size in local days, counted from 1970-01-01 local

  friend bool operator==(const WindowSpec&, const WindowSpec&) = default;
};

enum class Aggregate : uint8_t { kCountStar = 1, kCount, kSum, kMin, kMax, kAvg };

struct AggregateSpec {
  Aggregate kind = Aggregate::kCountStar;
  std::optional<Expr> argument;  ///< over the stream's columns; none for count(*)
  std::optional<Expr> filter;  ///< boolean over the stream's columns; evaluated before the argument
  Type type = Type::kBigint;   ///< of the result

  friend bool operator==(const AggregateSpec&, const AggregateSpec&) = default;
};

struct GroupColumn {
  Expr expr;  ///< over the stream's columns

  friend bool operator==(const GroupColumn&, const GroupColumn&) = default;
};

/// A column of the result: an expression over the group row, whose columns are: the group columns
/// in GROUP BY order, window_start, window_end, the aggregates.
struct OutputColumn {
  std::string name;
  Expr expr;
  /// Which group column it is unchanged, or -1; result tables index these.
  int32_t group_column = -1;

  friend bool operator==(const OutputColumn&, const OutputColumn&) = default;
};

enum class StartKind : uint8_t { kEarliest = 1, kLatest, kTime };

/// A checked plan of one view. `expr` indices refer to the stream's columns (where, group,
/// arguments) or to the group row (having, select).
struct PipelineSpec {
  std::string name_space = "default";
  std::string name;
  std::string stream;
  int32_t schema_id = 1;
  int32_t semantics_version = kSemanticsVersion;
  std::optional<Expr> where;
  std::vector<GroupColumn> group_by;  ///< without window_start, window_end
  WindowSpec window;
  std::vector<AggregateSpec> aggregates;
  std::optional<Expr> having;
  std::vector<OutputColumn> select;  ///< in SELECT order
  Micros allowed_lateness = 0;
  bool updates = false;  ///< emit = 'updates'
  StartKind start = StartKind::kEarliest;
  Micros start_time = 0;  ///< kTime only
  Micros file_interval = 3'600 * kSecond;
  Micros file_idle = 300 * kSecond;

  friend bool operator==(const PipelineSpec&, const PipelineSpec&) = default;
};

/// Types of the group row that `having` and `select` read.
std::vector<Type> GroupRowTypes(const PipelineSpec& spec);

}  // namespace millrace
