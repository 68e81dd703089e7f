#pragma once

#include <optional>

#include "millrace/log/log.h"
#include "millrace/model/batch.h"

namespace millrace::runtime {

/// Header of control records inside a data partition.
inline constexpr std::string_view kControlHeader = "millrace-control";

LogEntry EncodeTick(const Tick& tick);
LogEntry EncodeAdvance(Micros to);

bool IsControl(const LogRecord& record);
/// A Tick or Advance; kCorruption: a control record that this binary does not know.
Result<LogItem> DecodeControl(const LogRecord& record);

/// Who sent a json record, by its headers. nullopt: nobody says. kCorruption: headers that
/// contradict themselves.
struct RecordSender {
  std::string principal;
  std::string producer;
  int64_t sequence = 0;
  int64_t acked_below = 0;
};
Result<std::optional<RecordSender>> SenderOf(const LogRecord& record);

}  // namespace millrace::runtime
