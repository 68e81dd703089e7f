#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/model/row.h"
#include "millrace/model/spec.h"

namespace millrace::window {

/// The fixed part of a row about a window.
struct WindowRow {
  Output output;
  bool deleted;
  bool gap;
  int64_t seq;
  Offset cause;
  int32_t cause_row;
  Micros caused_at;
  Micros window_start;
  Micros window_end;
  std::string_view key;
  int64_t revision;
  int64_t result_seq;
  std::string_view values;  ///< their number and they, encoded
};

/// Appends what EncodeRow would.
void WriteWindowRow(const WindowRow& row, std::string* scratch, std::string* out);

/// Appends the values of group keys to one column for each group column. Uses up *keys.
void AppendKeyColumns(std::vector<std::string_view>* keys, size_t group_columns,
                      ColumnData* columns);

/// State keys of a slice: [first, second) holds all its groups.
std::pair<std::string, std::string> SliceRange(Micros start);
/// The one state key of a closed window, as a range.
std::pair<std::string, std::string> ClosedRange(Micros end);

}  // namespace millrace::window
