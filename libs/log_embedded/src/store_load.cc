#include "store.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <random>
#include <set>
#include <utility>

#include "directory_lock.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/base/system_error.h"

namespace millrace::log_embedded {
namespace {

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
  if (loaded.ok()) {
    // What a process that died had deleted and not freed yet.
    store->FreeSegments();
    return store;
  }
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
    Adopt(std::move(*topics));
    return {};
  }
  if (topics.error().code != Code::kNotFound) return topics.error();
  if (!is_new)
    return Corruption("the files that name the topics are missing", {{"path", directory_}});
  std::random_device random;
  for (uint32_t& word : topics_.identity) word = random();
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
    const auto& spans = (*index)->spans();
    const bool counts = std::any_of(spans.begin(), spans.end(), [&](const auto& part) {
      return Counts(part.first, part.second);
    });
    // Of one that is freed the index goes last, and a crash may leave it.
    if (counts && (missing || size < (*index)->covered())) {
      LogWarn("a file of the log is missing or cut, its records cannot be read",
              {{"path", SegmentPath(directory_, segment)},
               {"bytes", missing ? 0 : size},
               {"written", (*index)->covered()}});
    }
    for (const auto& [key, span] : spans) MILLRACE_TRY(AddRun(segment, key, span));
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
  filled_.insert(segment);
  if (!Counts(key, span)) return {};
  std::vector<Run>& runs = runs_[key];
  if (!runs.empty() && span.first < runs.back().span.end())
    return Corruption("two files of the log hold the same offsets",
                      {{"path", SegmentPath(directory_, segment)}});
  runs.push_back({segment, span});
  return {};
}

}  // namespace millrace::log_embedded
