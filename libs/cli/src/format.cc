#include "millrace/cli/format.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "millrace/model/row.h"

namespace millrace::cli {
namespace {

constexpr size_t kFlushBytes = 64 << 10;
constexpr size_t kAlignedRows = 10'000;
constexpr const char* kGap = "  ";

bool IsNumber(Type type) {
  return type == Type::kInt || type == Type::kBigint || type == Type::kDouble ||
         type == Type::kNumeric;
}

/// Bytes that would move the cursor, or speak to the terminal, shown as escapes.
std::string Printable(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto u = static_cast<uint8_t>(text[i]);
    // C1 controls are c2 80 .. c2 9f in UTF-8.
    const bool c1 = u == 0xc2 && i + 1 < text.size() && static_cast<uint8_t>(text[i + 1]) < 0xa0;
    if (text[i] == '\n') {
      out += "\\n";
    } else if (text[i] == '\t') {
      out += "\\t";
    } else if (u < 0x20 || u == 0x7f || c1) {
      const auto shown = c1 ? static_cast<uint8_t>(text[++i]) : u;
      out += "\\x";
      out += kHex[shown >> 4];
      out += kHex[shown & 15];
    } else {
      out += text[i];
    }
  }
  return out;
}

/// Code points, each taken as one column.
size_t Width(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

void AppendCsv(std::string_view text, std::string* out) {
  if (!text.empty() && text.find_first_of("\",\r\n") == std::string_view::npos) {
    *out += text;
    return;
  }
  *out += '"';
  for (const char c : text) {
    if (c == '"') *out += '"';
    *out += c;
  }
  *out += '"';
}

}  // namespace

std::optional<Format> ParseFormat(std::string_view name) {
  if (name == "table") return Format::kTable;
  if (name == "csv") return Format::kCsv;
  if (name == "json") return Format::kJson;
  return std::nullopt;
}

void TableWriter::Begin(std::vector<std::string> names, std::vector<Type> types) {
  types_ = std::move(types);
  for (const std::string& name : names) {
    if (format_ == Format::kJson) {
      names_.push_back(JsonQuote(name) + ":");
    } else if (format_ == Format::kTable) {
      names_.push_back(Printable(name));
      widths_.push_back(Width(names_.back()));
    } else {
      if (&name != &names.front()) text_ += ',';
      AppendCsv(name, &text_);
    }
  }
  if (format_ == Format::kCsv) EndLine();
}

void TableWriter::Row(const std::vector<Value>& values) {
  ++rows_;
  if (format_ == Format::kTable) {
    std::vector<std::string>& cells = cells_.emplace_back();
    for (size_t i = 0; i < values.size(); ++i) {
      cells.push_back(Printable(ValueText(values[i])));
      widths_[i] = std::max(widths_[i], Width(cells.back()));
    }
    if (cells_.size() == kAlignedRows) WriteAligned();
    return;
  }
  if (format_ == Format::kJson) text_ += '{';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text_ += ',';
    if (format_ == Format::kJson) {
      text_ += names_[i];
      text_ += ValueJson(values[i]);
    } else if (!values[i].is_null()) {
      AppendCsv(ValueText(values[i]), &text_);
    }
  }
  if (format_ == Format::kJson) text_ += '}';
  EndLine();
}

void TableWriter::End() {
  if (format_ == Format::kTable) WriteAligned();
  Flush();
  if (format_ != Format::kTable || !console_.out_is_terminal) return;
  console_.out.flush();
  console_.err << '(' << rows_ << (rows_ == 1 ? " row)" : " rows)") << std::endl;
}

void TableWriter::EndLine() {
  text_ += '\n';
  if (text_.size() >= kFlushBytes) Flush();
}

void TableWriter::Flush() {
  console_.out.write(text_.data(), static_cast<std::streamsize>(text_.size()));
  text_.clear();
}

/// The rows that wait, with the header before the first.
void TableWriter::WriteAligned() {
  if (!std::exchange(header_written_, true)) WriteHeader();
  for (const std::vector<std::string>& cells : cells_) {
    AppendCells(cells);
    EndLine();
  }
  cells_.clear();
}

void TableWriter::WriteHeader() {
  if (console_.color) text_ += "\x1b[1m";
  AppendCells(names_);
  if (console_.color) text_ += "\x1b[0m";
  EndLine();
  for (size_t i = 0; i < widths_.size(); ++i) {
    if (i > 0) text_ += kGap;
    text_.append(widths_[i], '-');
  }
  EndLine();
}

/// Numbers to the right; no blanks behind the last column.
void TableWriter::AppendCells(const std::vector<std::string>& cells) {
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) text_ += kGap;
    const size_t padding = widths_[i] - Width(cells[i]);
    if (IsNumber(types_[i])) text_.append(padding, ' ');
    text_ += cells[i];
    if (!IsNumber(types_[i]) && i + 1 < cells.size()) text_.append(padding, ' ');
  }
}

void WriteTable(const ServingTable& table, Format format, const Console& console) {
  TableWriter writer(format, console);
  writer.Begin(table.names, table.types);
  for (const std::vector<Value>& row : table.rows) writer.Row(row);
  writer.End();
}

}  // namespace millrace::cli
