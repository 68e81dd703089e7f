#include "segment_cache.h"

#include <algorithm>
#include <cstdio>

#include "millrace/base/log.h"

namespace millrace::log_embedded {
namespace {

std::string PathOf(const std::string& directory, uint64_t segment, const char* suffix) {
  char name[32];
  std::snprintf(name, sizeof name, "/%010llu%s", static_cast<unsigned long long>(segment), suffix);
  return directory + name;
}

/// What is charged for entries: at least so much that there are never more than about a thousand.
size_t BytesOf(const SegmentCache::Entries& entries) {
  constexpr size_t kLeast = SegmentCache::kMaxBytes / 1'024;
  return std::max(kLeast, entries->size() * sizeof(Entry));
}

}  // namespace

std::string SegmentPath(const std::string& directory, uint64_t segment) {
  return PathOf(directory, segment, ".log");
}

std::string IndexPath(const std::string& directory, uint64_t segment) {
  return PathOf(directory, segment, ".index");
}

Result<std::shared_ptr<File>> SegmentCache::Segment(uint64_t segment) {
  std::lock_guard lock(mutex_);
  const auto at =
      std::find_if(files_.begin(), files_.end(), [&](const auto& f) { return f.first == segment; });
  if (at != files_.end()) {
    files_.splice(files_.begin(), files_, at);
    return at->second;
  }
  auto file = File::Open(SegmentPath(directory_, segment), File::Mode::kRead);
  if (!file.ok() && file.error().code == Code::kNotFound)
    return Corruption("a record's file is missing");
  if (!file.ok()) return file.error();
  files_.emplace_front(segment, *file);
  if (files_.size() > kMaxFiles) files_.pop_back();
  return *file;
}

Result<std::vector<Entry>> SegmentCache::Read(uint64_t segment, PartitionKey key,
                                              const Span& span) {
  SegmentIndex all;
  const auto index = IndexFile::Open(IndexPath(directory_, segment), segment);
  if (index.ok()) {
    auto entries = (*index)->Entries(key);
    if (entries.ok() && static_cast<int64_t>(entries->size()) >= span.count) return entries;
    if (!entries.ok() && entries.error().code == Code::kUnavailable) return entries.error();
  } else if (index.error().code == Code::kUnavailable) {
    return index.error();
  }
  static LogRateLimit limit(10);
  limit.Warn("an index of the log is missing or damaged, its segment is read instead",
             {{"directory", directory_}, {"segment", segment}});
  MILLRACE_ASSIGN(const auto file, Segment(segment));
  MILLRACE_TRY(Walk(*file, segment, true, &all));
  // Frames whose heads are damaged stay without an entry.
  std::vector<Entry> entries(static_cast<size_t>(span.count));
  if (const SegmentIndex::Part* part = all.Find(key)) {
    for (size_t i = 0; i < part->entries.size(); ++i) {
      const int64_t at = part->span.first + static_cast<int64_t>(i) - span.first;
      if (at >= 0 && at < span.count) entries[static_cast<size_t>(at)] = part->entries[i];
    }
  }
  return entries;
}

Result<SegmentCache::Entries> SegmentCache::EntriesOf(uint64_t segment, PartitionKey key,
                                                      const Span& span) {
  const Key wanted{segment, key};
  const auto find = [&] {
    return std::find_if(entries_.begin(), entries_.end(),
                        [&](const auto& e) { return e.first == wanted; });
  };
  {
    std::lock_guard lock(mutex_);
    if (const auto at = find(); at != entries_.end()) {
      entries_.splice(entries_.begin(), entries_, at);
      return at->second;
    }
  }
  MILLRACE_ASSIGN(std::vector<Entry> read, Read(segment, key, span));
  const Entries entries = std::make_shared<const std::vector<Entry>>(std::move(read));
  std::lock_guard lock(mutex_);
  if (find() == entries_.end()) {
    entries_.emplace_front(wanted, entries);
    bytes_ += BytesOf(entries);
  }
  while (bytes_ > kMaxBytes && entries_.size() > 1) {
    bytes_ -= BytesOf(entries_.back().second);
    entries_.pop_back();
  }
  return entries;
}

void SegmentCache::Forget(uint64_t segment) {
  std::lock_guard lock(mutex_);
  files_.remove_if([&](const auto& file) { return file.first == segment; });
  entries_.remove_if([&](const auto& e) {
    if (e.first.first != segment) return false;
    bytes_ -= BytesOf(e.second);
    return true;
  });
}

}  // namespace millrace::log_embedded
