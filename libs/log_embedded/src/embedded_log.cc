#include "millrace/log_embedded/embedded_log.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "millrace/base/crash_point.h"
#include "millrace/base/executor.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "store.h"

// g++ 12 destroys a closure twice that is a temporary of a co_await expression: each gets a name
// first.

namespace millrace::log_embedded {
namespace {

Error NoSuchPartition(Code code, const std::string& topic, PartitionId partition) {
  return WithFacts(code, "the log has no such topic or partition",
                   {{"topic", topic}, {"partition", partition.value}});
}

}  // namespace

struct EmbeddedLog::Core {
  struct Partition {
    PartitionKey key;
    /// As readers see it. The committer alone moves the end, DeleteBefore the start.
    Store::Extent extent;
    int64_t staged_end = 0;  ///< with the group being written; the committer's own
    std::vector<Completion<bool>> waiting;
  };
  struct Topic {
    uint32_t id = 0;
    std::deque<Partition> partitions;
    bool removed = false;
  };
  /// A partition, and the topic that keeps it when that is removed.
  struct Place {
    std::shared_ptr<Topic> topic;
    Partition* partition = nullptr;  ///< nullptr: there is none
  };
  struct Request {
    std::shared_ptr<Topic> topic;
    Partition* partition = nullptr;
    LogEntry entry;
    Micros now = 0;
    int64_t offset = 0;
    Completion<Result<Offset>> done;

    size_t bytes() const {
      size_t n = entry.key.size() + entry.value.size();
      for (const LogHeader& h : entry.headers) n += h.name.size() + h.value.size();
      return n;
    }
  };

  std::unique_ptr<Store> store;
  std::mutex mutex;
  std::condition_variable queued;
  std::map<std::string, std::shared_ptr<Topic>> topics;
  std::deque<std::shared_ptr<Request>> queue;
  size_t queue_bytes = 0;
  /// An append past the bound. Its caller owns it: if that one goes away it is not written.
  struct Beyond {
    std::weak_ptr<Request> request;
    std::shared_ptr<AppendChain> chain;
  };
  std::deque<Beyond> beyond;
  bool stopping = false;
  std::mutex administering;
  std::thread committer;

