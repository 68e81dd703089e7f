#include "segment.h"

#include <algorithm>
#include <cstring>

#include "millrace/base/bytes.h"
#include "millrace/base/facts.h"
#include "millrace/base/hash.h"

namespace millrace::log_embedded {
namespace {

constexpr uint32_t kFormatVersion = 2;
constexpr std::string_view kSegmentMagic = "millrlog";
constexpr uint32_t kIndexMagic = 0x3358524d;  // "MRX3"
constexpr size_t kIndexHead = 2 * sizeof(uint32_t) + 3 * sizeof(uint64_t);
constexpr size_t kIndexRow = sizeof(PartitionKey) + sizeof(Span) + 2 * sizeof(uint64_t);
constexpr size_t kChunk = 1 << 20;

/// Reads a file in large pieces.
class Window {
 public:
  Window(const File& file, uint64_t size) : file_(file), size_(size) {}

  /// Up to `n` bytes at `position`: fewer only at the file's end.
  Result<std::string_view> At(uint64_t position, uint64_t n) {
    n = position < size_ ? std::min(n, size_ - position) : 0;
    if (position < from_ || position + n > from_ + bytes_.size()) {
      bytes_.resize(std::max<uint64_t>(n, std::min<uint64_t>(kChunk, size_ - position)));
      from_ = position;
      MILLRACE_ASSIGN(const size_t got, file_.Read(position, bytes_.data(), bytes_.size()));
      bytes_.resize(got);
    }
    return std::string_view(bytes_).substr(position - from_, n);
  }

 private:
  const File& file_;
  const uint64_t size_;
  uint64_t from_ = 0;
  std::string bytes_;
};

/// The walk of one segment, frame by frame.
class Walker {
 public:
  Walker(const File& file, uint64_t segment, uint64_t size)
      : segment_(segment), size_(size), window_(file, size) {}

  /// The head at `position`, if there is one whose frame ends within the file.
  Result<std::optional<FrameHead>> HeadAt(uint64_t position) {
    MILLRACE_ASSIGN(const std::string_view bytes, window_.At(position, sizeof(FrameHead)));
    auto head = ReadHead(bytes, segment_, position);
    if (head && position + head->bytes() > size_) head.reset();
    return head;
  }
  Result<std::string_view> BodyAt(uint64_t position, const FrameHead& head) {
    return window_.At(position + sizeof head, head.bytes() - sizeof head);
  }
  /// The first place behind `position` that has a head; the file's end if there is none.
  Result<uint64_t> NextHead(uint64_t position) {
    for (position += 8; position + sizeof(FrameHead) <= size_; position += 8) {
      MILLRACE_ASSIGN(const auto head, HeadAt(position));
      if (head) return position;
    }
    return size_;
  }

