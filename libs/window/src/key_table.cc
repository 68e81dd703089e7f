#include "key_table.h"

#include <algorithm>
#include <utility>

namespace millrace::window {
namespace {

constexpr size_t kChunkBytes = 64 << 10;
/// A table of this many buckets stays in the second-level cache with its keys.
constexpr size_t kCachedBuckets = 1 << 15;
/// So few unused keys are not worth a sweep.
constexpr size_t kMinUnused = 4096;
/// Dead key bytes are left alone below this.
constexpr size_t kMinGarbage = 1 << 20;

uint64_t Load(const char* p, size_t n) {
  uint64_t v = 0;
  std::memcpy(&v, p, n);
  return v;
}

/// Short keys without a call: two loads that overlap.
bool Equal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  const size_t n = a.size();
  if (n < 8 || n > 16) return std::memcmp(a.data(), b.data(), n) == 0;
  return Load(a.data(), 8) == Load(b.data(), 8) &&
         Load(a.data() + n - 8, 8) == Load(b.data() + n - 8, 8);
}

}  // namespace

KeyTable::KeyTable() : buckets_(64), mask_(63) {}

void KeyTable::Find(const std::string& keys, const std::vector<uint32_t>& ends,
                    const std::vector<uint64_t>& hashes, std::vector<Id>* ids) const {
  constexpr size_t kGroup = 64;
  ids->resize(ends.size());
  const Bucket* const buckets = buckets_.data();
  const ShortKey* const stored = short_keys_.data();
  const char* const bytes = keys.data();
  const uint64_t mask = mask_;
  // A small table lies in the cache anyway.
  const bool prefetch = buckets_.size() > kCachedBuckets;
  uint32_t begin = 0;
  for (size_t first = 0; first < ends.size(); first += kGroup) {
    const size_t n = std::min(kGroup, ends.size() - first);
    const uint64_t* const hash = hashes.data() + first;
    const uint32_t* const end = ends.data() + first;
    Id* const id = ids->data() + first;
    for (size_t i = 0; i < n && prefetch; ++i) __builtin_prefetch(&buckets[hash[i] & mask]);
    // The first bucket with the right tag, nearly always the key's own.
    for (size_t i = 0; i < n; ++i) {
      const auto tag = static_cast<uint32_t>(hash[i] >> 32);
      uint64_t at = hash[i] & mask;
      while (buckets[at].tag != tag && buckets[at].id != kNone) at = (at + 1) & mask;
      id[i] = buckets[at].id;
      if (prefetch && id[i] != kNone) __builtin_prefetch(&stored[id[i]]);
    }
    for (size_t i = 0; i < n && prefetch; ++i) {
      if (id[i] != kNone && stored[id[i]].size == ShortKey::kLong)
        __builtin_prefetch(keys_[id[i]].data());
    }
    for (size_t i = 0; i < n; ++i) {
      const std::string_view key(bytes + begin, end[i] - begin);
      begin = end[i];
      if (id[i] != kNone && !Equal(Key(id[i]), key)) id[i] = kNone;
    }
  }
}

KeyTable::Id KeyTable::Intern(std::string_view key, uint64_t hash) {
  const auto tag = static_cast<uint32_t>(hash >> 32);
  uint64_t at = hash & mask_;
  for (; buckets_[at].id != kNone; at = (at + 1) & mask_) {
    if (buckets_[at].tag == tag && Key(buckets_[at].id) == key) return buckets_[at].id;
  }
  Id id = 0;
  if (free_.empty()) {
    id = limit();
    refs_.push_back(0);
    keys_.emplace_back();
    short_keys_.emplace_back();
    rank_.push_back(0);
  } else {
    id = free_.back();
    free_.pop_back();
    rank_[id] = 0;
  }
  SetKey(id, Store(key));
  unranked_.push_back(id);
  buckets_[at] = {id, tag};
  ++unused_;
  if (++live_ * 2 > buckets_.size()) Grow();
  return id;
}

void KeyTable::Collect() {
  if (unused_ < kMinUnused || live_ <= 2 * std::max(peak_, last_peak_)) return;
  for (Id id = 0; id < limit(); ++id) {
    if (refs_[id] == 0 && rank_[id] != kNone) Erase(id);
  }
  unused_ = 0;
}

