#include "millrace/cli/records.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace millrace::cli {
namespace {

char* Find(char* from, char* end, char c) {
  return static_cast<char*>(std::memchr(from, c, static_cast<size_t>(end - from)));
}

bool IsLineEnd(char c) { return c == '\n' || c == '\r'; }

/// Behind the line end at `at`, or `at` itself if none is there. CRLF is one.
const char* BehindLineEnd(const char* at, const char* end) {
  if (at < end && *at == '\r') return at + 1 < end && at[1] == '\n' ? at + 2 : at + 1;
  return at < end && *at == '\n' ? at + 1 : at;
}

int64_t CountLineEnds(const char* from, const char* end) {
  int64_t n = 0;
  for (const char* at = from; at < end;) {
    const char* const behind = BehindLineEnd(at, end);
    n += behind > at;
    at = std::max(behind, at + 1);
  }
  return n;
}

std::string MaxRecordText() { return std::to_string(ReadBuffer::kMaxRecordBytes) + " bytes"; }

}  // namespace

/// Whether a CR at `at` may turn out to be the first half of a CRLF.
bool CsvReader::EndsInside(const char* at) {
  return at + 1 == buffer_.end() && *at == '\r' && !buffer_.at_end();
}

Result<bool> CsvReader::SkipBlankLines() {
  for (;;) {
    const char* at = buffer_.begin();
    while (at < buffer_.end() && IsLineEnd(*at) && !EndsInside(at)) {
      at = BehindLineEnd(at, buffer_.end());
      ++line_;
    }
    buffer_.Consume(at);
    if (buffer_.at_end() || (at < buffer_.end() && !EndsInside(at)))
      return buffer_.begin() < buffer_.end();
    MILLRACE_ASSIGN(const bool more, buffer_.More());
    if (!more) return true;
  }
}

Result<bool> CsvReader::Next(CsvRecord* record) {
  if (next_ != nullptr) buffer_.Consume(next_);
  next_ = nullptr;
  if (!started_) {
    MILLRACE_TRY(buffer_.SkipByteOrderMark());
    started_ = true;
  }
  MILLRACE_ASSIGN(const bool any, SkipBlankLines());
  if (!any) return false;
  record->line = line_;
  while (Parse(record) == Outcome::kNeedsMore) {
    MILLRACE_ASSIGN(const bool more, buffer_.More());
    if (!more)
      return Error{Code::kInvalidArgument,
                   "a record is over " + MaxRecordText() +
                       "; is a quote not closed, or is this no CSV? line=" + std::to_string(line_)};
  }
  return true;
}

CsvReader::Outcome CsvReader::Parse(CsvRecord* record) {
  record->fields.clear();
  record->error.clear();
  escaped_.clear();
  lines_inside_ = 0;
  char* at = buffer_.begin();
  char* const end = buffer_.end();
  for (;;) {
    if (record->fields.size() == kMaxFields) {
      SkipLine(at, "more than " + std::to_string(kMaxFields) + " fields", record);
      return next_ != nullptr ? Outcome::kRecord : Outcome::kNeedsMore;
    }
    if (at < end && *at == '"') {
      if (ParseQuoted(&at, record) == Outcome::kNeedsMore) return Outcome::kNeedsMore;
      if (next_ != nullptr) return Outcome::kRecord;
    } else {
      char* const start = at;
      while (at < end && *at != ',' && !IsLineEnd(*at) && *at != '"') ++at;
      if ((at == end && !buffer_.at_end()) || (at < end && EndsInside(at)))
        return Outcome::kNeedsMore;
      if (at < end && *at == '"') {
        SkipLine(at, "a quote inside a field that does not begin with one", record);
        return next_ != nullptr ? Outcome::kRecord : Outcome::kNeedsMore;
      }
      record->fields.push_back({{start, at}, false});
    }
    if (at < end && *at == ',') {
      ++at;
      continue;
    }
    Finish(at, record);
    return Outcome::kRecord;
  }
}

