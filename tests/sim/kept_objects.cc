#include "sim/kept_objects.h"

namespace millrace::sim {
namespace {

constexpr size_t kMostWrong = 5;

}  // namespace

Task<Status> KeptObjects::Put(std::string key, Buffer data) {
  const auto manifest = checkpoint::Decode(data.bytes);
  if (manifest.ok()) {
    std::set<std::string>& named = named_by_[key];
    named.insert(key);
    for (const checkpoint::ManifestFile& file : manifest->files) named.insert(file.object);
    for (const checkpoint::OwedObject& owed : manifest->owed) named.insert(owed.object);
  }
  auto put = co_await InMemoryObjectStore::Put(std::move(key), std::move(data));
  co_return put;
}

Task<Status> KeptObjects::Lose(std::string key) {
  lost_.insert(key);
  auto lost = co_await InMemoryObjectStore::Delete(std::move(key));
  co_return lost;
}

Task<Status> KeptObjects::Delete(std::string key) {
  const Status looked = co_await Look();
  looked.Ignore("a log in memory gives what it has");
  for (const auto& [id, shard] : fold_.shards()) {
    for (const control::CommitState& commit : shard.commits) {
      if (named_by_[commit.manifest].contains(key))
        Wrong("an object is deleted that a kept checkpoint names: " + key);
    }
  }
  auto deleted = co_await InMemoryObjectStore::Delete(std::move(key));
  co_return deleted;
}

Task<Status> KeptObjects::Look() {
  const std::string topic(control::kControlTopic);
  const auto range = co_await log_.Range(topic, PartitionId(0));
  if (!range.ok() || range->end <= read_to_) co_return Status();
  // What was trimmed is in the archive.
  const auto records = co_await log_.ReadAll(topic, PartitionId(0), read_to_);
  read_to_ = range->end;
  for (const LogRecord& record : records.value()) {
    const auto decoded = control::Decode(record.value);
    if (!decoded.ok()) {
      fold_.ApplyUnreadable(record.offset);
      continue;
    }
    if (fold_.Apply(record.offset, record.append_time, *decoded) != control::Verdict::kValid)
      continue;
    const auto* commit = std::get_if<control::Commit>(&*decoded);
    if (commit == nullptr) continue;
    for (const std::string& object : named_by_[commit->manifest]) {
      if (lost_.contains(object)) continue;
      const auto there = co_await Stat(object);
      if (!there.ok()) Wrong("a checkpoint counts and names an object that is gone: " + object);
    }
  }
  co_return Status();
}

void KeptObjects::Wrong(const std::string& what) {
  if (wrong_.size() < kMostWrong) wrong_.push_back(what);
}

}  // namespace millrace::sim
