#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/result.h"
#include "millrace/base/task.h"
#include "millrace/base/time.h"
#include "millrace/model/ids.h"

namespace millrace {

struct LogHeader {
  std::string name;
  std::string value;

  friend bool operator==(const LogHeader&, const LogHeader&) = default;
};

/// What a writer gives.
struct LogEntry {
  std::string key;
  std::string value;
  std::vector<LogHeader> headers;
};

/// What a reader gets. `key` and `value` view memory that `owner` keeps alive; the value starts at
/// a multiple of 8 bytes.
struct LogRecord {
  Offset offset;
  Micros append_time = 0;
  std::string_view key;
  std::string_view value;
  std::vector<LogHeader> headers;
  std::shared_ptr<const void> owner;
};

struct TopicSpec {
  std::string name;
  int32_t partitions = 1;
};

/// Offsets [start, end) are there to read.
struct OffsetRange {
  Offset start;
  Offset end;
};

/// An ordered, durable, partitioned log. Offsets of a partition rise by one; append times never go
/// back within a partition.
///
/// Threads: any executor. Order: appends to one partition take effect in the order in which they
/// were started.
class EventLog {
 public:
  virtual ~EventLog() = default;

  /// Idempotent. kConflict: the topic exists with other partitions.
  virtual Task<Status> CreateTopic(TopicSpec topic) = 0;
  virtual Task<Result<std::vector<TopicSpec>>> ListTopics() = 0;

  /// Done when the record is durable; gives its offset. There are three errors.
  /// kInvalidArgument: the record is larger than the log takes, and nothing else; it is final.
  /// kResourceExhausted: the record was certainly not written; a later try may succeed.
  /// kUnavailable: everything else, an unknown topic too; whether it was written is not known.
  virtual Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry) = 0;

  /// Records from `from` on, in order, at least one if there is any, up to about `max_bytes` of
  /// values. Waits up to `max_wait` for the first; empty after that. kNotFound: no such topic or
  /// partition. kCorruption: `from` lies outside [start, end], or the storage is damaged; the
  /// message says which.
  virtual Task<Result<std::vector<LogRecord>>> Read(std::string topic, PartitionId partition,
                                                    Offset from, size_t max_bytes,
                                                    std::chrono::microseconds max_wait) = 0;

  /// kNotFound: no such topic or partition. So for OffsetForTime.
  virtual Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) = 0;

  /// First offset whose record has append time >= t; the end if there is none.
  virtual Task<Result<Offset>> OffsetForTime(std::string topic, PartitionId partition,
                                             Micros t) = 0;
};

}  // namespace millrace
