#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "millrace/log/log.h"
#include "millrace/objectstore/object_store.h"
#include "millrace/serving/serving_tables.h"
#include "millrace/serving/serving_writer.h"
#include "sim/sim_world.h"
#include "support/forwarding_log.h"

namespace millrace::sim {

/// How badly a dependency behaves.
struct Faults {
  Executor::Duration max_delay = std::chrono::milliseconds(20);
  double fail = 0;     ///< nothing happened, kUnavailable
  double unknown = 0;  ///< it happened, kUnavailable all the same
};

/// Delays and failures before and after an operation of the port it decorates.
class Trouble {
 public:
  Trouble(SimWorld* world, const Faults* faults) : world_(world), faults_(faults) {}

  Task<Status> Before() { return Wait(faults_->fail, "failed before"); }
  Task<Status> After() { return Wait(faults_->unknown, "outcome unknown"); }
  Executor::Duration NextDelay() {
    const auto range = static_cast<uint64_t>(faults_->max_delay.count()) + 1;
    return Executor::Duration(world_->Random(range));
  }
  bool FailsBefore() { return world_->Chance(faults_->fail); }

 private:
  Task<Status> Wait(double p, std::string what) {
    co_await Delay(NextDelay());
    if (world_->Chance(p)) co_return Unavailable("injected: " + what);
    co_return Status();
  }

  SimWorld* world_;
  const Faults* faults_;
};

class FaultyLog : public test::ForwardingLog {
 public:
  FaultyLog(EventLog* inner, SimWorld* world, const Faults* faults)
      : ForwardingLog(inner), world_(world), trouble_(world, faults) {}

