#pragma once

#include <optional>
#include <set>
#include <vector>

#include "millrace/control/fold.h"

namespace millrace::control {

/// Bytes of the fold that one Snapshot record carries at most: every body of the log takes records
/// of this size.
inline constexpr size_t kSnapshotChunkBytes = 1 << 20;

/// The fold as Snapshot records, in order, each with at most `chunk_bytes` of it. Whoever appends
/// them stamps them. Something must have been folded.
std::vector<Snapshot> CutSnapshot(const Fold& fold, size_t chunk_bytes);

/// Which snapshot a chunk belongs to.
struct SnapshotId {
  int64_t n = 0;
  Offset at;
  Hash128 hash;
  int32_t chunks = 0;

  explicit SnapshotId(const Snapshot& s) : n(s.by.n), at(s.at), hash(s.hash), chunks(s.chunks) {}
  friend bool operator==(const SnapshotId&, const SnapshotId&) = default;
};

/// Counts, for whoever writes the next one, what came since the last whole snapshot: one of which
/// every chunk was valid. Follows one snapshot at a time, the one begun last: a leader writes them
/// one by one.
class SnapshotCounter {
 public:
  void Note(Verdict verdict, const Record& record);
  int64_t records_since() const { return records_since_; }
  /// Where the last whole snapshot but one was taken; nothing until there are two.
  std::optional<Offset> last_but_one() const { return last_but_one_; }

 private:
  int64_t records_since_ = 0;
  std::optional<Offset> last_;  ///< where the last whole snapshot was taken
  std::optional<Offset> last_but_one_;
  std::optional<SnapshotId> following_;
  std::set<int32_t> valid_;  ///< chunks of it
};

}  // namespace millrace::control
