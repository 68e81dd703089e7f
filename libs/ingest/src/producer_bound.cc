#include "producer_bound.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "millrace/base/bytes.h"
#include "millrace/base/sha256.h"

namespace millrace::ingest {
namespace {

constexpr size_t kLeastSlots = 64;

// A hash for which nobody finds many producers with the same value: a known one would let them all
// pass. 0 stands for an empty slot.
uint64_t HashOf(std::string_view principal, std::string_view id) {
  std::string bytes;
  ByteWriter(&bytes).Text(principal);
  bytes.append(id);
  Sha256 sha;
  sha.Add(bytes);
  const std::string digest = sha.HexDigest();
  uint64_t hash = 0;
  std::from_chars(digest.data(), digest.data() + 16, hash, 16);
  return std::max<uint64_t>(hash, 1);
}

}  // namespace

bool RecentHashes::Set::Has(uint64_t hash) const {
  if (slots.empty()) return false;
  for (size_t at = hash;; ++at) {
    const uint64_t slot = slots[at & (slots.size() - 1)];
    if (slot == hash) return true;
    if (slot == 0) return false;
  }
}

void RecentHashes::Set::Insert(uint64_t hash) {
  if (2 * (size + 1) > slots.size()) {
    const std::vector<uint64_t> old =
        std::exchange(slots, std::vector<uint64_t>(std::max(kLeastSlots, 2 * slots.size()), 0));
    size = 0;
    for (const uint64_t moved : old)
      if (moved != 0) Insert(moved);
  }
  size_t at = hash;
  while (slots[at & (slots.size() - 1)] != 0) ++at;
  slots[at & (slots.size() - 1)] = hash;
  ++size;
}

bool RecentHashes::Seen(uint64_t hash) {
  if (current_.Has(hash)) return true;
  if (!previous_.Has(hash)) return false;
  Remember(hash);
  return true;
}

void RecentHashes::Remember(uint64_t hash) {
  if (current_.size >= limit_) previous_ = std::exchange(current_, Set());
  current_.Insert(hash);
}

std::optional<std::chrono::milliseconds> ProducerBound::Take(std::string_view principal,
                                                             std::string_view id,
                                                             Executor::Duration now) {
  const uint64_t hash = HashOf(principal, id);
  if (known_.Seen(hash)) return std::nullopt;
  const Executor::Duration full_at = std::max(full_at_, now) + limits_.interval;
  const Executor::Duration earliest = full_at - limits_.burst * limits_.interval;
  if (earliest > now) return std::chrono::ceil<std::chrono::milliseconds>(earliest - now);
  full_at_ = full_at;
  known_.Remember(hash);
  return std::nullopt;
}

}  // namespace millrace::ingest