  Place Find(const std::string& topic, PartitionId partition);
  void Load();
  void Add(const std::string& name, const log_embedded::Topic& topic);
  Result<bool> Create(const TopicSpec& spec);
  Status Remove(const TopicSpec& spec);
  Status DeleteBefore(const std::string& topic, PartitionId partition, int64_t before);
  Status Enqueue(const std::string& topic, PartitionId partition,
                 const std::shared_ptr<Request>& request);
  bool Full() const { return queue_bytes >= kMaxQueuedBytes || queue.size() >= kMaxQueuedRecords; }
  void Admit();
  std::vector<std::shared_ptr<Request>> NextGroup();
  Status Write(const std::vector<std::shared_ptr<Request>>& group);
  void CommitGroup(std::vector<std::shared_ptr<Request>> group);
  void Run();
  void Stop();
};

EmbeddedLog::Core::Place EmbeddedLog::Core::Find(const std::string& topic, PartitionId partition) {
  const auto it = topics.find(topic);
  if (it == topics.end() || partition.value < 0 ||
      static_cast<size_t>(partition.value) >= it->second->partitions.size()) {
    return {};
  }
  return {it->second, &it->second->partitions[static_cast<size_t>(partition.value)]};
}

void EmbeddedLog::Core::Load() {
  for (const auto& [name, topic] : store->topics()) Add(name, topic);
}

void EmbeddedLog::Core::Add(const std::string& name, const log_embedded::Topic& topic) {
  std::lock_guard lock(mutex);
  const auto [at, fresh] = topics.try_emplace(name);
  if (!fresh) return;
  at->second = std::make_shared<Topic>();
  at->second->id = topic.id;
  for (int32_t p = 0; p < topic.partitions(); ++p) {
    const PartitionKey key{topic.id, p};
    const Store::Extent extent = store->FindExtent(key);
    at->second->partitions.push_back({key, extent, extent.end, {}});
  }
}

Result<bool> EmbeddedLog::Core::Create(const TopicSpec& spec) {
  std::lock_guard one_at_a_time(administering);
  const auto exists = [&](size_t partitions) -> Result<bool> {
    if (partitions == static_cast<size_t>(spec.partitions)) return false;
    return Conflict("the topic exists with another number of partitions",
                    {{"topic", spec.name}, {"has", partitions}, {"wanted", spec.partitions}});
  };
  {
    std::lock_guard lock(mutex);
    const auto it = topics.find(spec.name);
    if (it != topics.end()) return exists(it->second->partitions.size());
  }
  MILLRACE_ASSIGN(const log_embedded::Topic topic, store->PutTopic(spec.name, spec.partitions));
  CrashPoint("log_embedded.topic.durable");
  Add(spec.name, topic);
  if (topic.partitions() != spec.partitions) return exists(topic.starts.size());
  return true;
}

Status EmbeddedLog::Core::Remove(const TopicSpec& spec) {
  std::lock_guard one_at_a_time(administering);
  std::shared_ptr<Topic> topic;
  {
    std::lock_guard lock(mutex);
    const auto it = topics.find(spec.name);
    if (it == topics.end() || std::to_string(it->second->id) != spec.id) return {};
    topic = it->second;
  }
  CrashPoint("log_embedded.topic.before_remove");
  MILLRACE_TRY(store->RemoveTopic(spec.name, topic->id));
  CrashPoint("log_embedded.topic.removed");
  std::vector<Completion<bool>> woken;
  {
    std::lock_guard lock(mutex);
    topics.erase(spec.name);
    topic->removed = true;
    for (Partition& p : topic->partitions) {
      woken.insert(woken.end(), p.waiting.begin(), p.waiting.end());
      p.waiting.clear();
    }
  }
  for (const auto& w : woken) w.Set(true);
  // Only now, so that a reader whose records go finds the reason.
  store->FreeSegments();
  return {};
}

Status EmbeddedLog::Core::DeleteBefore(const std::string& topic, PartitionId partition,
                                       int64_t before) {
  std::lock_guard one_at_a_time(administering);
  Place place;
  {
    std::lock_guard lock(mutex);
    place = Find(topic, partition);
    if (place.partition == nullptr) return NoSuchPartition(Code::kNotFound, topic, partition);
    const Store::Extent& extent = place.partition->extent;
    if (before > extent.end)
      return Conflict("records cannot be deleted past the end of the log",
                      {{"topic", topic},
                       {"partition", partition.value},
                       {"before", before},
                       {"end", extent.end}});
  }
  CrashPoint("log_embedded.delete.before_write");
  MILLRACE_TRY(store->SetStart(place.partition->key, before));
  CrashPoint("log_embedded.delete.durable");
  std::vector<Completion<bool>> woken;
  {
    std::lock_guard lock(mutex);
    Store::Extent& extent = place.partition->extent;
    extent.start = std::max(extent.start, before);
    woken.swap(place.partition->waiting);
  }
  for (const auto& w : woken) w.Set(true);
  // Only now, so that a reader whose records go finds the reason. Also if the start did not move:
  // an earlier call may have died before it came here.
  store->FreeSegments();
  CrashPoint("log_embedded.delete.freed");
  return {};
}

Status EmbeddedLog::Core::Enqueue(const std::string& topic, PartitionId partition,
                                  const std::shared_ptr<Request>& request) {
  std::lock_guard lock(mutex);
  Place place = Find(topic, partition);
  if (place.partition == nullptr) return NoSuchPartition(Code::kUnavailable, topic, partition);
  request->topic = std::move(place.topic);
  request->partition = place.partition;
  if (Full() || !beyond.empty()) {
    beyond.push_back({request, request->entry.chain});
    return {};
  }
  queue_bytes += request->bytes();
  queue.push_back(request);
  if (queue.size() == 1) queued.notify_one();
  return {};
}

void EmbeddedLog::Core::Admit() {
  while (!beyond.empty() && !Full()) {
    if (auto request = beyond.front().request.lock()) {
      queue_bytes += request->bytes();
      queue.push_back(std::move(request));
    } else {
      Break(beyond.front().chain);
    }
    beyond.pop_front();
  }
}

std::vector<std::shared_ptr<EmbeddedLog::Core::Request>> EmbeddedLog::Core::NextGroup() {
  std::vector<std::shared_ptr<Request>> group;
  std::unique_lock lock(mutex);
  queued.wait(lock, [&] { return stopping || !queue.empty(); });
  size_t bytes = 0;
  while (!queue.empty() && bytes < kMaxGroupBytes) {
    bytes += queue.front()->bytes();
    group.push_back(std::move(queue.front()));
    queue.pop_front();
  }
  queue_bytes -= bytes;
  Admit();
  return group;
}

Status EmbeddedLog::Core::Write(const std::vector<std::shared_ptr<Request>>& group) {
  std::vector<Store::Write> writes;
  writes.reserve(group.size());
  for (const auto& r : group) {
    Partition& p = *r->partition;
    r->offset = p.staged_end++;
    writes.push_back({p.key, r->offset, r->now, &r->entry});
  }
  CrashPoint("log_embedded.append.before_write");
  MILLRACE_TRY(store->Commit(writes));
  CrashPoint("log_embedded.append.durable");
  return {};
}

void EmbeddedLog::Core::CommitGroup(std::vector<std::shared_ptr<Request>> group) {
  std::vector<std::shared_ptr<Request>> removed;
  {
    std::lock_guard lock(mutex);
    std::erase_if(group, [&](const auto& r) {
      if (r->topic->removed) removed.push_back(r);
      return r->topic->removed;
    });
  }
  for (const auto& r : removed) {
    Break(r->entry.chain);
    r->done.Set(Unavailable("the topic was removed before the record was written"));
  }
  std::erase_if(group, [](const auto& r) {
    const bool behind = Broken(r->entry.chain);
    if (behind) r->done.Set(BehindFailedAppend());
    return behind;
  });
  if (group.empty()) return;
  const Status written = Write(group);
  std::vector<Completion<bool>> woken;
  if (!written.ok()) {
    // What was written in part is taken back: the offsets are given again.
    for (const auto& r : group) r->partition->staged_end = r->partition->extent.end;
  }
  if (written.ok()) {
    std::lock_guard lock(mutex);
    for (const auto& r : group) {
      Partition& p = *r->partition;
      p.extent.end = p.staged_end;
      woken.insert(woken.end(), p.waiting.begin(), p.waiting.end());
      p.waiting.clear();
    }
  } else {
    for (const auto& r : group) Break(r->entry.chain);
  }
  for (const auto& r : group)
    r->done.Set(written.ok() ? Result<Offset>(Offset(r->offset)) : Result<Offset>(written.error()));
  for (const auto& w : woken) w.Set(true);
}

void EmbeddedLog::Core::Run() {
  for (;;) {
    auto group = NextGroup();
    if (group.empty()) return;
    CommitGroup(std::move(group));
  }
}

void EmbeddedLog::Core::Stop() {
  {
    std::lock_guard lock(mutex);
    stopping = true;
    queued.notify_one();
  }
  if (committer.joinable()) committer.join();
}

Result<std::unique_ptr<EmbeddedLog>> EmbeddedLog::Open(const std::string& directory,
                                                       uint64_t segment_bytes) {
  auto core = std::make_shared<Core>();
  MILLRACE_ASSIGN(core->store, Store::Open(directory, segment_bytes));
  core->Load();
  core->committer = std::thread([c = core.get()] { c->Run(); });
  return std::unique_ptr<EmbeddedLog>(new EmbeddedLog(std::move(core)));
}

EmbeddedLog::EmbeddedLog(std::shared_ptr<Core> core) : core_(std::move(core)) {}
EmbeddedLog::~EmbeddedLog() { core_->Stop(); }

uint64_t EmbeddedLog::dropped_bytes() const { return core_->store->dropped_bytes(); }

Task<Status> EmbeddedLog::CreateTopic(TopicSpec topic) {
  if (topic.partitions < 1 || topic.name.empty())
    co_return InvalidArgument("a topic needs a name and at least one partition",
                              {{"name", topic.name}});
  auto work = Offload([core = core_, topic] { return core->Create(topic); });
  const auto created = co_await std::move(work);
  if (!created.ok()) co_return created.error();
  co_return Status();
}

Task<Result<TopicSpec>> EmbeddedLog::DescribeTopic(std::string name) {
  std::lock_guard lock(core_->mutex);
  const auto it = core_->topics.find(name);
  if (it == core_->topics.end()) co_return NotFound("the log has no such topic", {{"topic", name}});
  const Core::Topic& topic = *it->second;
  co_return TopicSpec{name, static_cast<int32_t>(topic.partitions.size()),
                      std::to_string(topic.id)};
}

Task<Status> EmbeddedLog::RemoveTopic(TopicSpec topic) {
  auto work = Offload([core = core_, topic] { return core->Remove(topic); });
  auto removed = co_await std::move(work);
  co_return removed;
}

Task<Result<Offset>> EmbeddedLog::Append(std::string topic, PartitionId partition, LogEntry entry) {
  const size_t bytes = entry.key.size() + entry.value.size();
  if (bytes > kMaxRecordBytes)
    co_return InvalidArgument("a record is larger than the log takes",
                              {{"topic", topic}, {"bytes", bytes}, {"limit", kMaxRecordBytes}});
  const auto request = std::make_shared<Core::Request>();
  request->entry = std::move(entry);
  request->now = Executor::Current().Wall();
  if (const Status enqueued = core_->Enqueue(topic, partition, request); !enqueued.ok()) {
    Break(request->entry.chain);
    co_return enqueued.error();
  }
  auto offset = co_await request->done;
  co_return offset;
}

class EmbeddedLog::Reader : public LogReader {
 public:
  Reader(std::shared_ptr<Core> core, std::string topic, PartitionId partition, Offset from)
      : core_(std::move(core)), topic_(std::move(topic)), partition_(partition), next_(from) {}

