#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "millrace/log/log.h"
#include "segment_cache.h"
#include "topics.h"

namespace millrace::log_embedded {

/// What lies on disk: topics, and segments of records (docs/formats/log.md). A writer writes the
/// last segment only and reads none, so damage of what is there already never keeps it from
/// writing. Every call blocks.
///
/// Threads: Commit one at a time; the rest any, at any time.
class Store {
 public:
  /// Where a partition stands: records [start, end).
  struct Extent {
    int64_t start = 0;
    int64_t end = 0;
  };
  struct Write {
    PartitionKey key;
    int64_t offset = 0;
    Micros append_time = 0;
    const LogEntry* entry = nullptr;
  };

  /// Errors as EmbeddedLog::Open.
  static Result<std::unique_ptr<Store>> Open(const std::string& directory, uint64_t segment_bytes);
  ~Store();

  std::map<std::string, Topic> topics() const;
  /// What is stored under the name, or else a new topic whose id no other ever had.
  Result<Topic> PutTopic(const std::string& name, int32_t partitions);
  /// Takes the topic away. Nothing if the name belongs to another id.
  Status RemoveTopic(const std::string& name, uint32_t id);
  /// Records below `start` mean nothing from now on, also after a restart. Nothing if it is not
  /// above the present start.
  Status SetStart(PartitionKey key, int64_t start);
  /// Deletes segments whose records all mean nothing any more, but for the newest.
  void FreeSegments();
  std::string identity() const;
  Extent FindExtent(PartitionKey key) const;
  /// Bytes behind the last whole write that Open found and dropped.
  uint64_t dropped_bytes() const { return dropped_bytes_; }

  /// Makes all of `writes` durable and readable. kResourceExhausted: nothing was written.
  /// kUnavailable: some may have been, and are taken back before the next group is written.
  Status Commit(const std::vector<Write>& writes);

  /// Records [from, end) up to about max_bytes, at least one. kCorruption names the offset.
  Result<std::vector<LogRecord>> Scan(PartitionKey key, int64_t from, int64_t end,
                                      size_t max_bytes);
  /// The first offset of `extent` whose record has append time >= t, or its end.
  Result<int64_t> OffsetForTime(PartitionKey key, const Extent& extent, Micros t);
  /// Bytes of the frames of records at `from` and above. Within a segment every record counts as
  /// one of its average size.
  int64_t Bytes(PartitionKey key, int64_t from) const;

 private:
  struct Run {
    uint64_t segment = 0;
    Span span;
  };
  /// Consecutive entries of one segment, the first for offset `first`.
  struct Slice {
    uint64_t segment = 0;
    int64_t first = 0;
    std::vector<Entry> entries;
  };

  Store(std::string directory, int lock_fd, uint64_t segment_bytes);

  Status LoadTopics(bool is_new);
  Status LoadSegments(const std::vector<uint64_t>& numbers);
  Status LoadSealed(uint64_t segment);
  Status LoadLast(uint64_t segment);
  Result<SegmentIndex> LoadIndex(uint64_t segment);
  Status AddRun(uint64_t segment, PartitionKey key, const Span& span);
  /// Whether some record of the span can still be asked for.
  bool Counts(PartitionKey key, const Span& span) const;
  void Adopt(Topics topics);
  /// Where the partition starts, if its topic stands.
  std::optional<int64_t> StartOf(PartitionKey key) const;

  Status MakeWritable();
  Status BeginSegment();
  void Seal();
  Result<Slice> Find(PartitionKey key, int64_t from, int64_t end, size_t max_bytes);
  /// Reads records of a slice from entry `i` on that lie near each other, up to the first that is
  /// damaged; gives how many entries that were. `scratch`: for the calls of one scan.
  Result<size_t> ReadNear(const Slice& slice, size_t i, PartitionKey key,
                          std::unique_ptr<uint64_t[]>* scratch, std::vector<LogRecord>* records);
  Error Damaged(const std::string& what, PartitionKey key, int64_t offset) const;

  const std::string directory_;
  const int lock_fd_;
  const uint64_t segment_bytes_;
  SegmentCache cache_;
  uint64_t dropped_bytes_ = 0;

  /// The committer's own: the segment that is written, if there is one, and its durable bytes.
  std::shared_ptr<File> file_;
  uint64_t size_ = 0;
  uint64_t last_segment_ = 0;
  /// Behind `size_` may stand what a failed write left.
  bool failed_ = false;
  /// A write failed and none has succeeded since.
  bool troubled_ = false;

  std::mutex changing_topics_;
  mutable std::mutex mutex_;  ///< guards what follows
  Topics topics_;
  std::map<PartitionKey, int64_t> starts_;  ///< as in topics_
  std::map<PartitionKey, std::vector<Run>> runs_;
  /// Segments that have or had records. One that is not known to have had any is damaged rather
  /// than empty, and stays.
  std::set<uint64_t> filled_;
  /// The segment that is written, and what it holds.
  uint64_t open_segment_ = 0;
  SegmentIndex open_;
};

}  // namespace millrace::log_embedded