  Task<Status> CreateTopic(TopicSpec topic) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    auto r = co_await inner()->CreateTopic(std::move(topic));
    co_return r;
  }
  Task<Result<TopicSpec>> DescribeTopic(std::string name) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    auto r = co_await inner()->DescribeTopic(std::move(name));
    co_return r;
  }
  Task<Status> RemoveTopic(TopicSpec topic) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    auto r = co_await inner()->RemoveTopic(std::move(topic));
    MILLRACE_CO_TRY(co_await trouble_.After());
    co_return r;
  }
  Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry) override {
    // Appends to a partition take effect in the order in which they were started, whatever each
    // one's delay is.
    Executor::Duration& next = next_append_[{topic, partition}];
    next = std::max(next, world_->now() + trouble_.NextDelay());
    co_await Delay(next - world_->now());
    const auto chain = entry.chain;
    if (Broken(chain)) co_return BehindFailedAppend();
    if (!hold_next_.empty() && topic == hold_topic_ &&
        entry.value.find(hold_next_) != entry.value.npos) {
      hold_next_.clear();
      held_ = Held{std::move(topic), partition, std::move(entry)};
      co_return Unavailable("injected: on its way");
    }
    const bool lose = topic == unanswered_topic_ && unanswered_ > 0;
    if (lose) --unanswered_;
    Result<Offset> r = Unavailable("injected: failed before");
    if (!trouble_.FailsBefore())
      r = co_await inner()->Append(std::move(topic), partition, std::move(entry));
    if (!r.ok()) Break(chain);
    const Status answered = co_await trouble_.After();
    if (r.ok() && !answered.ok()) r = answered.error();
    if (r.ok() && lose) r = Unavailable("injected: outcome unknown");
    if (!r.ok()) Break(chain);
    co_return r;
  }
  std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                        Offset from) override {
    return std::make_unique<Reader>(this, std::move(topic), partition, from);
  }
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
  /// The next n appends to the topic take effect and are answered as if nobody knew.
  void LoseAnswers(std::string topic, int n) {
    unanswered_topic_ = std::move(topic);
    unanswered_ = n;
  }
  int unanswered() const { return unanswered_; }
  /// The next append to the topic whose value holds this text is answered as if nobody knew, and
  /// takes effect at Release().
  void HoldNext(std::string topic, std::string text) {
    hold_topic_ = std::move(topic);
    hold_next_ = std::move(text);
  }
  Task<Result<Offset>> Release() {
    Held held = *std::exchange(held_, std::nullopt);
    auto appended =
        co_await inner()->Append(std::move(held.topic), held.partition, std::move(held.entry));
    co_return appended;
  }
  /// Another log takes this one's place, as after a restore from a backup.
  void Replace(EventLog* log) { SetInner(log); }

  Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    const auto end = hidden_.find({topic, partition});
    auto r = co_await inner()->Range(std::move(topic), partition);
    if (r.ok() && end != hidden_.end()) r->end = std::min(r->end, end->second);
    co_return r;
  }
  Task<Status> DeleteBefore(std::string topic, PartitionId partition, Offset before) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    auto r = co_await inner()->DeleteBefore(std::move(topic), partition, before);
    MILLRACE_CO_TRY(co_await trouble_.After());
    co_return r;
  }

 private:
  class Reader : public LogReader {
   public:
    Reader(FaultyLog* log, std::string topic, PartitionId partition, Offset from)
        : log_(log), topic_(std::move(topic)), partition_(partition), next_(from) {}

    Task<Result<LogBatch>> Next(size_t max_bytes, std::chrono::microseconds max_wait) override {
      MILLRACE_CO_TRY(co_await log_->trouble_.Before());
      if (log_->damaged_.contains({topic_, partition_, next_}))
        co_return Corruption("injected: a record is damaged offset=" + std::to_string(next_.value));
      if (!inner_ || inner_log_ != log_->inner()) {
        inner_log_ = log_->inner();
        inner_ = inner_log_->OpenReader(topic_, partition_, next_);
      }
      auto batch = co_await inner_->Next(max_bytes, max_wait);
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
    FaultyLog* const log_;
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

  struct Held {
    std::string topic;
    PartitionId partition;
    LogEntry entry;
  };

  std::string hold_topic_;
  std::string hold_next_;
  std::optional<Held> held_;
  std::set<std::tuple<std::string, PartitionId, Offset>> damaged_;
  std::map<std::pair<std::string, PartitionId>, Offset> hidden_;
  std::map<std::pair<std::string, PartitionId>, Executor::Duration> next_append_;
  SimWorld* world_;
  Trouble trouble_;
  std::string flipped_topic_;
  PartitionId flipped_partition_;
  Offset flipped_offset_{-1};
  std::string unanswered_topic_;
  int unanswered_ = 0;
};

class FaultyObjectStore : public ObjectStore {
 public:
  FaultyObjectStore(ObjectStore* inner, SimWorld* world, const Faults* faults)
      : inner_(inner), trouble_(world, faults) {}

  std::string AddressOf(std::string_view key) const override { return inner_->AddressOf(key); }
  Task<Status> Put(std::string key, Buffer data) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    if (!refused_.empty() && key.find(refused_) != key.npos) {
      ++refusals_;
      co_return Unavailable("injected: the object store takes no such object");
    }
    Note(key, data.bytes.size());
    auto r = co_await inner_->Put(std::move(key), std::move(data));
    MILLRACE_CO_TRY(co_await trouble_.After());
    co_return r;
  }
  Task<Result<Buffer>> Get(std::string key) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    auto r = co_await inner_->Get(std::move(key));
    co_return r;
  }
  Task<Status> PutFrom(std::string key, std::shared_ptr<ByteSource> source) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    auto r = co_await inner_->PutFrom(key, std::move(source));
    const auto there = co_await inner_->Stat(key);
    if (there.ok()) Note(key, static_cast<size_t>(there->size));
    MILLRACE_CO_TRY(co_await trouble_.After());
    co_return r;
  }
  Task<Status> GetTo(std::string key, std::shared_ptr<ByteSink> sink) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    auto r = co_await inner_->GetTo(std::move(key), std::move(sink));
    co_return r;
  }
  Task<Result<ObjectInfo>> Stat(std::string key) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    auto r = co_await inner_->Stat(std::move(key));
    co_return r;
  }
  Task<Result<std::vector<ObjectInfo>>> List(std::string prefix, std::string after,
                                             size_t limit) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    auto r = co_await inner_->List(std::move(prefix), std::move(after), limit);
    co_return r;
  }
  Task<Result<std::vector<std::string>>> ListFolders(std::string prefix, std::string after,
                                                     size_t limit) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    auto r = co_await inner_->ListFolders(std::move(prefix), std::move(after), limit);
    co_return r;
  }
  Task<Status> Delete(std::string key) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    auto r = co_await inner_->Delete(std::move(key));
    MILLRACE_CO_TRY(co_await trouble_.After());
    co_return r;
  }
  /// From now on no object is put whose key holds this text; empty: all are.
  void Refuse(std::string text) {
    refused_ = std::move(text);
    refusals_ = 0;
  }
  int refusals() const { return refusals_; }
  /// Of all objects put whose key holds this text.
  size_t put_bytes(const std::string& text) const {
    size_t bytes = 0;
    for (const auto& [key, sizes] : puts_) {
      if (key.find(text) == key.npos) continue;
      for (const size_t size : sizes) bytes += size;
    }
    return bytes;
  }
  size_t largest_put(const std::string& text) const {
    size_t bytes = 0;
    for (const auto& [key, sizes] : puts_) {
      if (key.find(text) == key.npos) continue;
      for (const size_t size : sizes) bytes = std::max(bytes, size);
    }
    return bytes;
  }

 private:
  void Note(const std::string& key, size_t bytes) { puts_[key].push_back(bytes); }

  ObjectStore* inner_;
  Trouble trouble_;
  std::map<std::string, std::vector<size_t>> puts_;
  std::string refused_;
  int refusals_ = 0;
};

