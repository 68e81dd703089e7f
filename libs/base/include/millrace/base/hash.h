#pragma once

#include <cstdint>
#include <string_view>

namespace millrace {

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), of `bytes` continuing from `seed` (0 to begin).
uint32_t Crc32c(std::string_view bytes, uint32_t seed = 0);

/// Java-compatible murmur2 with Kafka's seed 0x9747b28c: what Kafka's own clients partition keys
/// with.
uint32_t Murmur2(std::string_view bytes);

/// 128 bits that add and subtract modulo 2^128, so a set of rows has one hash whatever their order.
struct Hash128 {
  uint64_t lo = 0;
  uint64_t hi = 0;

  friend bool operator==(const Hash128&, const Hash128&) = default;
  Hash128& operator+=(const Hash128& o);
};

/// MurmurHash3_x64_128 (Appleby 2011). Not keyed: for integrity against accidents, not against
/// attackers.
Hash128 Hash(std::string_view bytes, uint64_t seed = 0);
/// The same of the 16 bytes of `head`, low half first, and of `bytes` behind them.
Hash128 HashBehind(const Hash128& head, std::string_view bytes);

}  // namespace millrace
