#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/hash.h"
#include "millrace/model/batch.h"
#include "millrace/model/column.h"
#include "millrace/model/ids.h"

namespace millrace {

/// A shard's outputs. Each has its own sequence 1, 2, ...
enum class Output : uint8_t { kResults = 1, kFiles, kProvisional, kLate, kQuarantine };
inline constexpr int kOutputs = 5;

/// One number for each output, by its number; 0 is unused.
using OutputSeqs = std::array<int64_t, kOutputs + 1>;

/// The last row of an output up to some place, by its number and its chain hash
/// (docs/formats/row.md). Of no row both are 0.
struct LastRow {
  int64_t seq = 0;
  Hash128 hash;

  friend bool operator==(const LastRow&, const LastRow&) = default;
};
/// One for each output, by its number; 0 is unused.
using LastRows = std::array<LastRow, kOutputs + 1>;

/// "results", "files", "provisional", "late", "quarantine".
std::string_view OutputName(Output output);

/// One value outside the hot path. monostate is NULL.
struct Value {
  Type type = Type::kInt;
  std::variant<std::monostate, int64_t, double, Int128, std::string> data;

  bool is_null() const { return data.index() == 0; }
  static Value From(const Column& column, size_t row);
  friend bool operator==(const Value&, const Value&) = default;
};

/// One row of an output, decoded. Which members mean something depends on `output`.
struct OutputRow {
  Output output = Output::kResults;
  int64_t seq = 0;        ///< of this output, from 1
  Offset cause;           ///< the record that caused the row
  int32_t cause_row = 0;  ///< its row in the block
  Micros caused_at = 0;   ///< append time of that record
  /// kResults, kFiles, kProvisional: the window and its row. kQuarantine with `is_row`: the failed
  /// row's.
  Micros window_start = 0;
  Micros window_end = 0;
  std::string key;  ///< group key bytes (semantics rule 9)
  int64_t revision = 0;
  bool deleted = false;  ///< `values` are then all NULL; the group is in `key`
  bool gap = false;
  int64_t result_seq = 0;  ///< kFiles: number of the result row repeated
  int64_t file_seq = 0;    ///< kResults: number of the file row that this row is too; 0: none
  /// kFiles: this entry is no row but the end of a file of rows [file_first, file_last]; its `seq`
  /// is file_last.
  bool file_end = false;
  int64_t file_first = 0;
  Micros file_interval_start = 0;
  /// kLate.
  Micros event_time = 0;
  int64_t missed = 0;
  Micros first_missed_end = 0;
  Micros last_missed_end = 0;
  /// kQuarantine.
  bool is_row = false;
  Reason reason = Reason::kNone;
  std::string detail;
  std::string payload;
  /// kResults, kFiles, kProvisional: the SELECT's columns. kLate: the declared columns.
  std::vector<Value> values;

  friend bool operator==(const OutputRow&, const OutputRow&) = default;
};

/// The row encoding of docs/formats/row.md: what the outbox, the manifest and the size bound of
/// files count. Appends one row, length first. The engine writes the same bytes from columns
/// (AppendValueRows).
void EncodeRow(const OutputRow& row, std::string* out);
/// Reads the next row; kCorruption if the bytes are not one.
Result<OutputRow> DecodeRow(ByteReader* in);
/// The same of one row's bytes without their length.
Result<OutputRow> DecodeRow(std::string_view bytes);
/// Of a row of these bytes, without their length, behind a row with the hash `before`.
inline Hash128 ChainHash(const Hash128& before, std::string_view bytes) {
  return HashBehind(before, bytes);
}
/// The row as `output` has it. Nothing: it is none of that output.
std::optional<OutputRow> RowOf(Output output, OutputRow row);

/// The flags byte of a row about a window, for whoever writes rows from columns.
uint8_t RowFlags(bool deleted, bool gap);

void EncodeValue(std::string* out, const Value& value);
/// Appends, for each of the rows [0, rows), the number of columns and their values as EncodeRow
/// writes them; ends->at(i) is then the end of row i in *out.
void AppendValueRows(const std::vector<Column>& columns, size_t rows, std::string* out,
                     std::vector<size_t>* ends);

/// Text of a value as tables, CSV and messages show it; NULL gives "NULL".
std::string ValueText(const Value& value);
/// As a JSON value: numbers, strings, true/false, null; NaN, infinities and numerics as text.
std::string ValueJson(const Value& value);
/// The text whose bytes partition keys are hashed from; NULL is one zero byte
/// (docs/formats/partitioning.md).
std::string CanonicalText(const Column& column, size_t row);
/// Shortest decimal that reads back as `v`; "NaN", "Infinity", "-Infinity".
std::string FormatDouble(double v);
std::string JsonQuote(std::string_view text);

/// murmur2 as Java clients do, masked, modulo `partitions`.
PartitionId PartitionOf(std::string_view key, int32_t partitions);

/// Group key bytes (semantics rule 9): byte order is the order of rows.
void AppendKeyValue(std::string* out, const Column& column, size_t row);
/// The keys of the rows [0, rows) of these group columns, one behind the other from out->data() on;
/// ends->at(i) is the end of key i. What lies behind the last one means nothing.
void WriteKeys(const std::vector<Column>& columns, size_t rows, std::string* out,
               std::vector<uint32_t>* ends);
/// The values back, by the types of the group columns. kCorruption if the bytes are not a key of
/// these types.
Result<std::vector<Value>> DecodeKey(std::string_view key, const std::vector<Type>& types);
/// `_key` of the serving store: group key bytes, window start, window end (both ordered).
std::string ServingKey(const OutputRow& row);

}  // namespace millrace
