#include "millrace/log/in_memory_log.h"

#include <algorithm>
#include <deque>
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
  std::deque<std::shared_ptr<const Stored>> records;
  std::vector<Completion<bool>> waiting;
};

LogRecord View(const std::shared_ptr<const Stored>& stored, int64_t offset) {
  return {Offset(offset),      stored->append_time,   stored->entry.key,
          stored->entry.value, stored->entry.headers, stored};
}

Error NoSuchPartition(const std::string& topic, PartitionId partition) {
  return NotFound("the log has no such topic or partition",
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

  Partition* Find(const std::string& topic, PartitionId partition) {
    const auto it = topics.find(topic);
    if (it == topics.end() || partition.value < 0 ||
        static_cast<size_t>(partition.value) >= it->second.partitions.size()) {
      return nullptr;
    }
    return &it->second.partitions[static_cast<size_t>(partition.value)];
  }
};

InMemoryLog::InMemoryLog() : state_(std::make_unique<State>()) {}
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

Task<Result<std::vector<TopicSpec>>> InMemoryLog::ListTopics() {
  std::vector<TopicSpec> topics;
  for (const auto& [name, topic] : state_->topics)
    topics.push_back({name, static_cast<int32_t>(topic.partitions.size()), topic.id});
  co_return topics;
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
  if (entry.key.size() + entry.value.size() > kMaxRecordBytes)
    co_return InvalidArgument("a record is larger than the log takes",
                              {{"topic", topic},
                               {"bytes", entry.key.size() + entry.value.size()},
                               {"limit", kMaxRecordBytes}});
  Partition* p = state_->Find(topic, partition);
  if (p == nullptr) {
    Break(entry.chain);
    co_return Unavailable(NoSuchPartition(topic, partition).message);
  }
  if (Broken(entry.chain)) co_return BehindFailedAppend();
  const Offset offset(static_cast<int64_t>(p->records.size()));
  p->records.push_back(
      std::make_shared<const Stored>(Stored{std::move(entry), Executor::Current().Wall()}));
  for (const auto& w : std::exchange(p->waiting, {})) w.Set(true);
  co_return offset;
}

Task<Result<std::vector<LogRecord>>> InMemoryLog::Read(std::string topic, PartitionId partition,
                                                       Offset from, size_t max_bytes,
                                                       std::chrono::microseconds max_wait) {
  Executor& executor = Executor::Current();
  const auto deadline = executor.Monotonic() + max_wait;
  std::string id;
  for (;;) {
    Partition* p = state_->Find(topic, partition);
    if (p == nullptr) co_return NoSuchPartition(topic, partition);
    // A topic that was removed while this waited, and made again, is another one.
    const std::string& found = state_->topics.at(topic).id;
    if (id.empty()) id = found;
    if (id != found) co_return NoSuchPartition(topic, partition);
    const auto end = static_cast<int64_t>(p->records.size());
    if (from.value < 0 || from.value > end)
      co_return Corruption("the position lies outside the log", {{"topic", topic},
                                                                 {"partition", partition.value},
                                                                 {"position", from.value},
                                                                 {"start", 0},
                                                                 {"end", end}});
    std::vector<LogRecord> records;
    size_t bytes = 0;
    for (int64_t o = from.value; o < end && (bytes < max_bytes || records.empty()); ++o) {
      records.push_back(View(p->records[static_cast<size_t>(o)], o));
      bytes += records.back().value.size();
    }
    const auto left = deadline - executor.Monotonic();
    if (!records.empty() || left.count() <= 0) co_return records;
    const Completion<bool> appended;
    p->waiting.push_back(appended);
    executor.PostAfter(left, [appended] { appended.Set(false); });
    const bool woken = co_await appended;
    p = state_->Find(topic, partition);
    if (!woken && p != nullptr)
      std::erase_if(p->waiting, [&](const auto& w) { return w.SameAs(appended); });
  }
}

Task<Result<OffsetRange>> InMemoryLog::Range(std::string topic, PartitionId partition) {
  const Partition* p = state_->Find(topic, partition);
  if (p == nullptr) co_return NoSuchPartition(topic, partition);
  co_return OffsetRange{Offset(0), Offset(static_cast<int64_t>(p->records.size()))};
}

Task<Result<Offset>> InMemoryLog::OffsetForTime(std::string topic, PartitionId partition,
                                                Micros t) {
  const Partition* p = state_->Find(topic, partition);
  if (p == nullptr) co_return NoSuchPartition(topic, partition);
  const auto it = std::find_if(p->records.begin(), p->records.end(),
                               [&](const auto& stored) { return stored->append_time >= t; });
  co_return Offset(it - p->records.begin());
}

void InMemoryLog::LoseEnd(const std::string& topic, PartitionId partition, Offset end) {
  Partition* p = state_->Find(topic, partition);
  if (p != nullptr && static_cast<size_t>(end.value) < p->records.size())
    p->records.resize(static_cast<size_t>(end.value));
}

}  // namespace millrace