class FaultyServingStore : public ServingTables, public ServingWriter {
 public:
  /// Over one store that is both ports.
  template <typename Store>
  FaultyServingStore(Store* inner, SimWorld* world, const Faults* faults)
      : tables_(inner), inner_(inner), trouble_(world, faults) {}

  Task<Status> Define(Incarnation incarnation, StreamSpec stream, PipelineSpec pipeline) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    if (incarnation.name == refused_) co_return Refused();
    ++defines_begun_;
    while (hold_defines_) co_await Delay(std::chrono::milliseconds(1));
    auto r =
        co_await tables_->Define(std::move(incarnation), std::move(stream), std::move(pipeline));
    MILLRACE_CO_TRY(co_await trouble_.After());
    co_return r;
  }
  Task<Status> DropViews(Incarnation incarnation) override {
    if (incarnation.name == refused_) co_return Refused();
    auto r = co_await tables_->DropViews(std::move(incarnation));
    co_return r;
  }
  Task<Status> Attach(Incarnation incarnation, StreamSpec stream, PipelineSpec pipeline) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    if (away_) co_return Away();
    auto r =
        co_await inner_->Attach(std::move(incarnation), std::move(stream), std::move(pipeline));
    co_return r;
  }
  Task<Result<Fence>> TakeOver(ShardId shard, Epoch epoch) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    if (away_) co_return Away();
    most_take_overs_ = std::max(most_take_overs_, ++take_overs_);
    auto r = co_await inner_->TakeOver(std::move(shard), epoch);
    const Status after = co_await trouble_.After();
    --take_overs_;
    if (!after.ok()) co_return after.error();
    co_return r;
  }
  Task<Result<std::vector<std::optional<Fence>>>> ReadFences(std::vector<ShardId> shards) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    if (away_) co_return Away();
    auto r = co_await inner_->ReadFences(std::move(shards));
    co_return r;
  }
  Task<Status> Apply(ServingBatch batch) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    if (away_ || refuse_batches_) co_return Away();
    if (std::exchange(hold_next_, false)) {
      held_ = std::move(batch);
      co_return Unavailable("injected: on its way");
    }
    auto r = co_await inner_->Apply(std::move(batch));
    MILLRACE_CO_TRY(co_await trouble_.After());
    co_return r;
  }
  Task<Result<int64_t>> DeleteRaw(Micros appended_before, int64_t max_rows) override {
    MILLRACE_CO_TRY(co_await trouble_.Before());
    auto r = co_await tables_->DeleteRaw(appended_before, max_rows);
    MILLRACE_CO_TRY(co_await trouble_.After());
    co_return r;
  }
  /// From now on no pipeline of this name gets tables or loses them; empty: all do.
  void Refuse(std::string name) {
    refused_ = std::move(name);
    refusals_ = 0;
  }
  int refusals() const { return refusals_; }
  /// While they are held, tables that are asked for are not made yet.
  void HoldDefines(bool hold) { hold_defines_ = hold; }
  int defines_begun() const { return defines_begun_; }
  /// The most calls of TakeOver that were under way at once.
  int most_take_overs() const { return most_take_overs_; }
  /// The next batch is answered as if nobody knew, and takes effect at Release(), if it still can.
  void HoldNext() { hold_next_ = true; }
  bool holds() const { return held_.has_value(); }
  Task<Status> Release() {
    ServingBatch batch = *std::exchange(held_, std::nullopt);
    auto applied = co_await inner_->Apply(std::move(batch));
    co_return applied;
  }
  /// While they are refused no batch is applied, and fences are taken over and read as usual.
  void RefuseBatches(bool refuse) { refuse_batches_ = refuse; }
  /// While it is away nothing is applied, nobody takes over, and fences cannot be read.
  void Fail(bool away) { away_ = away; }

 private:
  Error Refused() {
    ++refusals_;
    return InvalidArgument("injected: tables refused");
  }

  static Error Away() { return Unavailable("injected: the serving store is away"); }

  ServingTables* tables_;
  ServingWriter* inner_;
  Trouble trouble_;
  bool away_ = false;
  bool refuse_batches_ = false;
  bool hold_next_ = false;
  std::optional<ServingBatch> held_;
  std::string refused_;
  int refusals_ = 0;
  int take_overs_ = 0;
  int most_take_overs_ = 0;
  bool hold_defines_ = false;
  int defines_begun_ = 0;
};

}  // namespace millrace::sim
