#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/cli/console.h"
#include "millrace/cli/format.h"
#include "millrace/model/spec.h"

namespace millrace::cli {

/// What `describe` shows of one thing: named properties, in the order added. As a table or CSV: a
/// line each, made for reading. As JSON: one object, made for programs.
class Description {
 public:
  void Text(const std::string& name, const std::string& value);
  /// A text of several lines: one line each under the same name; in JSON one string.
  void Lines(const std::string& name, const std::string& text);
  void Integer(const std::string& name, int64_t value);
  void Flag(const std::string& name, bool value);
  /// "4 hours"; in JSON microseconds under `name`_us. Nothing is shown as NULL.
  void Duration(const std::string& name, std::optional<Micros> value);
  void Time(const std::string& name, Micros value);
  void Null(const std::string& name);
  /// "column <name>" each; in JSON "columns".
  void Columns(const std::vector<ColumnSpec>& columns);
  void Integers(const std::string& name, const std::vector<int64_t>& values);

  void Write(Format format, const Console& console) const;

 private:
  void Add(const std::string& name, const std::string& text, const std::string& json_name,
           const std::string& json);

  struct Line {
    std::string name;
    std::string text;
    bool null = false;
  };
  std::vector<Line> lines_;
  std::string json_;
};

}  // namespace millrace::cli