/// Leaves *at at what ends the field: a comma, a line end or the end.
CsvReader::Outcome CsvReader::ParseQuoted(char** at, CsvRecord* record) {
  char* const end = buffer_.end();
  char* const start = *at + 1;
  char* close = start;
  bool escaped = false;
  for (;;) {
    close = Find(close, end, '"');
    if (close == nullptr || (close + 1 == end && !buffer_.at_end())) {
      if (close != nullptr || !buffer_.at_end()) return Outcome::kNeedsMore;
      record->error = "the quote that opens a field is never closed";
      Finish(end, record);
      return Outcome::kRecord;
    }
    if (close + 1 < end && close[1] == '"') {
      escaped = true;
      close += 2;
      continue;
    }
    break;
  }
  char* const behind = close + 1;
  if (behind < end && EndsInside(behind)) return Outcome::kNeedsMore;
  lines_inside_ += CountLineEnds(start, close);
  if (behind < end && *behind != ',' && !IsLineEnd(*behind)) {
    SkipLine(behind, "text behind the closing quote of a field", record);
    return next_ != nullptr ? Outcome::kRecord : Outcome::kNeedsMore;
  }
  if (escaped) escaped_.push_back(record->fields.size());
  record->fields.push_back({{start, close}, true});
  *at = behind;
  return Outcome::kRecord;
}

/// Gives up on the record if its line ends in the buffer.
void CsvReader::SkipLine(char* at, std::string error, CsvRecord* record) {
  const char* const stop = std::find_if(at, buffer_.end(), IsLineEnd);
  if (stop == buffer_.end() ? !buffer_.at_end() : EndsInside(stop)) return;
  record->error = std::move(error);
  Finish(stop, record);
}

/// The record ends before `end`, where a line end is or the input's.
void CsvReader::Finish(const char* end, CsvRecord* record) {
  const char* const start = buffer_.begin();
  if (keep_text_) record->text.assign(start, end);
  next_ = BehindLineEnd(end, buffer_.end());
  line_ += lines_inside_ + (next_ > end ? 1 : 0);
  for (const size_t i : escaped_) {
    CsvField& field = record->fields[i];
    char* const begin = buffer_.begin() + (field.text.data() - buffer_.begin());
    char* to = begin;
    for (const char* from = begin; from < begin + field.text.size(); ++from) {
      *to++ = *from;
      if (*from == '"') ++from;
    }
    field.text = {begin, to};
  }
}

Result<bool> LineReader::Next(Line* line) {
  line->error.clear();
  if (!std::exchange(started_, true)) MILLRACE_TRY(buffer_.SkipByteOrderMark());
  size_t searched = 0;
  for (;;) {
    char* const begin = buffer_.begin();
    char* stop = Find(begin + searched, buffer_.end(), '\n');
    if (stop == nullptr && !buffer_.at_end()) {
      searched = static_cast<size_t>(buffer_.end() - begin);
      MILLRACE_ASSIGN(const bool more, buffer_.More());
      if (!more) return SkipLongLine(line);
      continue;
    }
    if (stop == nullptr) stop = buffer_.end();
    if (begin == buffer_.end()) return false;
    buffer_.Consume(stop < buffer_.end() ? stop + 1 : stop);
    ++line_;
    searched = 0;
    line->text = {begin, stop};
    if (line->text.ends_with('\r')) line->text.remove_suffix(1);
    if (line->text.find_first_not_of(" \t") == std::string_view::npos) continue;
    line->line = line_;
    return true;
  }
}

Result<bool> LineReader::SkipLongLine(Line* line) {
  line->line = ++line_;
  line->text = {};
  line->error = "the line is over " + MaxRecordText();
  for (;;) {
    const char* stop = Find(buffer_.begin(), buffer_.end(), '\n');
    buffer_.Consume(stop != nullptr ? stop + 1 : buffer_.end());
    if (stop != nullptr || buffer_.at_end()) return true;
    MILLRACE_TRY(buffer_.More());
  }
}

}  // namespace millrace::cli
