#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "millrace/model/batch.h"
#include "millrace/model/batch_builder.h"
#include "millrace/model/spec.h"

namespace millrace {

/// Turns one event of text into the declared columns. Not thread-safe: one per executor.
class RecordParser {
 public:
  virtual ~RecordParser() = default;

  struct Verdict {
    Reason reason = Reason::kNone;  ///< the first of the list that holds for any column
    std::string detail;             ///< for people: which column, what was found, what was expected
  };

  /// Good: one value appended to each column of `out` that the event has one for (the row is not
  /// ended yet). Otherwise nothing is left appended. Values as docs/formats/json.md says; unknown members are ignored, of
  /// equal members the last counts.
  virtual Verdict Parse(std::string_view payload, BatchBuilder* out) = 0;
};

/// Makes parsers for a stream's columns.
class RecordParsers {
 public:
  virtual ~RecordParsers() = default;
  virtual std::unique_ptr<RecordParser> ForStream(const StreamSpec& stream) const = 0;
};

}  // namespace millrace
