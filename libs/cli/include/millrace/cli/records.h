#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/cli/byte_source.h"

namespace millrace::cli {

struct CsvField {
  std::string_view text;  ///< without the quotes
  bool quoted = false;    ///< an empty field is NULL if it is not quoted
};

/// Valid until the next call of the reader.
struct CsvRecord {
  int64_t line = 0;  ///< where it begins, from 1
  std::vector<CsvField> fields;
  std::string error;  ///< why it cannot be read; then the rest of its line was skipped
  std::string text;   ///< as it stands in the input, without its line end; only if it is kept
};

/// Reads CSV as RFC 4180 has it; LF, CRLF and CR alone end a line. Blank lines and a byte order
/// mark are skipped. Bounded: a record has at most ReadBuffer::kMaxRecordBytes and kMaxFields
/// fields.
class CsvReader {
 public:
  static constexpr size_t kMaxFields = 4'096;

  /// `keep_text`: records have their text.
  explicit CsvReader(ByteSource* source, bool keep_text = false)
      : buffer_(source), keep_text_(keep_text) {}

  /// False: the end. A record that cannot be read is one with `error`; an Error means that nothing
  /// more can be read.
  Result<bool> Next(CsvRecord* record);

 private:
  enum class Outcome { kRecord, kNeedsMore };

  Result<bool> SkipBlankLines();
  Outcome Parse(CsvRecord* record);
  Outcome ParseQuoted(char** at, CsvRecord* record);
  void SkipLine(char* at, std::string error, CsvRecord* record);
  bool EndsInside(const char* at);
  void Finish(const char* end, CsvRecord* record);

  ReadBuffer buffer_;
  const bool keep_text_;
  const char* next_ = nullptr;  ///< where the next record begins, once this one is not needed
  int64_t line_ = 1;
  int64_t lines_inside_ = 0;
  bool started_ = false;
  std::vector<size_t> escaped_;  ///< fields of the record with doubled quotes in them
};

struct Line {
  int64_t line = 0;  ///< from 1
  std::string_view text;
  std::string error;
};

/// Reads lines, with LF or CRLF; blank ones and a byte order mark are skipped. A line past ReadBuffer::kMaxRecordBytes is
/// one with `error`.
class LineReader {
 public:
  explicit LineReader(ByteSource* source) : buffer_(source) {}

  Result<bool> Next(Line* line);

 private:
  Result<bool> SkipLongLine(Line* line);

  ReadBuffer buffer_;
  int64_t line_ = 0;
  bool started_ = false;
};

}  // namespace millrace::cli
