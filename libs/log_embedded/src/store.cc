#include "store.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "millrace/base/crash_point.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/base/system_error.h"

namespace millrace::log_embedded {
namespace {

/// Frames so near each other are read with one call.
constexpr uint64_t kNear = 16 << 10;
/// What one call reads, unless one record is larger.
constexpr uint64_t kReadBytes = 256 << 10;

}  // namespace

void Store::Adopt(Topics topics) {
  topics_ = std::move(topics);
  starts_.clear();
  for (const auto& [name, topic] : topics_.by_name)
    for (int32_t p = 0; p < topic.partitions(); ++p)
      starts_[{topic.id, p}] = topic.starts[static_cast<size_t>(p)];
}

std::optional<int64_t> Store::StartOf(PartitionKey key) const {
  const auto at = starts_.find(key);
  if (at == starts_.end()) return std::nullopt;
  return at->second;
}

/// Records of a topic that was removed do not, nor do those below a start.
bool Store::Counts(PartitionKey key, const Span& span) const {
  const auto start = StartOf(key);
  return start && span.end() > *start;
}

std::string Store::identity() const {
  std::lock_guard lock(mutex_);
  return topics_.IdentityText();
}

std::map<std::string, Topic> Store::topics() const {
  std::lock_guard lock(mutex_);
  return topics_.by_name;
}

Result<Topic> Store::PutTopic(const std::string& name, int32_t partitions) {
  std::lock_guard one_at_a_time(changing_topics_);
  Topics changed;
  {
    std::lock_guard lock(mutex_);
    const auto there = topics_.by_name.find(name);
    if (there != topics_.by_name.end()) return there->second;
    changed = topics_;
  }
  const Topic topic{changed.next_id++, std::vector<int64_t>(static_cast<size_t>(partitions), 0)};
  changed.by_name[name] = topic;
  MILLRACE_TRY(changed.Save(directory_));
  std::lock_guard lock(mutex_);
  Adopt(std::move(changed));
  return topic;
}

Status Store::RemoveTopic(const std::string& name, uint32_t id) {
  std::lock_guard one_at_a_time(changing_topics_);
  Topics changed;
  {
    std::lock_guard lock(mutex_);
    const auto there = topics_.by_name.find(name);
    if (there == topics_.by_name.end() || there->second.id != id) return {};
    changed = topics_;
  }
  changed.by_name.erase(name);
  MILLRACE_TRY(changed.Save(directory_));
  std::lock_guard lock(mutex_);
  Adopt(std::move(changed));
  return {};
}

Status Store::SetStart(PartitionKey key, int64_t start) {
  std::lock_guard one_at_a_time(changing_topics_);
  Topics changed;
  {
    std::lock_guard lock(mutex_);
    const auto now = StartOf(key);
    if (!now || start <= *now) return {};
    changed = topics_;
  }
  for (auto& [name, topic] : changed.by_name)
    if (topic.id == key.topic) topic.starts[static_cast<size_t>(key.partition)] = start;
  MILLRACE_TRY(changed.Save(directory_));
  std::lock_guard lock(mutex_);
  Adopt(std::move(changed));
  return {};
}

/// The newest segment stays, whatever it holds: its number must not be given again.
void Store::FreeSegments() {
  std::lock_guard one_at_a_time(changing_topics_);
  std::set<uint64_t> unused;
  {
    std::lock_guard lock(mutex_);
    for (auto& [key, runs] : runs_)
      std::erase_if(runs, [&, k = key](const Run& run) { return !Counts(k, run.span); });
    std::erase_if(runs_, [](const auto& partition) { return partition.second.empty(); });
    if (filled_.empty()) return;
    unused.insert(filled_.begin(), std::prev(filled_.end()));
    unused.erase(open_segment_);
    for (const auto& [key, runs] : runs_)
      for (const Run& run : runs) unused.erase(run.segment);
  }
  for (const uint64_t segment : unused) {
    // The index goes last: a segment without one would have to be read whole by the next start.
    std::error_code error;
    std::filesystem::remove(SegmentPath(directory_, segment), error);
    CrashPoint("log_embedded.segment.removed");
    if (!error) std::filesystem::remove(IndexPath(directory_, segment), error);
    if (error) {
      LogWarn("a file of the log that holds nothing any more was not removed",
              {{"path", SegmentPath(directory_, segment)}, {"error", error.message()}});
      continue;
    }
    cache_.Forget(segment);
    std::lock_guard lock(mutex_);
    filled_.erase(segment);
  }
}

Store::Extent Store::FindExtent(PartitionKey key) const {
  std::lock_guard lock(mutex_);
  const auto start = StartOf(key);
  if (!start) return {};
  // Where all was deleted, the next offset is known by the start alone.
  const auto at = runs_.find(key);
  if (at == runs_.end() || at->second.empty()) return {*start, *start};
  return {*start, at->second.back().span.end()};
}

void Store::Seal() {
  const auto name = std::filesystem::path(IndexPath(directory_, open_segment_)).filename();
  const Status saved = ReplaceFile(directory_, name, open_.Encode(open_segment_));
  if (!saved.ok()) {
    LogWarn("an index of the log was not written, the next start makes it",
            {{"segment", open_segment_}, {"error", saved.error().message}});
  }
  file_.reset();
  std::lock_guard lock(mutex_);
  open_segment_ = 0;
  open_ = SegmentIndex();
}

Status Store::BeginSegment() {
  const uint64_t segment = last_segment_ + 1;
  MILLRACE_ASSIGN(const auto file,
                  File::Open(SegmentPath(directory_, segment), File::Mode::kCreate));
  MILLRACE_TRY(file->Write(0, SegmentHead(segment)));
  MILLRACE_TRY(file->Sync());
  MILLRACE_TRY(SyncDirectory(directory_));
  file_ = file;
  size_ = kSegmentHead;
  last_segment_ = segment;
  std::lock_guard lock(mutex_);
  open_segment_ = segment;
  return {};
}

Status Store::MakeWritable() {
  if (failed_) {
    // Nobody was told that the rest is there, so it is taken away. Where the disk failed once it
    // may fail again: the next record goes to a new file.
    MILLRACE_TRY(file_->Truncate(size_));
    MILLRACE_TRY(file_->Sync());
    failed_ = false;
    if (size_ > kSegmentHead) Seal();
  }
  if (file_ && size_ >= segment_bytes_) Seal();
  if (!file_) MILLRACE_TRY(BeginSegment());
  return {};
}

Status Store::Commit(const std::vector<Write>& writes) {
  if (const Status ready = MakeWritable(); !ready.ok())
    return ResourceExhausted("the log could not be written: " + ready.error().message);
  std::map<PartitionKey, GroupPart> parts;
  for (const Write& w : writes) {
    GroupPart& part = parts.try_emplace(w.key, GroupPart{w.key, w.offset, 0}).first->second;
    part.count = w.offset + 1 - part.first;
  }
  std::vector<GroupPart> table;
  for (const auto& [key, part] : parts) table.push_back(part);
  GroupWriter group(last_segment_, size_, table);
  for (const Write& w : writes) group.Add(w.key, w.offset, w.append_time, *w.entry);
  failed_ = true;
  Status written = file_->Write(size_, group.bytes());
  if (written.ok()) written = file_->Sync();
  if (!written.ok()) {
    troubled_ = true;
    return Unavailable("the log could not be written: " + written.error().message);
  }
  failed_ = false;
  if (std::exchange(troubled_, false))
    LogInfo("the log is written again after a failed write", {{"directory", directory_}});
  size_ += group.bytes().size();

  std::lock_guard lock(mutex_);
  for (const GroupWriter::Placed& p : group.placed())
    open_.Add(p.key, p.offset, {static_cast<uint32_t>(p.position / 8), p.bytes, p.append_time});
  open_.covered = size_;
  filled_.insert(open_segment_);
  for (const auto& [key, part] : parts) {
    std::vector<Run>& runs = runs_[key];
    if (runs.empty() || runs.back().segment != open_segment_) runs.push_back({open_segment_, {}});
    runs.back().span = open_.Find(key)->span;
  }
  return {};
}

Error Store::Damaged(const std::string& what, PartitionKey key, int64_t offset) const {
  return Corruption(what, {{"topic_id", key.topic},
                           {"partition", key.partition},
                           {"offset", offset},
                           {"directory", directory_}});
}

Result<Store::Slice> Store::Find(PartitionKey key, int64_t from, int64_t end, size_t max_bytes) {
  Slice slice;
  slice.first = from;
  const auto take = [&](const std::vector<Entry>& entries, const Span& span) {
    const int64_t stop = std::min(end, span.end()) - span.first;
    size_t bytes = 0;
    for (int64_t i = from - span.first; i < stop && (bytes < max_bytes || bytes == 0); ++i) {
      slice.entries.push_back(entries[static_cast<size_t>(i)]);
      bytes += slice.entries.back().bytes;
    }
  };
  Run run;
  {
    std::lock_guard lock(mutex_);
    const auto partition = runs_.find(key);
    if (partition == runs_.end()) return Damaged("a record is missing", key, from);
    const std::vector<Run>& runs = partition->second;
    auto at = std::upper_bound(runs.begin(), runs.end(), from,
                               [](int64_t o, const Run& r) { return o < r.span.first; });
    if (at == runs.begin() || from >= (--at)->span.end())
      return Damaged("a record is missing", key, from);
    run = *at;
    slice.segment = run.segment;
    if (run.segment == open_segment_) {
      take(open_.Find(key)->entries, run.span);
      return slice;
    }
  }
  MILLRACE_ASSIGN(const auto entries, cache_.EntriesOf(run.segment, key, run.span));
  take(*entries, run.span);
  return slice;
}

Result<size_t> Store::ReadNear(const Slice& slice, size_t i, PartitionKey key,
                               std::unique_ptr<uint64_t[]>* scratch,
                               std::vector<LogRecord>* records) {
  const auto offset = [&](size_t n) { return slice.first + static_cast<int64_t>(n); };
  const uint64_t from = slice.entries[i].position();
  uint64_t end = from;
  uint64_t words = 0;
  size_t stop = i;
  for (; stop < slice.entries.size(); ++stop) {
    const Entry& e = slice.entries[stop];
    if (e.bytes == 0) break;
    if (stop > i && (e.position() < end || e.position() - end > kNear ||
                     e.position() + e.bytes - from > kReadBytes))
      break;
    end = e.position() + e.bytes;
    words += (e.bytes + 7) / 8;
  }
  if (stop == i) return Damaged("a record is damaged", key, offset(i));
  const auto opened = cache_.Segment(slice.segment);
  if (!opened.ok() && opened.error().code == Code::kCorruption)
    return Damaged(opened.error().message, key, offset(i));
  MILLRACE_ASSIGN(const std::shared_ptr<File> file, opened);
  // Where more than half is of other partitions, the frames are copied out of a scratch: a record
  // would else keep all that was read in memory.
  const uint64_t words_read = (end - from + 7) / 8;
  const bool copies = words < words_read / 2;
  const std::shared_ptr<uint64_t[]> buffer(new uint64_t[copies ? words : words_read]);
  if (copies && !*scratch) scratch->reset(new uint64_t[kReadBytes / 8]);
  char* const bytes = reinterpret_cast<char*>(copies ? scratch->get() : buffer.get());
  uint64_t* to = buffer.get();
  MILLRACE_ASSIGN(const size_t got, file->Read(from, bytes, end - from));
  for (size_t n = i; n < stop; ++n) {
    const Entry& e = slice.entries[n];
    const uint64_t at = e.position() - from;
    std::optional<FrameHead> head;
    if (at + e.bytes <= got) head = ReadHead({bytes + at, e.bytes}, slice.segment, e.position());
    if (!head || head->key != key || head->offset != offset(n) || head->bytes() != e.bytes) {
      if (n > i) return n - i;
      return Damaged("a record is damaged", key, offset(n));
    }
    std::string_view body(bytes + at + sizeof *head, e.bytes - sizeof *head);
    if (copies) {
      std::memcpy(to, body.data(), body.size());
      body = {reinterpret_cast<const char*>(to), body.size()};
      to += (body.size() + 7) / 8;
    }
    auto record = ReadRecord(*head, body, buffer);
    if (!record.ok()) {
      if (n > i) return n - i;
      return Damaged(record.error().message, key, offset(n));
    }
    records->push_back(std::move(*record));
  }
  return stop - i;
}

Result<std::vector<LogRecord>> Store::Scan(PartitionKey key, int64_t from, int64_t end,
                                           size_t max_bytes) {
  std::vector<LogRecord> records;
  std::unique_ptr<uint64_t[]> scratch;
  size_t bytes = 0;
  for (int64_t next = from; next < end && (bytes < max_bytes || records.empty());) {
    const Result<Slice> slice = Find(key, next, end, max_bytes - std::min(bytes, max_bytes));
    if (!slice.ok() && records.empty()) return slice.error();
    // What is good before the damage is read first; the next read begins at it.
    if (!slice.ok()) return records;
    records.reserve(records.size() + slice->entries.size());
    for (size_t i = 0; i < slice->entries.size();) {
      const Result<size_t> read = ReadNear(*slice, i, key, &scratch, &records);
      if (!read.ok() && records.empty()) return read.error();
      if (!read.ok()) return records;
      for (const size_t stop = i + *read; i < stop; ++i) bytes += slice->entries[i].bytes;
    }
    next = records.back().offset.value + 1;
  }
  return records;
}

Result<int64_t> Store::OffsetForTime(PartitionKey key, const Extent& extent, Micros t) {
  std::vector<Run> runs;
  {
    std::lock_guard lock(mutex_);
    if (const auto at = runs_.find(key); at != runs_.end())
      for (const Run& run : at->second)
        if (run.span.largest_time >= t) runs.push_back(run);
  }
  for (const Run& run : runs) {
    if (run.span.first >= extent.end) break;
    const int64_t from = std::max(extent.start, run.span.first);
    const int64_t end = std::min(extent.end, run.span.end());
    if (from >= end) continue;
    MILLRACE_ASSIGN(const Slice slice, Find(key, from, end, SIZE_MAX));
    for (size_t i = 0; i < slice.entries.size(); ++i) {
      if (slice.entries[i].append_time >= t) return slice.first + static_cast<int64_t>(i);
    }
  }
  return extent.end;
}

int64_t Store::Bytes(PartitionKey key, int64_t from) const {
  std::lock_guard lock(mutex_);
  const auto runs = runs_.find(key);
  if (runs == runs_.end()) return 0;
  double bytes = 0;
  for (const auto& [segment, span] : runs->second) {
    const int64_t records = std::min(span.count, span.end() - from);
    if (records > 0)
      bytes += static_cast<double>(span.bytes) * static_cast<double>(records) /
               static_cast<double>(span.count);
  }
  return std::llround(bytes);
}

}  // namespace millrace::log_embedded
