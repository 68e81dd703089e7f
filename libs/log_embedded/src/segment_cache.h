#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "segment.h"

namespace millrace::log_embedded {

std::string SegmentPath(const std::string& directory, uint64_t segment);
std::string IndexPath(const std::string& directory, uint64_t segment);

/// Open segments and entries that readers used last. Threads: any.
class SegmentCache {
 public:
  /// Files that are open at a time, and bytes of entries that are held.
  static constexpr size_t kMaxFiles = 64;
  static constexpr size_t kMaxBytes = 64 << 20;

  using Entries = std::shared_ptr<const std::vector<Entry>>;

  explicit SegmentCache(std::string directory) : directory_(std::move(directory)) {}

  /// kCorruption: the segment is not there.
  Result<std::shared_ptr<File>> Segment(uint64_t segment);
  /// The first `span.count` entries, or more: from the index file, or from the segment itself if
  /// that one is damaged or does not reach so far.
  Result<Entries> EntriesOf(uint64_t segment, PartitionKey key, const Span& span);
  /// Lets go of a segment whose files were removed: a file that is open keeps its space.
  void Forget(uint64_t segment);

 private:
  using Key = std::pair<uint64_t, PartitionKey>;

  Result<std::vector<Entry>> Read(uint64_t segment, PartitionKey key, const Span& span);

  const std::string directory_;
  std::mutex mutex_;
  std::list<std::pair<uint64_t, std::shared_ptr<File>>> files_;  ///< the last used first
  std::list<std::pair<Key, Entries>> entries_;                   ///< the same
  size_t bytes_ = 0;
};

}  // namespace millrace::log_embedded
