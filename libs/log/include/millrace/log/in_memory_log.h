#pragma once

#include <memory>

#include "millrace/log/log.h"

namespace millrace {

/// A log that is gone with the object. Append times are the appending executor's wall clock. Every
/// append succeeds at once; decorators add the faults.
/// Threads: one.
class InMemoryLog : public EventLog {
 public:
  struct Options {
    size_t max_record_bytes = 4 << 20;  ///< largest key + value of a record
    /// Behind so many records an offset holds none, as where a broker keeps markers of its own.
    /// 0: none is left out.
    int64_t hole_after = 0;
  };

  InMemoryLog() : InMemoryLog(Options()) {}
  explicit InMemoryLog(Options options);
  ~InMemoryLog() override;

  Task<Status> CreateTopic(TopicSpec topic) override;
  Task<Result<TopicSpec>> DescribeTopic(std::string name) override;
  Task<Status> RemoveTopic(TopicSpec topic) override;
  Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry) override;
  std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                        Offset from) override;
  Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) override;
  Task<Result<Offset>> OffsetForTime(std::string topic, PartitionId partition, Micros t) override;
  Task<Status> DeleteBefore(std::string topic, PartitionId partition, Offset before) override;
  Task<Result<int64_t>> Bytes(std::string topic, PartitionId partition, Offset from) override;
  Task<Result<std::string>> Identity() override;

  /// For tests: the partition loses its records from `end` on, as after a restore from an old copy.
  void LoseEnd(const std::string& topic, PartitionId partition, Offset end);

 private:
  class Reader;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace millrace
