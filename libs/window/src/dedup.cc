#include "dedup.h"

#include <algorithm>
#include <utility>

namespace millrace::window {
namespace {

bool Bit(const std::vector<uint64_t>& bits, uint64_t sequence) {
  return ((bits[(sequence / 64) & (bits.size() - 1)] >> (sequence % 64)) & 1) != 0;
}

}  // namespace

void ProducerState::RaiseAckedBelow(int64_t acked_below) {
  if (acked_below <= acked_below_) return;
  const uint64_t settled = static_cast<uint64_t>(acked_below) - static_cast<uint64_t>(acked_below_);
  if (settled >= capacity()) {
    std::fill(bits_.begin(), bits_.end(), 0);
  } else {
    for (auto s = static_cast<uint64_t>(acked_below_); s != static_cast<uint64_t>(acked_below);) {
      uint64_t& word = bits_[(s / 64) & (bits_.size() - 1)];
      if (s % 64 == 0 && static_cast<uint64_t>(acked_below) - s >= 64) {
        word = 0;
        s += 64;
      } else {
        word &= ~(uint64_t{1} << (s % 64));
        ++s;
      }
    }
  }
  acked_below_ = acked_below;
}

int64_t ProducerState::End() const {
  for (uint64_t ahead = capacity(); ahead > 0; --ahead) {
    const uint64_t s = static_cast<uint64_t>(acked_below_) + ahead - 1;
    if ((bits_[(s / 64) & (bits_.size() - 1)] >> (s % 64) & 1) != 0)
      return static_cast<int64_t>(s + 1);
  }
  return acked_below_;
}

template <typename F>
void ProducerState::EachWord(int64_t first, uint64_t n, F&& f) {
  for (auto s = static_cast<uint64_t>(first); n > 0;) {
    const uint64_t bits = std::min<uint64_t>(64 - s % 64, n);
    const uint64_t mask = (~uint64_t{0} >> (64 - bits)) << (s % 64);
    f(bits_[(s / 64) & (bits_.size() - 1)], mask);
    s += bits;
    n -= bits;
  }
}

bool ProducerState::AllNew(int64_t first, uint64_t n) {
  if (first < acked_below_) return false;
  const uint64_t ahead = static_cast<uint64_t>(first) - static_cast<uint64_t>(acked_below_);
  if (ahead >= kSequenceSpan || n > kSequenceSpan - ahead) return false;
  if (ahead + n > capacity()) Grow(ahead + n - 1);
  uint64_t seen = 0;
  EachWord(first, n, [&](uint64_t word, uint64_t mask) { seen |= word & mask; });
  return seen == 0;
}

void ProducerState::Mark(int64_t first, uint64_t n) {
  EachWord(first, n, [](uint64_t& word, uint64_t mask) { word |= mask; });
}

void ProducerState::Grow(uint64_t ahead) {
  size_t words = bits_.size();
  while (words * 64 <= ahead) words *= 2;
  Resize(words);
}

void ProducerState::Shrink() {
  if (bits_.size() == kLeastWords) return;
  const auto needed = static_cast<uint64_t>(End() - acked_below_);
  size_t words = kLeastWords;
  while (words * 64 < needed) words *= 2;
  if (words < bits_.size()) Resize(words);
}

void ProducerState::Resize(size_t words) {
  std::vector<uint64_t> resized(words, 0);
  const uint64_t kept = std::min<uint64_t>(capacity(), words * 64);
  for (uint64_t i = 0; i < kept; ++i) {
    const uint64_t s = static_cast<uint64_t>(acked_below_) + i;
    if (Bit(bits_, s)) resized[(s / 64) & (words - 1)] |= uint64_t{1} << (s % 64);
  }
  if (counted_in != nullptr) *counted_in += (words - bits_.size()) * sizeof(uint64_t);
  bits_ = std::move(resized);
}

// acked_below, last_read, then the seen sequences as distances from acked_below in ascending order,
// as gaps.
void ProducerState::Encode(std::string* out) const {
  ByteWriter w(out);
  w.Fixed(acked_below_);
  w.Fixed(last_read);
  uint64_t previous = 0;
  for (uint64_t i = 0; i < capacity(); ++i) {
    if (!Bit(bits_, static_cast<uint64_t>(acked_below_) + i)) continue;
    w.Varint(i - previous);
    previous = i;
  }
}

bool ProducerState::Decode(ByteReader* in) {
  acked_below_ = in->Fixed<int64_t>();
  last_read = in->Fixed<Micros>();
  uint64_t ahead = 0;
  while (in->ok() && !in->done()) {
    const uint64_t gap = in->Varint();
    if (gap >= kSequenceSpan || (ahead += gap) >= kSequenceSpan) return false;
    Check(acked_below_ + static_cast<int64_t>(ahead));
  }
  dirty = false;
  return in->ok();
}

ProducerState* ProducerTable::Find(std::string_view principal, std::string_view id,
                                   Micros logged_time) {
  std::string key;
  ByteWriter(&key).Text(principal);
  key.append(id);
  const auto at = producers_.find(key);
  if (at != producers_.end()) return &at->second;
  ProducerState* const made = Insert(std::move(key));
  made->last_read = logged_time;
  return made;
}

ProducerState* ProducerTable::Insert(std::string key) {
  const auto at = producers_.emplace(std::move(key), ProducerState()).first;
  at->second.counted_in = &bytes_;
  bytes_ += kEntryBytes + at->first.size() + at->second.ring_bytes();
  return &at->second;
}

void ProducerTable::Forget(Micros logged_time) {
  for (auto at = producers_.begin(); at != producers_.end();) {
    if (logged_time - at->second.last_read >= kForgetAfter) {
      bytes_ -= kEntryBytes + at->first.size() + at->second.ring_bytes();
      forgotten_.push_back(at->first);
      at = producers_.erase(at);
    } else {
      at->second.Shrink();
      ++at;
    }
  }
}

void ProducerTable::TakeChanges(bool everything,
                                std::vector<std::pair<std::string, std::string>>* puts,
                                std::vector<std::string>* deletes) {
  for (std::string& key : std::exchange(forgotten_, {})) {
    if (producers_.find(key) == producers_.end()) deletes->push_back(std::move(key));
  }
  for (auto& [key, producer] : producers_) {
    if (!producer.dirty && !everything) continue;
    producer.dirty = false;
    producer.Encode(&puts->emplace_back(key, std::string()).second);
  }
}

bool ProducerTable::Restore(std::string_view key, std::string_view value) {
  ByteReader in(value);
  return producers_.find(key) == producers_.end() && Insert(std::string(key))->Decode(&in);
}

}  // namespace millrace::window
