#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/cli/console.h"
#include "millrace/serving/serving_reader.h"

namespace millrace::cli {

enum class Format { kTable, kCsv, kJson };

/// "table", "csv", "json".
std::optional<Format> ParseFormat(std::string_view name);

/// Writes a table to `console.out`:
/// - table: aligned columns for people, NULL as NULL, control characters escaped; 10,000 rows are
///   aligned with each other and with those before;
/// - csv: RFC 4180 with a header line and line feeds; NULL is an empty field, empty text "";
/// - json: one object a line.
/// Values as docs/cli.md says. On a terminal a count of rows goes to `console.err`.
class TableWriter {
 public:
  TableWriter(Format format, const Console& console) : format_(format), console_(console) {}

  /// Once, first.
  void Begin(std::vector<std::string> names, std::vector<Type> types);
  /// As many values as there are columns.
  void Row(const std::vector<Value>& values);
  /// Once, last.
  void End();

 private:
  void EndLine();
  void Flush();
  void WriteAligned();
  void WriteHeader();
  void AppendCells(const std::vector<std::string>& cells);

  const Format format_;
  const Console& console_;
  std::vector<std::string> names_;  ///< json: as members, `"name":`
  std::vector<Type> types_;
  std::string text_;
  size_t rows_ = 0;
  std::vector<std::vector<std::string>> cells_;  ///< table
  std::vector<size_t> widths_;
  bool header_written_ = false;
};

void WriteTable(const ServingTable& table, Format format, const Console& console);

}  // namespace millrace::cli
