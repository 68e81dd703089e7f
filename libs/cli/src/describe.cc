#include "describe.h"

#include <sstream>

#include "millrace/cli/commands.h"
#include "millrace/model/row.h"

namespace millrace::cli {

void Description::Add(const std::string& name, const std::string& text,
                      const std::string& json_name, const std::string& json) {
  if (!name.empty()) lines_.push_back({name, text});
  if (json.empty()) return;
  json_ += json_.empty() ? "" : ",";
  json_ += JsonQuote(json_name) + ":" + json;
}

void Description::Text(const std::string& name, const std::string& value) {
  Add(name, value, name, JsonQuote(value));
}

void Description::Lines(const std::string& name, const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) Add(name, line, "", "");
  Add("", "", name, JsonQuote(text));
}

void Description::Integer(const std::string& name, int64_t value) {
  Add(name, std::to_string(value), name, std::to_string(value));
}

void Description::Flag(const std::string& name, bool value) {
  Add(name, value ? "true" : "false", name, value ? "true" : "false");
}

void Description::Duration(const std::string& name, std::optional<Micros> value) {
  Add(name, value ? FormatDuration(*value) : "", name + "_us",
      value ? std::to_string(*value) : "null");
  lines_.back().null = !value;
}

void Description::Time(const std::string& name, Micros value) {
  Text(name, FormatTimestamp(value));
}

void Description::Null(const std::string& name) {
  Add(name, "", name, "null");
  lines_.back().null = true;
}

void Description::Columns(const std::vector<ColumnSpec>& columns) {
  std::string json;
  for (const ColumnSpec& column : columns) {
    const std::string type(TypeName(column.type));
    Add("column " + column.name,
        type + (column.not_null ? " not null" : "") + (column.quoted ? ", quoted" : ""), "", "");
    json += json.empty() ? "" : ",";
    json += "{\"name\":" + JsonQuote(column.name) + ",\"type\":" + JsonQuote(type) +
            ",\"not_null\":" + (column.not_null ? "true" : "false") +
            (column.quoted ? ",\"quoted\":true}" : "}");
  }
  Add("", "", "columns", "[" + json + "]");
}

void Description::Integers(const std::string& name, const std::vector<int64_t>& values) {
  std::string text;
  std::string json;
  for (const int64_t v : values) {
    if (!text.empty()) {
      text += ", ";
      json += ',';
    }
    text += std::to_string(v);
    json += std::to_string(v);
  }
  Add(name, text, name, "[" + json + "]");
}

void Description::Write(Format format, const Console& console) const {
  if (format == Format::kJson) {
    console.out << '{' << json_ << "}\n";
    return;
  }
  ServingTable table{{"property", "value"}, {Type::kText, Type::kText}, {}};
  for (const Line& line : lines_) {
    Value value{Type::kText, line.text};
    if (line.null) value.data = std::monostate();
    table.rows.push_back({Value{Type::kText, line.name}, std::move(value)});
  }
  // The count of lines says nothing about what is described.
  Console quiet = console;
  quiet.out_is_terminal = false;
  WriteTable(table, format, quiet);
}

}  // namespace millrace::cli
