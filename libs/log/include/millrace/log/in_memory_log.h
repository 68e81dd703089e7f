#pragma once

#include <memory>

#include "millrace/log/log.h"

namespace millrace {

/// A log that is gone with the object. Append times are the appending executor's wall clock. Every
/// append succeeds at once; decorators add the faults.
/// Threads: one.
class InMemoryLog : public EventLog {
 public:
  /// Largest key + value of a record.
  static constexpr size_t kMaxRecordBytes = 4 << 20;

  InMemoryLog();
  ~InMemoryLog() override;

  Task<Status> CreateTopic(TopicSpec topic) override;
  Task<Result<std::vector<TopicSpec>>> ListTopics() override;
  Task<Status> RemoveTopic(TopicSpec topic) override;
  Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry) override;
  Task<Result<std::vector<LogRecord>>> Read(std::string topic, PartitionId partition, Offset from,
                                            size_t max_bytes,
                                            std::chrono::microseconds max_wait) override;
  Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) override;
  Task<Result<Offset>> OffsetForTime(std::string topic, PartitionId partition, Micros t) override;

  /// For tests: the partition loses its records from `end` on, as after a restore from an old copy.
  void LoseEnd(const std::string& topic, PartitionId partition, Offset end);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace millrace
