#include "millrace/log/in_memory_log.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>
#include <utility>

#include "millrace/base/executor.h"
#include "millrace/base/facts.h"

namespace millrace {
namespace {

struct Stored {
  LogEntry entry;
  Micros append_time = 0;
};

struct Partition {
  std::map<Offset, std::shared_ptr<const Stored>> records;
  Offset start;
  Offset end;
  std::vector<Completion<bool>> waiting;
};

LogRecord View(const std::pair<const Offset, std::shared_ptr<const Stored>>& at) {
  const auto& [offset, stored] = at;
  return {
      offset, stored->append_time, stored->entry.key, stored->entry.value, stored->entry.headers,
      stored};
}

Error NoSuchTopic(const std::string& topic) {
  return NotFound("the log has no such topic", {{"topic", topic}});
}

/// Of one length, so that no record that holds it is longer in one run than in the next.
std::string NextIdentity() {
  static std::atomic<uint64_t> logs{0};
  char text[32];
  std::snprintf(text, sizeof text, "memory-%016llx", static_cast<unsigned long long>(++logs));
  return text;
}

Error NoSuchPartition(Code code, const std::string& topic, PartitionId partition) {
  return WithFacts(code, "the log has no such topic or partition",
                   {{"topic", topic}, {"partition", partition.value}});
}

}  // namespace

struct InMemoryLog::State {
  struct Topic {
    std::string id;
    std::vector<Partition> partitions;
  };
  std::map<std::string, Topic> topics;
  int64_t topics_made = 0;
  const std::string identity = NextIdentity();
  Options options;

  Partition* Find(const std::string& topic, PartitionId partition) {
    const auto it = topics.find(topic);
    if (it == topics.end() || partition.value < 0 ||
        static_cast<size_t>(partition.value) >= it->second.partitions.size()) {
      return nullptr;
    }
    return &it->second.partitions[static_cast<size_t>(partition.value)];
  }
};

InMemoryLog::InMemoryLog(Options options) : state_(std::make_unique<State>()) {
  state_->options = options;
}
InMemoryLog::~InMemoryLog() = default;

Task<Status> InMemoryLog::CreateTopic(TopicSpec topic) {
  if (topic.partitions < 1 || topic.name.empty())
    co_return InvalidArgument("a topic needs a name and at least one partition",
                              {{"name", topic.name}});
  const auto [it, created] = state_->topics.try_emplace(topic.name);
  if (created) {
    it->second.id = std::to_string(++state_->topics_made);
    it->second.partitions.resize(static_cast<size_t>(topic.partitions));
  }
  if (it->second.partitions.size() != static_cast<size_t>(topic.partitions))
    co_return Conflict("the topic exists with another number of partitions",
                       {{"topic", topic.name},
                        {"has", it->second.partitions.size()},
                        {"wanted", topic.partitions}});
  co_return Status();
}

Task<Result<TopicSpec>> InMemoryLog::DescribeTopic(std::string name) {
  const auto it = state_->topics.find(name);
  if (it == state_->topics.end()) co_return NoSuchTopic(name);
  co_return TopicSpec{name, static_cast<int32_t>(it->second.partitions.size()), it->second.id};
}

Task<Status> InMemoryLog::RemoveTopic(TopicSpec topic) {
  const auto it = state_->topics.find(topic.name);
  if (it == state_->topics.end() || it->second.id != topic.id) co_return Status();
  for (const Partition& p : it->second.partitions)
    for (const auto& w : p.waiting) w.Set(true);
  state_->topics.erase(it);
  co_return Status();
}

Task<Result<Offset>> InMemoryLog::Append(std::string topic, PartitionId partition, LogEntry entry) {
  const size_t limit = state_->options.max_record_bytes;
  if (entry.key.size() + entry.value.size() > limit)
    co_return InvalidArgument(
        "a record is larger than the log takes",
        {{"topic", topic}, {"bytes", entry.key.size() + entry.value.size()}, {"limit", limit}});
  Partition* p = state_->Find(topic, partition);
  if (p == nullptr) {
    Break(entry.chain);
    co_return NoSuchPartition(Code::kUnavailable, topic, partition);
  }
  if (Broken(entry.chain)) co_return BehindFailedAppend();
  const Offset offset = p->end;
  p->records[offset] =
      std::make_shared<const Stored>(Stored{std::move(entry), Executor::Current().Wall()});
  const int64_t hole_after = state_->options.hole_after;
  const bool hole = hole_after > 0 && static_cast<int64_t>(p->records.size()) % hole_after == 0;
  p->end = Offset(offset.value + (hole ? 2 : 1));
  for (const auto& w : std::exchange(p->waiting, {})) w.Set(true);
  co_return offset;
}

class InMemoryLog::Reader : public LogReader {
 public:
  Reader(State* log, std::string topic, PartitionId partition, Offset from)
      : log_(log), topic_(std::move(topic)), partition_(partition), next_(from) {}

