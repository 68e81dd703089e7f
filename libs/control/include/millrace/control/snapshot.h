#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "millrace/control/fold.h"

namespace millrace::control {

/// Bytes of the fold that one Snapshot record carries at most: every body of the log takes records
/// of this size.
inline constexpr size_t kSnapshotChunkBytes = 1 << 20;

/// A fold as bytes. Something must have been folded.
struct FoldImage {
  Offset at;  ///< of the last record folded
  Hash128 hash;
  std::string bytes;

  explicit FoldImage(const Fold& fold);
};

/// Remembers what a fold was at fixed places, where every process that reads the log looks at its
/// own: at each record that crosses a multiple of `interval` offsets. So all of them have an image
/// of the same place, and a snapshot of the leader tells each whether it read the same log.
class FoldImages {
 public:
  explicit FoldImages(int64_t interval) : interval_(interval) {}

  /// Call it after each record; `before` is what fold.next_offset() was.
  void Note(Offset before, const Fold& fold);
  /// The last one; nullptr before the first place.
  const FoldImage* last() const { return last_ ? &*last_ : nullptr; }
  /// False: this process had another fold at the snapshot's place.
  bool Agrees(const Snapshot& snapshot) const;

 private:
  int64_t interval_;
  std::optional<FoldImage> last_;
  std::map<Offset, Hash128> hashes_;  ///< of the last two
};

/// An image as Snapshot records, in order, each with at most `chunk_bytes` of it. Whoever appends
/// them stamps them.
std::vector<Snapshot> CutSnapshot(const FoldImage& image, size_t chunk_bytes);

/// Which snapshot a chunk belongs to.
struct SnapshotId {
  int64_t n = 0;
  Offset at;
  Hash128 hash;
  int32_t chunks = 0;

  explicit SnapshotId(const Snapshot& s) : n(s.by.n), at(s.at), hash(s.hash), chunks(s.chunks) {}
  friend bool operator==(const SnapshotId&, const SnapshotId&) = default;
};

/// Which snapshots are whole: every chunk was valid. Follows one at a time, the one begun last: a
/// leader writes them one by one.
class WholeSnapshots {
 public:
  void Note(Verdict verdict, const Record& record);
  /// Where the last one was taken, and the one before it.
  std::optional<Offset> last() const { return last_; }
  std::optional<Offset> last_but_one() const { return last_but_one_; }

 private:
  std::optional<Offset> last_;
  std::optional<Offset> last_but_one_;
  std::optional<SnapshotId> following_;
  std::set<int32_t> valid_;  ///< chunks of it
};

}  // namespace millrace::control
