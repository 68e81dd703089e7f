#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "millrace/model/column.h"
#include "millrace/model/ids.h"

namespace millrace {

/// Why a record or event went to the quarantine output. The order is the order in which they are
/// judged.
enum class Reason : uint8_t {
  kNone = 0,
  kSequenceSpan,
  kUnreadable,
  kMissingColumn,
  kWrongType,
  kNullEventTime,
  kEventTimeOutOfRange,
  kTooFarAhead,
  kWrongPartition,
  kEvaluationError,
};

/// "UNREADABLE", ...
std::string_view ReasonName(Reason reason);

/// One producer of a record: its identity and the largest `acked_below` of the requests packed.
struct Producer {
  std::string principal;
  std::string id;
  int64_t acked_below = 0;
};

/// The rows of one log record inside a batch.
struct RecordSpan {
  Offset offset;
  Micros append_time = 0;
  uint32_t first_row = 0;
  uint32_t rows = 0;
  /// The record's producers: EventBatch::producers[first_producer, first_producer +
  /// producer_count). Their acked_below takes effect before the record's first row.
  uint32_t first_producer = 0;
  uint32_t producer_count = 0;
};

/// Events of one partition, typed, in log order: one block, or several one-event records.
///
/// Ownership: `columns` and the pointers view memory kept alive by `owner`. Immutable once built.
struct EventBatch {
  /// Whose columns these are. Columns are found by their index, so nobody reads those of another
  /// schema.
  SchemaIdentity schema;
  uint32_t rows = 0;
  std::vector<RecordSpan> records;
  std::vector<Producer> producers;
  /// The stream's declared columns, in order.
  std::vector<Column> columns;
  /// Per row: index into `producers`, or -1: no identity. nullptr: no row has one.
  const int16_t* producer = nullptr;
  /// Per row; meaningless without a producer.
  const int64_t* sequence = nullptr;
  /// Per row, what decoding found wrong (kUnreadable .. kEventTimeOutOfRange) or kNone; nullptr:
  /// nothing. The columns of such a row hold NULLs or defaults.
  const Reason* defects = nullptr;
  /// Per row: what the sender wrote, where it is there. nullptr: rebuilt from the columns when
  /// needed.
  const std::string_view* payload = nullptr;
  /// Per row with a defect: text for people. nullptr: none.
  const std::string_view* detail = nullptr;
  std::shared_ptr<const void> owner;
};

/// A logged tick: `elapsed` as written, not clamped; `previous` < 0: none.
struct Tick {
  Offset offset;
  Micros append_time = 0;
  Offset previous{-1};
  Micros elapsed = 0;
};

/// A logged Advance.
struct Advance {
  Offset offset;
  Micros append_time = 0;
  Micros to = 0;
};

using LogItem = std::variant<EventBatch, Tick, Advance>;

}  // namespace millrace