void KeyTable::Erase(Id id) {
  const std::string_view key = Key(id);
  uint64_t hole = HashKey(key) & mask_;
  while (buckets_[hole].id != id) hole = (hole + 1) & mask_;
  // Close the gap, so that probing needs no tombstones (Knuth, TAOCP 3, 6.4, algorithm R).
  for (uint64_t next = (hole + 1) & mask_; buckets_[next].id != kNone; next = (next + 1) & mask_) {
    const uint64_t home = HashKey(Key(buckets_[next].id)) & mask_;
    if (((next - home) & mask_) >= ((next - hole) & mask_)) {
      buckets_[hole] = buckets_[next];
      hole = next;
    }
  }
  buckets_[hole] = {};
  garbage_ += key.size();
  SetKey(id, {});
  free_.push_back(id);
  --live_;
  rank_[id] = kNone;
  if (garbage_ > kMinGarbage && garbage_ * 2 > arena_bytes_) Compact();
}

void KeyTable::SetKey(Id id, std::string_view stored) {
  if (id / kPage >= pages_.size()) {
    pages_.push_back(std::make_shared<KeyPage>());
    pages_.back()->epoch = epoch_;
  }
  auto& page = pages_[id / kPage];
  if (page->epoch != epoch_) {
    page = std::make_shared<KeyPage>(*page);
    page->epoch = epoch_;
  }
  page->keys[id % kPage] = stored;
  keys_[id] = stored;
  ShortKey& s = short_keys_[id];
  s = {};
  if (stored.size() > ShortKey::kMax) return;
  std::copy(stored.begin(), stored.end(), s.bytes);
  s.size = static_cast<uint8_t>(stored.size());
}

std::string_view KeyTable::Store(std::string_view key) {
  if (arena_.empty() || chunk_used_ + key.size() > kChunkBytes) {
    const size_t size = std::max(kChunkBytes, key.size());
    arena_.push_back(std::make_shared<char[]>(size));
    arena_bytes_ += size;
    chunk_used_ = 0;
  }
  char* to = arena_.back().get() + chunk_used_;
  std::memcpy(to, key.data(), key.size());
  chunk_used_ += key.size();
  return {to, key.size()};
}

void KeyTable::Grow() {
  buckets_.assign(buckets_.size() * 2, {});
  mask_ = buckets_.size() - 1;
  for (Id id = 0; id < limit(); ++id) {
    if (rank_[id] == kNone) continue;
    const uint64_t hash = HashKey(Key(id));
    uint64_t at = hash & mask_;
    while (buckets_[at].id != kNone) at = (at + 1) & mask_;
    buckets_[at] = {id, static_cast<uint32_t>(hash >> 32)};
  }
}

void KeyTable::Compact() {
  const auto old = std::exchange(arena_, {});
  arena_bytes_ = 0;
  garbage_ = 0;
  for (Id id = 0; id < limit(); ++id) {
    if (rank_[id] != kNone) SetKey(id, Store(Key(id)));
  }
}

void KeyTable::Rank() {
  std::erase_if(unranked_, [&](Id id) { return rank_[id] == kNone; });
  const auto less = [&](Id a, Id b) { return Key(a) < Key(b); };
  std::sort(unranked_.begin(), unranked_.end(), less);
  unranked_.erase(std::unique(unranked_.begin(), unranked_.end()), unranked_.end());
  // An id that was freed and given out again stands in order_ under its old key.
  std::vector<uint8_t> fresh(limit(), 0);
  for (const Id id : unranked_) fresh[id] = 1;
  std::erase_if(order_, [&](Id id) { return rank_[id] == kNone || fresh[id] != 0; });
  std::vector<Id> merged(order_.size() + unranked_.size());
  std::merge(order_.begin(), order_.end(), unranked_.begin(), unranked_.end(), merged.begin(),
             less);
  order_ = std::move(merged);
  unranked_.clear();
  for (uint32_t i = 0; i < order_.size(); ++i) rank_[order_[i]] = i;
}

void KeyTable::Sort(std::vector<Id>* ids) {
  if (!unranked_.empty()) Rank();
  // Most of all keys: walk them in order. Few of them: sort those.
  if (ids->size() * 4 > order_.size()) {
    std::vector<uint8_t> wanted(limit(), 0);
    for (const Id id : *ids) wanted[id] = 1;
    ids->clear();
    for (const Id id : order_) {
      if (rank_[id] != kNone && wanted[id] != 0) ids->push_back(id);
    }
  } else {
    std::sort(ids->begin(), ids->end(), [&](Id a, Id b) { return rank_[a] < rank_[b]; });
  }
}

KeyTable::Frozen KeyTable::Freeze() {
  ++epoch_;
  Frozen frozen;
  frozen.chunks_.assign(arena_.begin(), arena_.end());
  frozen.pages_.assign(pages_.begin(), pages_.end());
  return frozen;
}

}  // namespace millrace::window