  Task<Result<LogBatch>> Next(size_t max_bytes, std::chrono::microseconds max_wait) override {
    Executor& executor = Executor::Current();
    const auto deadline = executor.Monotonic() + max_wait;
    for (;;) {
      Partition* const p = Find();
      if (p == nullptr) co_return NoSuchPartition(Code::kUnavailable, topic_, partition_);
      if (next_ < p->start || next_ > p->end)
        co_return Conflict("the position lies outside the log", {{"topic", topic_},
                                                                 {"partition", partition_.value},
                                                                 {"position", next_.value},
                                                                 {"start", p->start.value},
                                                                 {"end", p->end.value}});
      LogBatch batch = Take(*p, max_bytes);
      const auto left = deadline - executor.Monotonic();
      if (!batch.records.empty() || left.count() <= 0) co_return batch;
      const Completion<bool> appended;
      p->waiting.push_back(appended);
      executor.PostAfter(left, [appended] { appended.Set(false); });
      const bool woken = co_await appended;
      if (woken) continue;
      if (Partition* const now = Find())
        std::erase_if(now->waiting, [&](const auto& w) { return w.SameAs(appended); });
    }
  }

 private:
  /// The partition, if the topic is still the one that was read first.
  Partition* Find() {
    Partition* const p = log_->Find(topic_, partition_);
    if (p == nullptr) return nullptr;
    const std::string& id = log_->topics.at(topic_).id;
    if (topic_id_.empty()) topic_id_ = id;
    return topic_id_ == id ? p : nullptr;
  }

  LogBatch Take(const Partition& p, size_t max_bytes) {
    LogBatch batch;
    batch.end = p.end;
    size_t bytes = 0;
    auto at = p.records.lower_bound(next_);
    for (; at != p.records.end() && (bytes < max_bytes || batch.records.empty()); ++at) {
      batch.records.push_back(View(*at));
      bytes += batch.records.back().value.size();
    }
    next_ = batch.next = at == p.records.end() ? p.end : at->first;
    return batch;
  }

  State* const log_;
  const std::string topic_;
  const PartitionId partition_;
  std::string topic_id_;
  Offset next_;
};

std::unique_ptr<LogReader> InMemoryLog::OpenReader(std::string topic, PartitionId partition,
                                                   Offset from) {
  return std::make_unique<Reader>(state_.get(), std::move(topic), partition, from);
}

Task<Result<OffsetRange>> InMemoryLog::Range(std::string topic, PartitionId partition) {
  const Partition* p = state_->Find(topic, partition);
  if (p == nullptr) co_return NoSuchPartition(Code::kNotFound, topic, partition);
  co_return OffsetRange{p->start, p->end};
}

Task<Result<Offset>> InMemoryLog::OffsetForTime(std::string topic, PartitionId partition,
                                                Micros t) {
  const Partition* p = state_->Find(topic, partition);
  if (p == nullptr) co_return NoSuchPartition(Code::kNotFound, topic, partition);
  const auto it = std::find_if(p->records.begin(), p->records.end(),
                               [&](const auto& at) { return at.second->append_time >= t; });
  co_return it == p->records.end() ? p->end : it->first;
}

Task<Status> InMemoryLog::DeleteBefore(std::string topic, PartitionId partition, Offset before) {
  Partition* p = state_->Find(topic, partition);
  if (p == nullptr) co_return NoSuchPartition(Code::kNotFound, topic, partition);
  if (before > p->end)
    co_return Conflict("records cannot be deleted past the end of the log",
                       {{"topic", topic},
                        {"partition", partition.value},
                        {"before", before.value},
                        {"end", p->end.value}});
  if (before <= p->start) co_return Status();
  p->start = before;
  p->records.erase(p->records.begin(), p->records.lower_bound(before));
  for (const auto& w : std::exchange(p->waiting, {})) w.Set(true);
  co_return Status();
}

Task<Result<int64_t>> InMemoryLog::Bytes(std::string topic, PartitionId partition, Offset from) {
  const Partition* p = state_->Find(topic, partition);
  if (p == nullptr) co_return NoSuchPartition(Code::kNotFound, topic, partition);
  size_t bytes = 0;
  for (auto at = p->records.lower_bound(from); at != p->records.end(); ++at)
    bytes += at->second->entry.key.size() + at->second->entry.value.size();
  co_return static_cast<int64_t>(bytes);
}

Task<Result<std::string>> InMemoryLog::Identity() { co_return state_->identity; }

void InMemoryLog::LoseEnd(const std::string& topic, PartitionId partition, Offset end) {
  Partition* p = state_->Find(topic, partition);
  if (p == nullptr || end >= p->end) return;
  p->records.erase(p->records.lower_bound(end), p->records.end());
  p->end = end;
  p->start = std::min(p->start, end);
}

}  // namespace millrace