  Task<Result<LogBatch>> Next(size_t max_bytes, std::chrono::microseconds max_wait) override {
    Executor& executor = Executor::Current();
    const auto deadline = executor.Monotonic() + max_wait;
    for (;;) {
      const Completion<bool> appended;
      const auto left = deadline - executor.Monotonic();
      MILLRACE_CO_ASSIGN(const Store::Extent extent, Look(left.count() > 0, appended));
      if (next_.value < extent.start || next_.value > extent.end) co_return Outside(extent);
      if (next_.value < extent.end) {
        auto read = co_await Read(extent, max_bytes);
        co_return read;
      }
      if (left.count() <= 0) co_return LogBatch{{}, next_, next_};
      executor.PostAfter(left, [appended] { appended.Set(false); });
      const bool woken = co_await appended;
      if (!woken) StopWaiting(appended);
    }
  }

 private:
  /// Where the partition stands. At its end, if the caller waits, `appended` is set by the next
  /// append.
  Result<Store::Extent> Look(bool wait, const Completion<bool>& appended) {
    std::lock_guard lock(core_->mutex);
    if (place_.partition == nullptr) place_ = core_->Find(topic_, partition_);
    if (place_.partition == nullptr || place_.topic->removed)
      return NoSuchPartition(Code::kUnavailable, topic_, partition_);
    const Store::Extent extent = place_.partition->extent;
    if (wait && next_.value == extent.end) place_.partition->waiting.push_back(appended);
    return extent;
  }

