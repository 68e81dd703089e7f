#pragma once

#include "millrace/record/record_parser.h"

namespace millrace::record_simdjson {

/// Parsers of JSON events (docs/formats/json.md). Each keeps a buffer as large as the largest
/// payload it has seen.
class JsonRecordParsers : public RecordParsers {
 public:
  std::unique_ptr<RecordParser> ForStream(const StreamSpec& stream) const override;
};

}  // namespace millrace::record_simdjson
