#pragma once

#include <memory>
#include <string>

#include "millrace/log/log.h"

namespace millrace::log_embedded {

/// The log of one process on one machine, in a directory that it owns alone. Append times are the
/// appending executor's wall clock.
///
/// Threads: owns one, which commits. Appends that arrive while it syncs share the next sync. What
/// waits for it is bounded (kMaxQueuedBytes, kMaxQueuedRecords); appends beyond wait in their
/// callers, in order, and are not written if the caller goes away meanwhile.
/// Destroy it only when no call is running; it waits for its thread, which ends what is queued.
class EmbeddedLog : public EventLog {
 public:
  /// Largest key + value of a record: our blocks are at most 3 MiB.
  static constexpr size_t kMaxRecordBytes = 4 << 20;
  /// Some groups of kMaxGroupBytes, so that the committer never runs dry while memory stays small.
  static constexpr size_t kMaxQueuedBytes = 32 << 20;
  static constexpr size_t kMaxQueuedRecords = 65'536;
  /// What one sync covers at most: a few milliseconds of writing on an ordinary disk.
  static constexpr size_t kMaxGroupBytes = 8 << 20;
  /// A segment that holds so much is not written any more: about 8,000 files for a terabyte, and
  /// the most that a start after a crash reads.
  static constexpr uint64_t kSegmentBytes = 128 << 20;

  /// Opens the log in `directory`, which is made if it is not there. kConflict: another process has
  /// it open. kInvalidArgument: it cannot be made or written, or has another format. kCorruption:
  /// nothing can be read without the damaged file. kUnavailable: any other failure of the disk.
  static Result<std::unique_ptr<EmbeddedLog>> Open(const std::string& directory,
                                                   uint64_t segment_bytes = kSegmentBytes);

  ~EmbeddedLog() override;

  /// Bytes at the end of the log that Open dropped, because they were no whole write.
  uint64_t dropped_bytes() const;

  Task<Status> CreateTopic(TopicSpec topic) override;
  Task<Result<TopicSpec>> DescribeTopic(std::string name) override;
  Task<Status> RemoveTopic(TopicSpec topic) override;
  Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry) override;
  std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                        Offset from) override;
  Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) override;
  Task<Result<Offset>> OffsetForTime(std::string topic, PartitionId partition, Micros t) override;
  /// Frees whole segments (docs/formats/log.md says which).
  Task<Status> DeleteBefore(std::string topic, PartitionId partition, Offset before) override;
  Task<Result<int64_t>> Bytes(std::string topic, PartitionId partition, Offset from) override;
  Task<Result<std::string>> Identity() override;

 private:
  class Reader;
  struct Core;
  explicit EmbeddedLog(std::shared_ptr<Core> core);

  std::shared_ptr<Core> core_;
};

}  // namespace millrace::log_embedded
