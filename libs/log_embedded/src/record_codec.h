#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/log/log.h"

namespace millrace::log_embedded {

/// Everything of a stored record before its value; `entry.value` follows it (docs/formats/log.md).
std::string EncodePrefix(const LogEntry& entry, Micros append_time);

/// Memory for the records of one read, in pieces that stay where they are. Pieces start at
/// multiples of 8 bytes.
class Arena {
 public:
  std::string_view Copy(std::string_view bytes);

 private:
  static constexpr size_t kChunk = 16 << 10;

  std::vector<std::unique_ptr<uint64_t[]>> chunks_;
  char* next_ = nullptr;
  size_t left_ = 0;
};

/// Checks a stored record and copies it into `arena`, which becomes the record's owner.
/// kCorruption: the checksum or the shape is wrong.
Result<LogRecord> DecodeRecord(std::string_view stored, Offset offset,
                               const std::shared_ptr<Arena>& arena);

/// Append time of a stored record, whose checksum is not looked at.
Result<Micros> DecodeAppendTime(std::string_view stored);

/// Keys of docs/formats/log.md.
std::string RecordKey(uint32_t topic, int32_t partition, int64_t offset);
int64_t OffsetOfKey(std::string_view key);

}  // namespace millrace::log_embedded
