#include "store.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "directory_lock.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/base/system_error.h"

namespace millrace::log_embedded {
namespace {

/// Frames so near each other are read with one call.
constexpr uint64_t kNear = 16 << 10;
/// What one call reads, unless one record is larger.
constexpr uint64_t kReadBytes = 256 << 10;

/// Numbers of the segments whose file or index is there.
Result<std::vector<uint64_t>> SegmentsIn(const std::string& directory) {
  std::set<uint64_t> numbers;
  std::error_code error;
  std::filesystem::directory_iterator at(directory, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    const auto& path = at->path();
    if (path.extension() != ".log" && path.extension() != ".index") continue;
    const std::string stem = path.stem();
    uint64_t number = 0;
    const auto parsed = std::from_chars(stem.data(), stem.data() + stem.size(), number);
    if (parsed.ptr == stem.data() + stem.size()) numbers.insert(number);
  }
  if (error) return SystemError("the log's directory cannot be read", error.value(), directory);
  return std::vector<uint64_t>(numbers.begin(), numbers.end());
}

}  // namespace

Store::Store(std::string directory, int lock_fd, uint64_t segment_bytes)
    : directory_(std::move(directory)),
      lock_fd_(lock_fd),
      segment_bytes_(segment_bytes),
      cache_(directory_) {}

Store::~Store() {
  // With its index a segment's end is known for certain, and the next start reads nothing of it.
  if (file_ && !failed_) Seal();
  close(lock_fd_);
}

Result<std::unique_ptr<Store>> Store::Open(const std::string& directory, uint64_t segment_bytes) {
  MILLRACE_ASSIGN(const int fd, LockDirectory(directory));
  std::unique_ptr<Store> store(new Store(directory, fd, segment_bytes));
  std::error_code ignored;
  if (std::filesystem::exists(directory + "/CURRENT", ignored))
    return InvalidArgument(
        "the log has a format that this program does not know: use the version that wrote it",
        {{"directory", directory}, {"format", 1}});
  MILLRACE_ASSIGN(const std::vector<uint64_t> numbers, SegmentsIn(directory));
  Status loaded = store->LoadTopics(numbers.empty());
  if (loaded.ok()) loaded = store->LoadSegments(numbers);
  if (loaded.ok()) return store;
  if (loaded.error().code == Code::kInvalidArgument) return loaded.error();
  const bool damaged = loaded.error().code == Code::kCorruption;
  return Error{loaded.error().code,
               std::string("the log does not open") +
                   (damaged ? ", restore the data directory from a copy" : "") + ": " +
                   loaded.error().message};
}

Status Store::LoadTopics(bool is_new) {
  Result<Topics> topics = Topics::Load(directory_);
  if (topics.ok()) {
    topics_ = std::move(*topics);
    return {};
  }
  if (topics.error().code != Code::kNotFound) return topics.error();
  if (!is_new)
    return Corruption("the files that name the topics are missing", {{"path", directory_}});
  return topics_.Save(directory_);
}

Status Store::LoadSegments(const std::vector<uint64_t>& numbers) {
  for (size_t i = 0; i < numbers.size(); ++i) {
    MILLRACE_TRY(i + 1 < numbers.size() ? LoadSealed(numbers[i]) : LoadLast(numbers[i]));
    last_segment_ = numbers[i];
  }
  return {};
}

/// The index as far as it is there and whole; an empty one if it is not.
Result<SegmentIndex> Store::LoadIndex(uint64_t segment) {
  const auto file = IndexFile::Open(IndexPath(directory_, segment), segment);
  if (!file.ok()) {
    if (file.error().code == Code::kUnavailable) return file.error();
    return SegmentIndex();
  }
  auto all = (*file)->All();
  if (!all.ok() && all.error().code == Code::kCorruption) return SegmentIndex();
  return all;
}

Status Store::LoadSealed(uint64_t segment) {
  const auto index = IndexFile::Open(IndexPath(directory_, segment), segment);
  if (!index.ok() && index.error().code == Code::kUnavailable) return index.error();
  std::error_code missing;
  const uint64_t size = std::filesystem::file_size(SegmentPath(directory_, segment), missing);
  if (index.ok() && (missing || size <= (*index)->covered())) {
    if (missing || size < (*index)->covered()) {
      LogWarn("a file of the log is missing or cut, its records cannot be read",
              {{"path", SegmentPath(directory_, segment)},
               {"bytes", missing ? 0 : size},
               {"written", (*index)->covered()}});
    }
    for (const auto& [key, span] : (*index)->spans()) MILLRACE_TRY(AddRun(segment, key, span));
    return {};
  }
  MILLRACE_ASSIGN(SegmentIndex all, LoadIndex(segment));
  MILLRACE_ASSIGN(const auto file, File::Open(SegmentPath(directory_, segment), File::Mode::kRead));
  MILLRACE_TRY(Walk(*file, segment, true, &all));
  LogWarn("an index of the log was missing or damaged and is made again",
          {{"path", IndexPath(directory_, segment)}});
  ReplaceFile(directory_, std::filesystem::path(IndexPath(directory_, segment)).filename(),
              all.Encode(segment))
      .Ignore("the next start makes it");
  for (const auto& [key, part] : all.parts()) MILLRACE_TRY(AddRun(segment, key, part.span));
  return {};
}

Status Store::LoadLast(uint64_t segment) {
  const std::string path = SegmentPath(directory_, segment);
  MILLRACE_ASSIGN(SegmentIndex index, LoadIndex(segment));
  const auto file = File::Open(path, File::Mode::kAppend);
  if (!file.ok() && file.error().code == Code::kNotFound) return LoadSealed(segment);
  if (!file.ok()) return file.error();
  MILLRACE_TRY(CheckSegmentHead(**file));
  const uint64_t covered = index.covered;
  MILLRACE_ASSIGN(const Walked walked, Walk(**file, segment, false, &index));
  if (walked.size > walked.end) {
    dropped_bytes_ = walked.size - walked.end;
    LogWarn(
        "the end of the log was not whole and is dropped: usually a write that was cut off before "
        "it was acknowledged, or else a damaged file",
        {{"path", path}, {"bytes", dropped_bytes_}, {"kept", walked.end}});
    MILLRACE_TRY((*file)->Truncate(walked.end));
  }
  // What the last process wrote and did not sync becomes readable now, so it must be durable.
  MILLRACE_TRY((*file)->Sync());
  const bool cut = walked.size < covered && walked.size > 0;
  if (cut || walked.damaged > 0) {
    LogWarn("a file of the log is cut or damaged, some of its records cannot be read",
            {{"path", path},
             {"bytes", walked.size},
             {"written", std::max(covered, walked.size)},
             {"damaged", walked.damaged}});
  }
  for (const auto& [key, part] : index.parts()) MILLRACE_TRY(AddRun(segment, key, part.span));
  if (walked.end < kSegmentHead || walked.size < covered) return {};
  file_ = *file;
  size_ = walked.end;
  open_segment_ = segment;
  open_ = std::move(index);
  return {};
}

Status Store::AddRun(uint64_t segment, PartitionKey key, const Span& span) {
  if (span.count == 0) return {};
  const auto is_it = [&](const auto& topic) { return topic.second.id == key.topic; };
  // Records of a topic that was removed are nobody's.
  if (std::none_of(topics_.by_name.begin(), topics_.by_name.end(), is_it)) return {};
  std::vector<Run>& runs = runs_[key];
  if (!runs.empty() && span.first < runs.back().span.end())
    return Corruption("two files of the log hold the same offsets",
                      {{"path", SegmentPath(directory_, segment)}});
  runs.push_back({segment, span});
  return {};
}

std::map<std::string, Topic> Store::topics() const {
  std::lock_guard lock(mutex_);
  return topics_.by_name;
}

Result<Topic> Store::PutTopic(const std::string& name, int32_t partitions) {
  std::lock_guard one_at_a_time(making_topic_);
  Topics changed;
  {
    std::lock_guard lock(mutex_);
    const auto there = topics_.by_name.find(name);
    if (there != topics_.by_name.end()) return there->second;
    changed = topics_;
  }
  const Topic topic{changed.next_id++, partitions};
  changed.by_name[name] = topic;
  MILLRACE_TRY(changed.Save(directory_));
  std::lock_guard lock(mutex_);
  topics_ = std::move(changed);
  return topic;
}

Status Store::RemoveTopic(const std::string& name, uint32_t id) {
  std::lock_guard one_at_a_time(making_topic_);
  Topics changed;
  {
    std::lock_guard lock(mutex_);
    const auto there = topics_.by_name.find(name);
    if (there == topics_.by_name.end() || there->second.id != id) return {};
    changed = topics_;
  }
  changed.by_name.erase(name);
  MILLRACE_TRY(changed.Save(directory_));
  {
    std::lock_guard lock(mutex_);
    topics_ = std::move(changed);
    std::erase_if(runs_, [&](const auto& partition) { return partition.first.topic == id; });
  }
  RemoveUnusedSegments();
  return {};
}

/// The newest segment stays, whatever it holds: its number must not be given again.
void Store::RemoveUnusedSegments() {
  const auto numbers = SegmentsIn(directory_);
  if (!numbers.ok() || numbers->empty()) return;
  std::set<uint64_t> unused(numbers->begin(), std::prev(numbers->end()));
  {
    std::lock_guard lock(mutex_);
    unused.erase(open_segment_);
    for (const auto& [key, runs] : runs_)
      for (const Run& run : runs) unused.erase(run.segment);
  }
  for (const uint64_t segment : unused) {
    std::error_code error;
    std::filesystem::remove(SegmentPath(directory_, segment), error);
    if (!error) std::filesystem::remove(IndexPath(directory_, segment), error);
    if (error) {
      LogWarn("a file of the log that holds nothing any more was not removed",
              {{"path", SegmentPath(directory_, segment)}, {"error", error.message()}});
    }
  }
}

Store::Extent Store::FindExtent(PartitionKey key) const {
  std::lock_guard lock(mutex_);
  const auto at = runs_.find(key);
  if (at == runs_.end() || at->second.empty()) return {};
  return {at->second.front().span.first, at->second.back().span.end()};
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
    const std::vector<Run>& runs = runs_[key];
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

Result<int64_t> Store::OffsetForTime(PartitionKey key, int64_t end, Micros t) {
  std::vector<Run> runs;
  {
    std::lock_guard lock(mutex_);
    for (const Run& run : runs_[key])
      if (run.span.largest_time >= t) runs.push_back(run);
  }
  for (const Run& run : runs) {
    if (run.span.first >= end) break;
    MILLRACE_ASSIGN(const Slice slice,
                    Find(key, run.span.first, std::min(end, run.span.end()), SIZE_MAX));
    for (size_t i = 0; i < slice.entries.size(); ++i) {
      if (slice.entries[i].append_time >= t) return slice.first + static_cast<int64_t>(i);
    }
  }
  return end;
}

}  // namespace millrace::log_embedded
