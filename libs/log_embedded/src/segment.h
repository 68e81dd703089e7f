#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "file.h"
#include "frame.h"

namespace millrace::log_embedded {

/// A segment file's first bytes; frames follow.
constexpr uint64_t kSegmentHead = 32;
std::string SegmentHead(uint64_t segment);
/// kInvalidArgument: another version of the format. A damaged head is taken for one of this
/// version: every frame says itself whether it is one.
Status CheckSegmentHead(const File& file);

/// Where a record's frame lies. `bytes` 0: the frame was not found, its record is damaged.
struct Entry {
  uint32_t eighths = 0;  ///< of its position: frames stand at multiples of 8
  uint32_t bytes = 0;
  Micros append_time = kMinusInfinity;

  uint64_t position() const { return uint64_t{eighths} * 8; }
};
static_assert(sizeof(Entry) == 16);

/// The records that a segment has of one partition: offsets [first, first + count).
struct Span {
  int64_t first = 0;
  int64_t count = 0;
  Micros largest_time = kMinusInfinity;
  int64_t bytes = 0;  ///< of the frames that were found

  int64_t end() const { return first + count; }
};

/// Spans and entries of one segment up to `covered`: what its index file holds, or more.
class SegmentIndex {
 public:
  struct Part {
    Span span;
    std::vector<Entry> entries;  ///< by offset - span.first
  };

  uint64_t covered = kSegmentHead;

  const std::map<PartitionKey, Part>& parts() const { return parts_; }
  const Part* Find(PartitionKey key) const;
  void Add(PartitionKey key, int64_t offset, const Entry& entry);
  /// A durable group has these records, whether or not their frames are found.
  void Expect(const GroupPart& part);

  /// The bytes of an index file.
  std::string Encode(uint64_t segment) const;

 private:
  Part& Grown(PartitionKey key, int64_t first, int64_t end);

  std::map<PartitionKey, Part> parts_;
};

/// An index file, which is a cache: whatever is wrong with it, the segment itself has it all.
class IndexFile {
 public:
  /// Reads the spans. kCorruption: damaged, or of another segment.
  static Result<std::unique_ptr<IndexFile>> Open(const std::string& path, uint64_t segment);

  uint64_t covered() const { return covered_; }
  const std::map<PartitionKey, Span>& spans() const { return spans_; }
  /// Reads the entries of one partition, or all. kCorruption: damaged.
  Result<std::vector<Entry>> Entries(PartitionKey key) const;
  Result<SegmentIndex> All() const;

 private:
  struct Place {
    uint64_t position = 0;
    uint32_t crc = 0;
  };

  std::shared_ptr<File> file_;
  uint64_t covered_ = 0;
  std::map<PartitionKey, Span> spans_;
  std::map<PartitionKey, Place> places_;
};

/// What a walk through a segment found.
struct Walked {
  uint64_t end = 0;      ///< behind the last frame that counts
  uint64_t size = 0;     ///< of the file
  uint64_t damaged = 0;  ///< bytes before `end` that are no frame
};

/// Adds to `index` what the segment holds from `index->covered` on.
///
/// `sealed`: all of the file was durable once. Otherwise what is behind the last durable position
/// counts only up to the first frame that is not whole: a write that was cut off leaves such, and
/// nothing behind it was acknowledged.
Result<Walked> Walk(const File& file, uint64_t segment, bool sealed, SegmentIndex* index);

}  // namespace millrace::log_embedded
