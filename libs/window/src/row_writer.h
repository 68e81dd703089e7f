#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/model/row.h"
#include "millrace/window/assigner.h"

namespace millrace::window {

/// Writes the rows that one record causes in one window, as EncodeRow would write them. What they
/// have in common is encoded once.
class RowWriter {
 public:
  struct Row {
    Output output;
    bool deleted;
    int64_t seq;
    std::string_view key;
    int64_t revision;
    int64_t result_seq;       ///< kFiles: of the result row repeated
    int64_t file_seq;         ///< kResults: of the file row that this row is too; 0: none
    std::string_view values;  ///< their number and they, encoded
  };

  /// All rows up to the next Begin are caused by row `cause_row` of the record at `cause`.
  void Begin(Offset cause, int32_t cause_row, Micros caused_at, const Span& window, bool gap);
  /// Gives the row's bytes without their length, until the next call.
  std::string_view Write(const Row& row, std::string* out);

 private:
  bool gap_ = false;
  std::string shared_;   ///< from the cause to the end of the window
  std::string scratch_;  ///< room for the length, then the row
};

/// Appends the values of group keys to one column for each group column. Uses up *keys.
void AppendKeyColumns(std::vector<std::string_view>* keys, size_t group_columns,
                      ColumnData* columns);

/// State keys of a slice: [first, second) holds all its groups.
std::pair<std::string, std::string> SliceRange(Micros start);
/// The one state key of a closed window, as a range.
std::pair<std::string, std::string> ClosedRange(Micros end);

}  // namespace millrace::window
