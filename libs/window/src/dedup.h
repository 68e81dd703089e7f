#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/time.h"

namespace millrace::window {

/// Sequences from `acked_below` on that are at most this far up may be in flight (semantics rule
/// 1).
inline constexpr uint64_t kSequenceSpan = 65'536;
/// Logged time after which a silent producer is forgotten, at the next multiple of kForgetEvery.
inline constexpr Micros kForgetAfter = 7 * kDay;
inline constexpr Micros kForgetEvery = 3'600 * kSecond;

/// What a shard knows of one producer: all below acked_below is settled; of the sequences at or
/// above it, which were seen.
class ProducerState {
 public:
  enum class Seen { kNew, kDuplicate, kOutOfSpan };

  void RaiseAckedBelow(int64_t acked_below);
  /// Judges a sequence and, if it is new, remembers it.
  Seen Check(int64_t sequence) {
    if (sequence < acked_below_) return Seen::kDuplicate;
    const uint64_t ahead = static_cast<uint64_t>(sequence) - static_cast<uint64_t>(acked_below_);
    if (ahead >= capacity()) [[unlikely]] {
      if (ahead >= kSequenceSpan) return Seen::kOutOfSpan;
      Grow(ahead);
    }
    uint64_t& word = bits_[(static_cast<uint64_t>(sequence) / 64) & (bits_.size() - 1)];
    const uint64_t bit = uint64_t{1} << (static_cast<uint64_t>(sequence) % 64);
    if ((word & bit) != 0) return Seen::kDuplicate;
    word |= bit;
    return Seen::kNew;
  }

  /// Whether Check would find all of [first, first + n) new. Remembers none of them.
  bool AllNew(int64_t first, uint64_t n);
  /// Remembers [first, first + n), of which AllNew was true.
  void Mark(int64_t first, uint64_t n);

  /// The number behind the largest that was seen.
  int64_t End() const;

  void Encode(std::string* out) const;
  bool Decode(ByteReader* in);

  /// Gives back the room that the sequences remembered now do not need.
  void Shrink();
  size_t ring_bytes() const { return bits_.size() * sizeof(uint64_t); }

  Micros last_read = 0;  ///< logged time of its last event
  bool dirty = true;     ///< changed since the last freeze
  /// Where the bytes of its ring are counted, if anywhere.
  size_t* counted_in = nullptr;

 private:
  static constexpr size_t kLeastWords = 4;

  uint64_t capacity() const { return bits_.size() * 64; }
  void Resize(size_t words);
  void Grow(uint64_t ahead);
  /// Calls f(word, mask) for the words that hold the bits of [first, first + n).
  template <typename F>
  void EachWord(int64_t first, uint64_t n, F&& f);

  int64_t acked_below_ = 0;
  /// A ring: the bit of sequence s is bit s modulo the capacity, a power of two.
  std::vector<uint64_t> bits_ = std::vector<uint64_t>(kLeastWords, 0);
};

/// The producers of a shard, by (principal, id). Stays where it is: its producers point into it.
class ProducerTable {
 public:
  /// What a producer costs beside its key and its ring: a place in the map, and what the allocator
  /// adds to the three.
  static constexpr size_t kEntryBytes = 160;

  ProducerTable() = default;
  ProducerTable(const ProducerTable&) = delete;

  /// The producer, made if unknown. The pointer lives until it is forgotten.
  ProducerState* Find(std::string_view principal, std::string_view id, Micros logged_time);
  /// Forgets those that were silent for kForgetAfter. Walks all of them.
  void Forget(Micros logged_time);
  size_t size() const { return producers_.size(); }
  /// For each producer kEntryBytes, its key and its ring.
  size_t bytes() const { return bytes_; }
  /// Calls `f(id, producer)` for the principal's producers whose ids begin with `prefix`, in the
  /// order of their ids, until it gives false.
  template <typename F>
  void EachWith(std::string_view principal, std::string_view prefix, F&& f) const {
    std::string key;
    ByteWriter(&key).Text(principal);
    const size_t id_at = key.size();
    key.append(prefix);
    for (auto at = producers_.lower_bound(key);
         at != producers_.end() && at->first.starts_with(key); ++at)
      if (!f(std::string_view(at->first).substr(id_at), at->second)) return;
  }

  /// Changed producers since the last call, as state entries; those forgotten as keys.
  void TakeChanges(bool everything, std::vector<std::pair<std::string, std::string>>* puts,
                   std::vector<std::string>* deletes);
  bool Restore(std::string_view key, std::string_view value);

 private:
  ProducerState* Insert(std::string key);

  std::map<std::string, ProducerState, std::less<>> producers_;
  std::vector<std::string> forgotten_;
  size_t bytes_ = 0;
};

}  // namespace millrace::window
