#pragma once

#include <chrono>
#include <cstddef>

#include "millrace/log_kafka/kafka_log.h"

/// Bounds of the log; each is in docs/bounds.md.
namespace millrace::log_kafka {

/// A batch of one record of the largest size, with its frame, fits; so do most groups.
inline constexpr size_t kMaxBatchBytes =
    KafkaLog::kMaxRecordBytes + KafkaLog::kMaxHeaderBytes + (64 << 10);
/// Appends without an answer.
inline constexpr size_t kMaxQueuedBytes = 32 << 20;
inline constexpr size_t kMaxQueuedRecords = 65'536;
/// Appends of one partition that are sent at a time.
inline constexpr size_t kMaxGroupBytes = 4 << 20;
inline constexpr size_t kMaxGroupRecords = 8'192;
/// How long one question to the brokers may take.
inline constexpr int kAskMillis = 5'000;
/// Who appends is answered by then, whatever the brokers do.
inline constexpr auto kAppendDeadline = std::chrono::seconds(10);

}  // namespace millrace::log_kafka
