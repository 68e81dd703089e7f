#include "millrace/cli/csv_to_json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include "millrace/base/facts.h"
#include "millrace/base/utf8.h"
#include "millrace/cli/names.h"
#include "millrace/model/row.h"

namespace millrace::cli {
namespace {

/// Longest piece of a wrong value that a message repeats.
constexpr size_t kShownBytes = 64;

std::string Joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

/// Whether `text` is a number as JSON spells it.
bool IsJsonNumber(std::string_view text) {
  size_t i = text.starts_with('-') ? 1 : 0;
  const auto digits = [&] {
    const size_t from = i;
    while (i < text.size() && IsDigit(text[i])) ++i;
    return i > from;
  };
  const size_t first = i;
  if (!digits() || (text[first] == '0' && i > first + 1)) return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (!digits()) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (!digits()) return false;
  }
  return i == text.size();
}

template <typename T>
bool ParseAll(std::string_view text, T* v) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *v);
  return error == std::errc() && end == text.data() + text.size();
}

template <typename T>
bool AppendInteger(std::string_view text, std::string* out) {
  T v = 0;
  if (!ParseAll(text, &v)) return false;
  std::array<char, 24> digits;
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), v);
  out->append(digits.data(), written.ptr);
  return true;
}

bool AppendDouble(std::string_view text, std::string* out) {
  if (IsJsonNumber(text)) {
    *out += text;
    return true;
  }
  if (text == "NaN" || text == "Infinity" || text == "-Infinity") {
    *out += '"' + std::string(text) + '"';
    return true;
  }
  double v = 0;
  // from_chars takes other names of NaN and infinity too.
  if (text.find_first_of("nNiI") != text.npos || !ParseAll(text, &v)) return false;
  *out += FormatDouble(v);
  return true;
}

bool AppendBool(std::string_view text, std::string* out) {
  const auto is = [&](std::string_view word) {
    return std::equal(text.begin(), text.end(), word.begin(), word.end(),
                      [](char a, char b) { return (a | 0x20) == b; });
  };
  if (!is("true") && !is("false")) return false;
  *out += is("true") ? "true" : "false";
  return true;
}

bool AppendText(std::string_view text, std::string* out) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<uint8_t>(c) >= 0x20 && c != '"' && c != '\\';
  });
  if (plain) {
    *out += '"';
    *out += text;
    *out += '"';
  } else {
    *out += JsonQuote(text);
  }
  return true;
}

bool AppendValue(Type type, std::string_view text, std::string* out) {
  switch (type) {
    case Type::kInt:
      return AppendInteger<int32_t>(text, out);
    case Type::kBigint:
      return AppendInteger<int64_t>(text, out);
    case Type::kDouble:
      return AppendDouble(text, out);
    case Type::kBool:
      return AppendBool(text, out);
    case Type::kText:
    case Type::kTimestamp:
    case Type::kNumeric:
      return AppendText(text, out);
  }
  return false;
}

std::string_view Expected(Type type) {
  switch (type) {
    case Type::kInt:
      return "int (-2147483648 to 2147483647)";
    case Type::kBigint:
      return "bigint (-9223372036854775808 to 9223372036854775807)";
    case Type::kDouble:
      return "double precision (a number, NaN, Infinity or -Infinity)";
    case Type::kBool:
      return "boolean (true or false)";
    case Type::kText:
    case Type::kTimestamp:
    case Type::kNumeric:
      return TypeName(type);
  }
  return "a value";
}

/// Where the header has the column: the equal name, else the one that is equal but for case, if the
/// column was not quoted.
Result<std::optional<size_t>> PlaceOf(const ColumnSpec& column,
                                      const std::vector<std::string>& header) {
  const auto exact = std::find(header.begin(), header.end(), column.name);
  if (exact != header.end()) return std::optional<size_t>(exact - header.begin());
  std::optional<size_t> found;
  for (size_t i = 0; i < header.size() && !column.quoted; ++i) {
    if (FoldCase(header[i]) != column.name) continue;
    if (found)
      return InvalidArgument(
          "two names of the header line fit one column, and neither is equal to it; rename one of "
          "them",
          {{"names", header[*found] + "," + header[i]}, {"column", column.name}});
    found = i;
  }
  return found;
}

}  // namespace

Result<CsvToJson> CsvToJson::Create(const StreamSpec& stream, const CsvRecord& header) {
  CsvToJson out;
  std::vector<std::string> names;
  for (const CsvField& field : header.fields) {
    Field& made = out.fields_.emplace_back();
    made.name = field.text;
    if (std::find(names.begin(), names.end(), made.name) != names.end())
      return InvalidArgument("the header line names a column twice", {{"column", made.name}});
    names.push_back(made.name);
  }
  std::vector<std::string> missing;
  const ColumnSpec& event_time = stream.columns[static_cast<size_t>(stream.event_time)];
  for (const ColumnSpec& column : stream.columns) {
    MILLRACE_ASSIGN(const std::optional<size_t> at, PlaceOf(column, names));
    if (!at) {
      if (column.not_null || &column == &event_time) missing.push_back(column.name);
      continue;
    }
    Field& field = out.fields_[*at];
    field.used = true;
    field.type = column.type;
    field.member = JsonQuote(column.name) + ":";
  }
  for (const Field& field : out.fields_)
    if (!field.used) out.ignored_.push_back(field.name);
  if (missing.empty()) return out;
  return InvalidArgument("the first line must name the columns, and these must be among them: " +
                             Joined(missing) + "; it names: " + Joined(names),
                         {{"stream", QualifiedName{stream.name_space, stream.name}.ToString()}});
}

Status CsvToJson::Convert(const CsvRecord& record, std::string* json) const {
  if (record.fields.size() != fields_.size())
    return InvalidArgument("the header has another number of fields",
                           {{"fields", record.fields.size()}, {"header_fields", fields_.size()}});
  json->clear();
  *json += '{';
  for (size_t i = 0; i < fields_.size(); ++i) {
    const Field& field = fields_[i];
    const CsvField& value = record.fields[i];
    if (!field.used || (value.text.empty() && !value.quoted)) continue;
    if (json->size() > 1) *json += ',';
    *json += field.member;
    if (AppendValue(field.type, value.text, json)) continue;
    return InvalidArgument("expected " + std::string(Expected(field.type)) + ", got " +
                               JsonQuote(value.text.substr(0, kShownBytes)),
                           {{"column", field.name}});
  }
  *json += '}';
  return {};
}

}  // namespace millrace::cli
