#pragma once

#include <string>
#include <vector>

#include "millrace/cli/records.h"
#include "millrace/model/spec.h"

namespace millrace::cli {

/// Turns CSV records into JSON events (docs/formats/json.md) by a stream's declared columns. An
/// unquoted empty field is NULL and left out. Numbers and booleans are checked here; everything
/// else is for the gateway to judge.
class CsvToJson {
 public:
  /// kInvalidArgument: the header names a column twice, or lacks one that no event can be without.
  static Result<CsvToJson> Create(const StreamSpec& stream, const CsvRecord& header);

  size_t width() const { return fields_.size(); }  ///< fields that a record must have
  /// Header columns that the stream does not have.
  const std::vector<std::string>& ignored() const { return ignored_; }

  /// Replaces `*json`. kInvalidArgument names the column; `*json` then means nothing.
  Status Convert(const CsvRecord& record, std::string* json) const;

 private:
  struct Field {
    bool used = false;
    Type type = Type::kText;
    std::string name;
    std::string member;  ///< `"name":`
  };

  std::vector<Field> fields_;  ///< by their place in a record
  std::vector<std::string> ignored_;
};

}  // namespace millrace::cli
