#pragma once

#include <map>
#include <string>

#include "millrace/log/log.h"

namespace millrace::test {

/// A log of which some partitions have lost their first records, as a retention leaves them.
class TrimmedLog : public EventLog {
 public:
  explicit TrimmedLog(EventLog* inner) : inner_(inner) {}

  /// From now on the partition begins at `start`.
  void Trim(std::string topic, PartitionId partition, Offset start) {
    starts_[{std::move(topic), partition}] = start;
  }

  Task<Status> CreateTopic(TopicSpec topic) override {
    auto r = co_await inner_->CreateTopic(std::move(topic));
    co_return r;
  }
  Task<Result<std::vector<TopicSpec>>> ListTopics() override {
    auto r = co_await inner_->ListTopics();
    co_return r;
  }
  Task<Status> RemoveTopic(TopicSpec topic) override {
    auto r = co_await inner_->RemoveTopic(std::move(topic));
    co_return r;
  }
  Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry) override {
    auto r = co_await inner_->Append(std::move(topic), partition, std::move(entry));
    co_return r;
  }
  std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                        Offset from) override {
    if (from >= StartOf(topic, partition))
      return inner_->OpenReader(std::move(topic), partition, from);
    return std::make_unique<Trimmed>(from);
  }
  Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) override {
    const Offset start = StartOf(topic, partition);
    auto r = co_await inner_->Range(std::move(topic), partition);
    if (r.ok()) r->start = std::max(r->start, start);
    co_return r;
  }
  Task<Result<Offset>> OffsetForTime(std::string topic, PartitionId partition, Micros t) override {
    const Offset start = StartOf(topic, partition);
    auto r = co_await inner_->OffsetForTime(std::move(topic), partition, t);
    if (r.ok()) *r = std::max(*r, start);
    co_return r;
  }

 private:
  /// Stands on records that are gone.
  class Trimmed : public LogReader {
   public:
    explicit Trimmed(Offset place) : place_(place) {}
    Task<Result<LogBatch>> Next(size_t, std::chrono::microseconds) override {
      co_return Conflict("the position lies before the log's start position=" +
                         std::to_string(place_.value));
    }

   private:
    const Offset place_;
  };

  Offset StartOf(const std::string& topic, PartitionId partition) const {
    const auto at = starts_.find({topic, partition});
    return at == starts_.end() ? Offset(0) : at->second;
  }

  EventLog* inner_;
  std::map<std::pair<std::string, PartitionId>, Offset> starts_;
};

}  // namespace millrace::test