  void StopWaiting(const Completion<bool>& appended) {
    std::lock_guard lock(core_->mutex);
    std::erase_if(place_.partition->waiting, [&](const auto& w) { return w.SameAs(appended); });
  }

  Error Outside(const Store::Extent& extent) const {
    return Conflict("the position lies outside the log", {{"topic", topic_},
                                                          {"partition", partition_.value},
                                                          {"position", next_.value},
                                                          {"start", extent.start},
                                                          {"end", extent.end}});
  }

  Task<Result<LogBatch>> Read(Store::Extent extent, size_t max_bytes) {
    auto work =
        Offload([core = core_, key = place_.partition->key, from = next_.value, extent, max_bytes] {
          return core->store->Scan(key, from, extent.end, max_bytes);
        });
    auto records = co_await std::move(work);
    std::lock_guard lock(core_->mutex);
    // Records that are not there any more are no damage then.
    if (place_.topic->removed) co_return NoSuchPartition(Code::kUnavailable, topic_, partition_);
    if (const Store::Extent& now = place_.partition->extent; next_.value < now.start)
      co_return Outside(now);
    if (!records.ok()) co_return records.error();
    next_ = Offset(records->back().offset.value + 1);
    co_return LogBatch{std::move(*records), next_, Offset(extent.end)};
  }

