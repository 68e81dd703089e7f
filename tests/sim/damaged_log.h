#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "millrace/log/log.h"
#include "support/forwarding_log.h"

namespace millrace::sim {

/// A log whose storage goes wrong at a test's will, for every process alike.
class DamagedLog : public test::ForwardingLog {
 public:
  using ForwardingLog::ForwardingLog;

  /// From now on one bit of this record's value reads wrong, under the checksums of the log.
  void FlipBitOf(std::string topic, PartitionId partition, Offset offset) {
    flipped_topic_ = std::move(topic);
    flipped_partition_ = partition;
    flipped_offset_ = offset;
  }
  /// From now on the storage says of this record that it is damaged; Heal() takes all that back.
  void Damage(std::string topic, PartitionId partition, Offset offset) {
    damaged_.insert({std::move(topic), partition, offset});
  }
  /// Until Heal() the partition ends here, whatever is appended.
  void HideFrom(std::string topic, PartitionId partition, Offset end) {
    hidden_[{std::move(topic), partition}] = end;
  }
  void Heal() {
    damaged_.clear();
    hidden_.clear();
  }
  /// From now on readers fetch all that there is, and give it as they are asked.
  void ReadAhead() { read_ahead_ = true; }
  /// Another log takes this one's place, as after a restore from a backup.
  void Replace(EventLog* log) { SetInner(log); }

  std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                        Offset from) override {
    return std::make_unique<Reader>(this, std::move(topic), partition, from);
  }
  Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) override {
    const auto end = hidden_.find({topic, partition});
    auto r = co_await inner()->Range(std::move(topic), partition);
    if (r.ok() && end != hidden_.end()) r->end = std::min(r->end, end->second);
    co_return r;
  }

 private:
  class Reader : public LogReader {
   public:
    Reader(DamagedLog* log, std::string topic, PartitionId partition, Offset from)
        : log_(log), topic_(std::move(topic)), partition_(partition), next_(from) {}

    Task<Result<LogBatch>> Next(size_t max_bytes, std::chrono::microseconds max_wait) override {
      if (log_->damaged_.contains({topic_, partition_, next_}))
        co_return Corruption("injected: a record is damaged offset=" + std::to_string(next_.value));
      if (!inner_ || inner_log_ != log_->inner()) {
        inner_log_ = log_->inner();
        inner_ = inner_log_->OpenReader(topic_, partition_, next_);
        ahead_ = {};
      }
      auto batch = co_await Read(max_bytes, max_wait);
      if (!batch.ok()) co_return batch;
      const Offset stop = log_->FirstOut(topic_, partition_, *batch);
      if (stop < next_)
        co_return Conflict("injected: the log ends below the place place=" +
                           std::to_string(next_.value) + " end=" + std::to_string(stop.value));
      if (stop < batch->next) {
        std::erase_if(batch->records, [&](const LogRecord& r) { return r.offset >= stop; });
        batch->next = stop;
        inner_.reset();
      }
      for (LogRecord& record : batch->records) log_->Flip(topic_, partition_, &record);
      next_ = batch->next;
      co_return batch;
    }

   private:
    Task<Result<LogBatch>> Read(size_t max_bytes, std::chrono::microseconds max_wait) {
      if (!log_->read_ahead_) {
        auto batch = co_await inner_->Next(max_bytes, max_wait);
        co_return batch;
      }
      if (ahead_.records.empty()) {
        MILLRACE_CO_ASSIGN(ahead_, co_await inner_->Next(size_t{1} << 30, max_wait));
      }
      LogBatch batch;
      batch.next = ahead_.next;
      batch.end = ahead_.end;
      size_t bytes = 0;
      while (!ahead_.records.empty() && (batch.records.empty() || bytes < max_bytes)) {
        bytes += ahead_.records.front().value.size();
        batch.records.push_back(std::move(ahead_.records.front()));
        ahead_.records.erase(ahead_.records.begin());
      }
      if (!ahead_.records.empty()) batch.next = ahead_.records.front().offset;
      co_return batch;
    }

    LogBatch ahead_;
    DamagedLog* const log_;
    const std::string topic_;
    const PartitionId partition_;
    EventLog* inner_log_ = nullptr;
    std::unique_ptr<LogReader> inner_;
    Offset next_;
  };

  /// The first place of a batch that is damaged or hidden, or behind it.
  Offset FirstOut(const std::string& topic, PartitionId partition, const LogBatch& batch) const {
    const auto end = hidden_.find({topic, partition});
    const Offset stop = end == hidden_.end() ? batch.next : std::min(batch.next, end->second);
    for (const LogRecord& record : batch.records) {
      if (record.offset >= stop) break;
      if (damaged_.contains({topic, partition, record.offset})) return record.offset;
    }
    return stop;
  }
  void Flip(const std::string& topic, PartitionId partition, LogRecord* record) const {
    if (topic != flipped_topic_ || partition != flipped_partition_ ||
        record->offset != flipped_offset_)
      return;
    std::string value(record->value);
    value[value.size() / 2] = static_cast<char>(value[value.size() / 2] ^ 1);
    const Buffer damaged = Buffer::Own(std::move(value));
    record->owner = damaged.owner;
    record->value = damaged.bytes;
  }

  std::set<std::tuple<std::string, PartitionId, Offset>> damaged_;
  std::map<std::pair<std::string, PartitionId>, Offset> hidden_;
  bool read_ahead_ = false;
  std::string flipped_topic_;
  PartitionId flipped_partition_;
  Offset flipped_offset_{-1};
};

}  // namespace millrace::sim
