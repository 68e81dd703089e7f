#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "handle.h"
#include "millrace/log/log.h"
#include "millrace/log_kafka/options.h"

namespace millrace::log_kafka {

/// A topic as the brokers know it now.
struct Topic {
  int32_t partitions = 0;
  int32_t replication = 0;  ///< of the partition that has fewest
  bool led = false;         ///< every partition has a leader
  std::string id;           ///< empty: not made by a log of ours
  std::map<std::string, std::string> settings;
};

/// A partition of a topic.
using Place = std::pair<std::string, int32_t>;

/// Questions and orders to the brokers about topics. Every call blocks.
/// Threads: any.
class Admin {
 public:
  static Result<std::shared_ptr<Admin>> Open(const Options& options);

  /// kNotFound: no such topic.
  Result<Topic> Look(const std::string& topic) const;
  Result<std::vector<TopicSpec>> List() const;
  Status Create(const TopicSpec& spec) const;
  /// kInvalidArgument: a setting of the topic is not as it must be. kNotFound: no such topic.
  Status CheckTopic(const std::string& topic) const;
  /// Removes the topic of this name and waits until the brokers have forgotten `id`.
  Status Delete(const std::string& topic, const std::string& id) const;
  Result<OffsetRange> Range(const std::string& topic, PartitionId partition) const;
  Result<Offset> OffsetForTime(const std::string& topic, PartitionId partition, Micros t) const;
  Status DeleteBefore(const std::string& topic, PartitionId partition, Offset before) const;
  Result<std::string> Identity() const;
  /// kInvalidArgument: the brokers refuse this client.
  Status Probe() const;
  /// Commits places for a consumer group.
  Status CommitOffsets(const std::string& group, const std::map<Place, Offset>& places) const;

 private:
  using Settings = std::map<std::string, std::string>;

  explicit Admin(const Options& options) : options_(options) {}
  Result<std::map<std::string, Settings>> Describe(const std::vector<std::string>& topics) const;
  Status Check(const TopicSpec& spec, const Topic& topic) const;
  Status Make(const TopicSpec& spec) const;

  const Options options_;
  std::shared_ptr<Handle> handle_;
};

/// The number of a topic's partitions, asked of the brokers through any client; kNotFound.
Result<Topic> AskMetadata(const Handle& handle, const std::string& topic);

/// Where the partition begins and ends, asked of its leader. `topic` was seen a moment ago.
Result<OffsetRange> AskRange(const Handle& handle, const std::string& topic, PartitionId partition);

Error NoSuchPartition(Code code, const std::string& topic, PartitionId partition);

}  // namespace millrace::log_kafka