  const std::shared_ptr<Core> core_;
  const std::string topic_;
  const PartitionId partition_;
  Core::Place place_;  ///< as found by the first Next that found one
  Offset next_;
};

std::unique_ptr<LogReader> EmbeddedLog::OpenReader(std::string topic, PartitionId partition,
                                                   Offset from) {
  return std::make_unique<Reader>(core_, std::move(topic), partition, from);
}

Task<Result<OffsetRange>> EmbeddedLog::Range(std::string topic, PartitionId partition) {
  std::lock_guard lock(core_->mutex);
  const Core::Partition* p = core_->Find(topic, partition).partition;
  if (p == nullptr) co_return NoSuchPartition(Code::kNotFound, topic, partition);
  co_return OffsetRange{Offset(p->extent.start), Offset(p->extent.end)};
}

Task<Result<Offset>> EmbeddedLog::OffsetForTime(std::string topic, PartitionId partition,
                                                Micros t) {
  Core::Place place;
  Store::Extent extent;
  std::optional<Result<int64_t>> found;
  for (;;) {
    {
      std::lock_guard lock(core_->mutex);
      if (place.partition == nullptr) place = core_->Find(topic, partition);
      if (place.partition == nullptr || place.topic->removed)
        co_return NoSuchPartition(Code::kNotFound, topic, partition);
      // Records that were deleted while they were looked through: look again from the new start.
      const bool again = extent.start < place.partition->extent.start;
      extent = place.partition->extent;
      if (found && !again) break;
    }
    auto work = Offload([core = core_, key = place.partition->key, extent, t] {
      return core->store->OffsetForTime(key, extent, t);
    });
    found = co_await std::move(work);
  }
  if (!found->ok()) co_return found->error();
  co_return Offset(**found);
}

Task<Status> EmbeddedLog::DeleteBefore(std::string topic, PartitionId partition, Offset before) {
  auto work = Offload([core = core_, topic, partition, before] {
    return core->DeleteBefore(topic, partition, before.value);
  });
  auto deleted = co_await std::move(work);
  co_return deleted;
}

Task<Result<int64_t>> EmbeddedLog::Bytes(std::string topic, PartitionId partition, Offset from) {
  std::lock_guard lock(core_->mutex);
  const Core::Partition* p = core_->Find(topic, partition).partition;
  if (p == nullptr) co_return NoSuchPartition(Code::kNotFound, topic, partition);
  co_return core_->store->Bytes(p->key, std::max(from.value, p->extent.start));
}

Task<Result<std::string>> EmbeddedLog::Identity() { co_return core_->store->identity(); }

}  // namespace millrace::log_embedded
