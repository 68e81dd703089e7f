#pragma once

#include <memory>
#include <string>
#include <vector>

#include "millrace/log/log.h"
#include "millrace/log_kafka/options.h"

namespace millrace::log_kafka {

/// A log in the topics of a Kafka cluster: docs/formats/kafka.md. Append times are the broker's
/// clock, in whole milliseconds.
///
/// Topics that others made can be read and appended to. They have no id here, so ListTopics leaves
/// them out and RemoveTopic never touches them.
///
/// Threads: no call blocks an executor. Kafka's client has threads of its own, and calls of it that
/// block run on a few threads of the log. What waits in it is bounded (docs/bounds.md).
/// Destroy it only when no call is running.
class KafkaLog : public EventLog {
 public:
  /// Largest key + value of a record: as the embedded log's.
  static constexpr size_t kMaxRecordBytes = 4 << 20;
  /// Largest name and value of all headers of a record.
  static constexpr size_t kMaxHeaderBytes = 64 << 10;

  /// Asks nothing of the brokers yet: they may start later. kInvalidArgument: an option.
  static Result<std::unique_ptr<KafkaLog>> Open(Options options);

  ~KafkaLog() override;

  /// kInvalidArgument, besides what the port says: the topic exists and has a setting under which
  /// records can be lost or changed. The message names it.
  Task<Status> CreateTopic(TopicSpec topic) override;
  Task<Result<std::vector<TopicSpec>>> ListTopics();
  Task<Result<TopicSpec>> DescribeTopic(std::string name) override;
  Task<Status> RemoveTopic(TopicSpec topic) override;
  Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry) override;
  std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                        Offset from) override;
  Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) override;
  Task<Result<Offset>> OffsetForTime(std::string topic, PartitionId partition, Micros t) override;
  /// Readers of this object learn of it at once, others when they have read what they fetched.
  Task<Status> DeleteBefore(std::string topic, PartitionId partition, Offset before) override;
  /// kConflict: Kafka's protocol does not tell how large a part of a topic is.
  Task<Result<int64_t>> Bytes(std::string topic, PartitionId partition, Offset from) override;
  /// The id that the Kafka cluster gave itself.
  Task<Result<std::string>> Identity() override;

  Task<Result<ForeignTopic>> CheckForeignTopic(std::string name) override;

  /// Asks for the cluster's id. kInvalidArgument: the brokers refuse the login or the certificate,
  /// or theirs is not trusted.
  Task<Status> Probe() override;
  /// Commits the place for the view's consumer group: docs/formats/kafka.md.
  void NoteProgress(Progress progress) override;

 private:
  struct Core;
  explicit KafkaLog(std::unique_ptr<Core> core);

  std::unique_ptr<Core> core_;
};

}  // namespace millrace::log_kafka
