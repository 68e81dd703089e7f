#pragma once

#include <memory>
#include <string>
#include <utility>

#include "millrace/log/log.h"

namespace millrace::test {

/// Hands every call to another log. A test's log overrides what it does otherwise.
class ForwardingLog : public EventLog {
 public:
  explicit ForwardingLog(EventLog* inner) : inner_(inner) {}

  Task<Status> CreateTopic(TopicSpec topic) override {
    return inner_->CreateTopic(std::move(topic));
  }
  Task<Result<TopicSpec>> DescribeTopic(std::string name) override {
    return inner_->DescribeTopic(std::move(name));
  }
  Task<Result<ForeignTopic>> CheckForeignTopic(std::string name) override {
    return inner_->CheckForeignTopic(std::move(name));
  }
  Task<Status> RemoveTopic(TopicSpec topic) override {
    return inner_->RemoveTopic(std::move(topic));
  }
  Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry) override {
    return inner_->Append(std::move(topic), partition, std::move(entry));
  }
  std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                        Offset from) override {
    return inner_->OpenReader(std::move(topic), partition, from);
  }
  Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) override {
    return inner_->Range(std::move(topic), partition);
  }
  Task<Result<Offset>> OffsetForTime(std::string topic, PartitionId partition, Micros t) override {
    return inner_->OffsetForTime(std::move(topic), partition, t);
  }
  Task<Status> DeleteBefore(std::string topic, PartitionId partition, Offset before) override {
    return inner_->DeleteBefore(std::move(topic), partition, before);
  }
  Task<Result<int64_t>> Bytes(std::string topic, PartitionId partition, Offset from) override {
    return inner_->Bytes(std::move(topic), partition, from);
  }
  Task<Result<std::string>> Identity() override { return inner_->Identity(); }
  Task<Status> Probe() override { return inner_->Probe(); }
  void NoteProgress(Progress progress) override { inner_->NoteProgress(std::move(progress)); }

 protected:
  EventLog* inner() const { return inner_; }
  /// Another log takes the place of the one behind this.
  void SetInner(EventLog* inner) { inner_ = inner; }

 private:
  EventLog* inner_;
};

}  // namespace millrace::test
