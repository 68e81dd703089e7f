#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/base/time.h"
#include "millrace/model/spec.h"

namespace millrace::fold {

/// An event of a case: the text of its record and who sent it.
struct CaseEvent {
  std::optional<std::pair<std::string, int64_t>> identity;  ///< producer, sequence
  int64_t acked_below = 0;
  std::string payload;
};
struct CaseTick {
  int64_t previous = -1;
  Micros elapsed = 0;
};
struct CaseAdvance {
  Micros to = 0;
};
struct CaseRecord {
  int64_t offset = 0;
  Micros append_time = 0;
  std::variant<CaseEvent, CaseTick, CaseAdvance> what;
};

/// A case: a definition and the log of one partition (docs/testing.md).
struct Case {
  StreamSpec stream;
  PipelineSpec pipeline;
  Micros not_before = kMinusInfinity;
  int64_t start_offset = 0;
  std::vector<CaseRecord> records;
};

/// kConflict: the case needs what is not built.
Result<Case> ReadCase(const std::string& path);

}  // namespace millrace::fold