 private:
  const uint64_t segment_;
  const uint64_t size_;
  Window window_;
};

/// Below it everything was durable: each group says so of what stands before it.
Result<uint64_t> DurableEnd(Walker* walker, uint64_t from, uint64_t size) {
  uint64_t durable = from;
  for (uint64_t at = from; at < size;) {
    MILLRACE_ASSIGN(const auto head, walker->HeadAt(at));
    if (!head) {
      MILLRACE_ASSIGN(at, walker->NextHead(at));
      continue;
    }
    if (head->kind == FrameHead::kGroup)
      durable = std::max(durable, static_cast<uint64_t>(head->offset));
    at += head->bytes();
  }
  return durable;
}

}  // namespace

std::string SegmentHead(uint64_t segment) {
  std::string bytes(kSegmentMagic);
  ByteWriter w(&bytes);
  w.Fixed(kFormatVersion);
  w.Fixed(uint32_t{0});
  w.Fixed(segment);
  w.Fixed(Crc32c(bytes));
  w.Fixed(uint32_t{0});
  return bytes;
}

Status CheckSegmentHead(const File& file) {
  std::string bytes(kSegmentHead, '\0');
  MILLRACE_ASSIGN(const size_t got, file.Read(0, bytes.data(), bytes.size()));
  constexpr size_t kCrcAt = 24;
  ByteReader r(std::string_view(bytes).substr(kCrcAt));
  if (got != kSegmentHead || !bytes.starts_with(kSegmentMagic) ||
      r.Fixed<uint32_t>() != Crc32c(std::string_view(bytes).substr(0, kCrcAt)))
    return {};
  const auto version =
      ByteReader(std::string_view(bytes).substr(kSegmentMagic.size())).Fixed<uint32_t>();
  if (version == kFormatVersion) return {};
  return InvalidArgument(
      "the log has a format that this program does not know: use the version that wrote it",
      {{"path", file.path()}, {"format", version}});
}

const SegmentIndex::Part* SegmentIndex::Find(PartitionKey key) const {
  const auto at = parts_.find(key);
  return at == parts_.end() ? nullptr : &at->second;
}

SegmentIndex::Part& SegmentIndex::Grown(PartitionKey key, int64_t first, int64_t end) {
  Part& part = parts_[key];
  if (part.entries.empty()) part.span.first = first;
  part.span.count = std::max(part.span.count, end - part.span.first);
  part.entries.resize(static_cast<size_t>(part.span.count));
  return part;
}

void SegmentIndex::Add(PartitionKey key, int64_t offset, const Entry& entry) {
  Part& part = Grown(key, offset, offset + 1);
  // A frame from before the span cannot be there; one that claims to be is not believed.
  if (offset < part.span.first) return;
  Entry& place = part.entries[static_cast<size_t>(offset - part.span.first)];
  part.span.bytes += int64_t{entry.bytes} - int64_t{place.bytes};
  place = entry;
  part.span.largest_time = std::max(part.span.largest_time, entry.append_time);
}

void SegmentIndex::Expect(const GroupPart& part) {
  Grown(part.key, part.first, part.first + part.count);
}

std::string SegmentIndex::Encode(uint64_t segment) const {
  std::string table;
  std::string entries;
  ByteWriter w(&table);
  const uint64_t entries_at = kIndexHead + parts_.size() * kIndexRow;
  w.Fixed(segment);
  w.Fixed(uint64_t{covered});
  w.Fixed(uint64_t{parts_.size()});
  for (const auto& [key, part] : parts_) {
    const std::string_view bytes(reinterpret_cast<const char*>(part.entries.data()),
                                 part.entries.size() * sizeof(Entry));
    w.Fixed(key);
    w.Fixed(part.span);
    w.Fixed(uint64_t{entries_at + entries.size()});
    w.Fixed(uint64_t{Crc32c(bytes)});
    entries += bytes;
  }
  std::string head;
  ByteWriter h(&head);
  h.Fixed(kIndexMagic);
  h.Fixed(Crc32c(table));
  return head + table + entries;
}

Result<std::unique_ptr<IndexFile>> IndexFile::Open(const std::string& path, uint64_t segment) {
  auto index = std::make_unique<IndexFile>();
  MILLRACE_ASSIGN(index->file_, File::Open(path, File::Mode::kRead));
  MILLRACE_ASSIGN(const uint64_t size, index->file_->Size());
  const Error damaged = Corruption("an index of the log is damaged", {{"path", path}});
  const auto read = [&](uint64_t position, uint64_t n) -> Result<std::string> {
    if (position > size || n > size - position) return damaged;
    std::string bytes(n, '\0');
    MILLRACE_ASSIGN(const size_t got, index->file_->Read(position, bytes.data(), n));
    if (got != n) return damaged;
    return bytes;
  };
  MILLRACE_ASSIGN(const std::string head, read(0, kIndexHead));
  ByteReader h(head);
  const auto magic = h.Fixed<uint32_t>();
  const auto crc = h.Fixed<uint32_t>();
  const auto number = h.Fixed<uint64_t>();
  index->covered_ = h.Fixed<uint64_t>();
  const auto rows = h.Fixed<uint64_t>();
  if (magic != kIndexMagic || number != segment || rows > size / kIndexRow) return damaged;
  MILLRACE_ASSIGN(const std::string table, read(kIndexHead, rows * kIndexRow));
  const uint32_t head_crc = Crc32c(std::string_view(head).substr(2 * sizeof(uint32_t)));
  if (Crc32c(table, head_crc) != crc) return damaged;
  ByteReader r(table);
  for (uint64_t i = 0; i < rows; ++i) {
    const auto key = r.Fixed<PartitionKey>();
    index->spans_[key] = r.Fixed<Span>();
    Place& place = index->places_[key];
    place.position = r.Fixed<uint64_t>();
    place.crc = static_cast<uint32_t>(r.Fixed<uint64_t>());
  }
  return index;
}

Result<std::vector<Entry>> IndexFile::Entries(PartitionKey key) const {
  const auto span = spans_.find(key);
  if (span == spans_.end()) return std::vector<Entry>();
  const Place& place = places_.at(key);
  std::vector<Entry> entries(static_cast<size_t>(span->second.count));
  char* const to = reinterpret_cast<char*>(entries.data());
  const size_t n = entries.size() * sizeof(Entry);
  MILLRACE_ASSIGN(const size_t got, file_->Read(place.position, to, n));
  if (got != n || Crc32c({to, n}) != place.crc)
    return Corruption("an index of the log is damaged", {{"path", file_->path()}});
  return entries;
}

Result<SegmentIndex> IndexFile::All() const {
  SegmentIndex all;
  for (const auto& [key, span] : spans_) {
    MILLRACE_ASSIGN(const std::vector<Entry> entries, Entries(key));
    all.Expect({key, span.first, span.count});
    for (size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].bytes > 0) all.Add(key, span.first + static_cast<int64_t>(i), entries[i]);
    }
  }
  all.covered = covered_;
  return all;
}

Result<Walked> Walk(const File& file, uint64_t segment, bool sealed, SegmentIndex* index) {
  Walked walked;
  MILLRACE_ASSIGN(walked.size, file.Size());
  Walker walker(file, segment, walked.size);
  const uint64_t from = index->covered;
  uint64_t durable = walked.size;
  if (!sealed) {
    MILLRACE_ASSIGN(durable, DurableEnd(&walker, from, walked.size));
  }
  uint64_t at = from;
  while (at < walked.size) {
    MILLRACE_ASSIGN(const auto head, walker.HeadAt(at));
    if (!head) {
      if (at >= durable) break;
      MILLRACE_ASSIGN(const uint64_t next, walker.NextHead(at));
      walked.damaged += next - at;
      at = next;
      continue;
    }
    MILLRACE_ASSIGN(const std::string_view body, walker.BodyAt(at, *head));
    if (at >= durable && !BodyIsWhole(*head, body)) break;
    if (head->kind == FrameHead::kGroup) {
      const auto parts = ReadGroup(*head, body);
      // Of the last group only what is there counts.
      for (const GroupPart& part : parts.value_or(std::vector<GroupPart>()))
        if (at < durable) index->Expect(part);
    } else {
      index->Add(
          head->key, head->offset,
          {static_cast<uint32_t>(at / 8), static_cast<uint32_t>(head->bytes()), head->append_time});
    }
    at += head->bytes();
  }
  walked.end = index->covered = std::min(at, walked.size);
  return walked;
}

}  // namespace millrace::log_embedded
