#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "millrace/model/column.h"

namespace millrace::window {

/// A fast hash of short byte strings; the table's only use of it is to find ids, so its values
/// reach no output. Words are read where they lie, the last one overlapping the one before, and
/// mixed by the halves of a 128-bit product (as in Wang Yi's wyhash).
inline uint64_t HashKey(std::string_view key) {
  constexpr uint64_t kA = 0xa0761d6478bd642fULL;
  constexpr uint64_t kB = 0xe7037ed1a0b428dbULL;
  const auto load = []<typename T>(const char* p, T v) {
    std::memcpy(&v, p, sizeof v);
    return uint64_t{v};
  };
  const auto mix = [](uint64_t a, uint64_t b) {
    const UInt128 p = static_cast<UInt128>(a) * b;
    return static_cast<uint64_t>(p) ^ static_cast<uint64_t>(p >> 64);
  };
  const char* p = key.data();
  const size_t n = key.size();
  // Spread, so that no byte of a key can undo a difference of lengths.
  const uint64_t length = n * kB;
  if (n >= 8 && n <= 16)
    return mix(load(p, uint64_t{}) ^ kA, load(p + n - 8, uint64_t{}) ^ kB ^ length);
  uint64_t h = kA ^ length;
  uint64_t last = 0;
  if (n > 16) {
    for (size_t i = 0; i + 8 < n; i += 8) h = mix(h ^ load(p + i, uint64_t{}), kB);
    last = load(p + n - 8, uint64_t{});
  } else if (n >= 4) {
    last = load(p, uint32_t{}) << 32 | load(p + n - 4, uint32_t{});
  } else if (n > 0) {
    last = load(p, uint8_t{}) << 16 | load(p + n / 2, uint8_t{}) << 8 | load(p + n - 1, uint8_t{});
  }
  return mix(h ^ last, kA ^ kB);
}

/// A run of ids and their keys, copied on write.
struct KeyPage {
  static constexpr uint32_t kSize = 1024;
  uint64_t epoch = 0;
  std::array<std::string_view, kSize> keys;
};

/// Gives every distinct group key a small dense id, for as long as some table of groups holds it.
/// Ids are reused and never reach any output; rank() orders them as the key bytes are ordered.
class KeyTable {
 public:
  using Id = uint32_t;

  KeyTable();

  /// The id of `key`, new if it was not there. `hash` is HashKey(key).
  Id Intern(std::string_view key, uint64_t hash);
  /// The ids of a batch of keys: key i is keys[ends[i - 1], ends[i]). kNone: it is not there, or
  /// (once in billions) another key with the same tag hides it; Intern tells. The look-ups run
  /// beside each other, so that their cache misses overlap.
  void Find(const std::string& keys, const std::vector<uint32_t>& ends,
            const std::vector<uint64_t>& hashes, std::vector<Id>* ids) const;
  static constexpr Id kNone = ~Id{0};

  /// References keep a key. Keys without one are kept too, for the next window that has them, as
  /// long as the table is no more than twice what was referenced at once in this span of time or
  /// the one before; Collect() then forgets them.
  void Ref(Id id) {
    if (refs_[id]++ == 0 && live_ - --unused_ > peak_) peak_ = live_ - unused_;
  }
  void Unref(Id id) {
    if (--refs_[id] == 0) ++unused_;
  }
  /// Only while nothing outside holds an id without a reference.
  void Collect();
  /// A span of time ends: a slice has gone.
  void EndSpan() {
    last_peak_ = peak_;
    peak_ = live_ - unused_;
  }

  /// Valid until the next Intern or Collect.
  std::string_view Key(Id id) const {
    const ShortKey& s = short_keys_[id];
    return s.size == ShortKey::kLong ? keys_[id] : std::string_view(s.bytes, s.size);
  }
  /// Ids below this may be in use.
  uint32_t limit() const { return static_cast<uint32_t>(refs_.size()); }
  size_t live() const { return live_; }
  size_t bytes() const { return arena_bytes_ + buckets_.size() * sizeof(Bucket); }

  /// Sorts ids by their key bytes.
  void Sort(std::vector<Id>* ids);
  /// All ids in use, and perhaps some others, by their key bytes. Valid until the next Intern or
  /// Collect.
  const std::vector<Id>& Ordered() {
    if (!unranked_.empty()) Rank();
    return order_;
  }

  /// A view of all keys now, unchanged by what happens to the table later. O(keys / 1,024). May be
  /// read on another thread.
  class Frozen {
   public:
    std::string_view Key(Id id) const {
      return pages_[id / KeyPage::kSize]->keys[id % KeyPage::kSize];
    }

   private:
    friend class KeyTable;
    std::vector<std::shared_ptr<const void>> chunks_;
    std::vector<std::shared_ptr<const KeyPage>> pages_;
  };
  Frozen Freeze();

 private:
  static constexpr uint32_t kPage = KeyPage::kSize;
  struct Bucket {
    uint32_t id = kNone;
    uint32_t tag = 0;
  };

  /// A short key where its id leads without a further step; longer ones have size kLong.
  struct ShortKey {
    static constexpr size_t kMax = 15;
    static constexpr uint8_t kLong = 0xff;
    char bytes[kMax] = {};
    uint8_t size = kLong;
  };

  std::string_view Store(std::string_view key);
  void SetKey(Id id, std::string_view stored);
  void Erase(Id id);
  void Grow();
  void Compact();
  void Rank();

  std::vector<Bucket> buckets_;
  uint64_t mask_;
  std::vector<std::shared_ptr<KeyPage>> pages_;
  std::vector<std::string_view> keys_;  ///< by id: what the pages hold, for the table's own use
  std::vector<ShortKey> short_keys_;    ///< by id
  std::vector<uint32_t> refs_;
  std::vector<Id> free_;
  size_t live_ = 0;
  size_t unused_ = 0;
  size_t peak_ = 0;  ///< keys referenced at once in this span of time, and in the one before
  size_t last_peak_ = 0;
  uint64_t epoch_ = 1;
  std::vector<std::shared_ptr<char[]>> arena_;
  size_t chunk_used_ = 0;
  size_t arena_bytes_ = 0;
  size_t garbage_ = 0;
  /// Position of each id in key order; ids interned since the last Rank are in unranked_.
  std::vector<uint32_t> rank_;
  std::vector<Id> order_;
  std::vector<Id> unranked_;
};

}  // namespace millrace::window
