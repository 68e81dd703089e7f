#pragma once

#include <string>
#include <utility>
#include <vector>

#include "millrace/log/log.h"

namespace millrace::test {

/// Reads once with a new reader. Gives the records from `from` on, or the reader's error.
inline Task<Result<std::vector<LogRecord>>> ReadLog(
    LogReaders* log, std::string topic, PartitionId partition, Offset from = Offset(0),
    size_t max_bytes = size_t{1} << 40,
    std::chrono::microseconds max_wait = std::chrono::microseconds(0)) {
  const auto reader = log->OpenReader(std::move(topic), partition, from);
  auto batch = co_await reader->Next(max_bytes, max_wait);
  if (!batch.ok()) co_return batch.error();
  co_return std::move(batch->records);
}

}  // namespace millrace::test
