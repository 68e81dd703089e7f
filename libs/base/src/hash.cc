#include "millrace/base/hash.h"

#include <array>
#include <bit>
#include <cstring>

namespace millrace {
namespace {

constexpr std::array<std::array<uint32_t, 256>, 8> MakeCrcTables() {
  std::array<std::array<uint32_t, 256>, 8> t{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c >> 1) ^ (0x82f63b78u & (0u - (c & 1)));
    t[0][i] = c;
  }
  for (size_t s = 1; s < 8; ++s) {
    for (size_t i = 0; i < 256; ++i) t[s][i] = (t[s - 1][i] >> 8) ^ t[0][t[s - 1][i] & 0xff];
  }
  return t;
}

constexpr auto kCrc = MakeCrcTables();

uint32_t CrcPortable(uint32_t c, const uint8_t* p, size_t n) {
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t v = 0;
    std::memcpy(&v, p, 8);
    v ^= c;
    c = 0;
    for (size_t k = 0; k < 8; ++k) c ^= kCrc[7 - k][(v >> (8 * k)) & 0xff];
  }
  for (; n > 0; ++p, --n) c = (c >> 8) ^ kCrc[0][(c ^ *p) & 0xff];
  return c;
}

#if defined(__x86_64__)
/// What a run of `kBytes` zero bytes does to a CRC register, as tables over its four bytes: the CRC
/// of a piece, moved past the pieces behind it (Adler's zlib calls this combining).
template <size_t kBytes>
struct ZeroRun {
  std::array<std::array<uint32_t, 256>, 4> table{};

  ZeroRun() {
    const std::array<uint8_t, kBytes> zeros{};
    std::array<uint32_t, 32> of_bit{};
    for (size_t b = 0; b < 32; ++b) of_bit[b] = CrcPortable(uint32_t{1} << b, zeros.data(), kBytes);
    for (size_t k = 0; k < 4; ++k) {
      for (size_t v = 0; v < 256; ++v) {
        for (size_t b = 0; b < 8; ++b) table[k][v] ^= (v >> b & 1) != 0 ? of_bit[8 * k + b] : 0;
      }
    }
  }
  uint32_t After(uint32_t c) const {
    return table[0][c & 0xff] ^ table[1][c >> 8 & 0xff] ^ table[2][c >> 16 & 0xff] ^
           table[3][c >> 24];
  }
};

/// The instruction has a latency of three cycles and a throughput of one, so three lanes of kBytes
/// run side by side.
template <size_t kBytes>
__attribute__((target("sse4.2"))) void CrcLanes(uint64_t* crc, const uint8_t** p, size_t* n) {
  static const ZeroRun<kBytes> run;
  for (; *n >= 3 * kBytes; *p += 3 * kBytes, *n -= 3 * kBytes) {
    uint64_t c0 = *crc;
    uint64_t c1 = 0;
    uint64_t c2 = 0;
    for (const uint8_t* at = *p; at < *p + kBytes; at += 8) {
      uint64_t v[3];
      std::memcpy(&v[0], at, 8);
      std::memcpy(&v[1], at + kBytes, 8);
      std::memcpy(&v[2], at + 2 * kBytes, 8);
      c0 = __builtin_ia32_crc32di(c0, v[0]);
      c1 = __builtin_ia32_crc32di(c1, v[1]);
      c2 = __builtin_ia32_crc32di(c2, v[2]);
    }
    const uint32_t first = run.After(static_cast<uint32_t>(c0)) ^ static_cast<uint32_t>(c1);
    *crc = run.After(first) ^ static_cast<uint32_t>(c2);
  }
}

__attribute__((target("sse4.2"))) uint32_t CrcSse42(uint32_t crc, const uint8_t* p, size_t n) {
  uint64_t c = crc;
  CrcLanes<2048>(&c, &p, &n);
  CrcLanes<128>(&c, &p, &n);
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t v = 0;
    std::memcpy(&v, p, 8);
    c = __builtin_ia32_crc32di(c, v);
  }
  auto c32 = static_cast<uint32_t>(c);
  for (; n > 0; ++p, --n) c32 = __builtin_ia32_crc32qi(c32, *p);
  return c32;
}
#endif

uint64_t Load64(const char* p) {
  uint64_t v = 0;
  std::memcpy(&v, p, 8);
  return v;
}

uint64_t Fmix(uint64_t k) {
  k ^= k >> 33;
  k *= 0xff51afd7ed558ccdULL;
  k ^= k >> 33;
  k *= 0xc4ceb9fe1a85ec53ULL;
  return k ^ (k >> 33);
}

/// MurmurHash3_x64_128 on its way through some bytes.
struct Murmur3 {
  static constexpr uint64_t kC1 = 0x87c37b91114253d5ULL;
  static constexpr uint64_t kC2 = 0x4cf5ad432745937fULL;

  uint64_t h1;
  uint64_t h2;

  void Block(uint64_t low, uint64_t high) {
    h1 ^= std::rotl(low * kC1, 31) * kC2;
    h1 = (std::rotl(h1, 27) + h2) * 5 + 0x52dce729;
    h2 ^= std::rotl(high * kC2, 33) * kC1;
    h2 = (std::rotl(h2, 31) + h1) * 5 + 0x38495ab5;
  }

  /// `size`: of all bytes, those of earlier blocks too.
  Hash128 End(std::string_view bytes, size_t size) {
    const char* p = bytes.data();
    size_t n = bytes.size();
    for (; n >= 16; p += 16, n -= 16) Block(Load64(p), Load64(p + 8));
    char tail[16] = {};
    if (n > 0) std::memcpy(tail, p, n);
    if (n > 8) h2 ^= std::rotl(Load64(tail + 8) * kC2, 33) * kC1;
    if (n > 0) h1 ^= std::rotl(Load64(tail) * kC1, 31) * kC2;
    h1 ^= size;
    h2 ^= size;
    h1 += h2;
    h2 += h1;
    h1 = Fmix(h1);
    h2 = Fmix(h2);
    h1 += h2;
    h2 += h1;
    return {h1, h2};
  }
};

}  // namespace

uint32_t Crc32c(std::string_view bytes, uint32_t seed) {
  const auto* p = reinterpret_cast<const uint8_t*>(bytes.data());
#if defined(__x86_64__)
  static const bool sse42 = __builtin_cpu_supports("sse4.2");
  if (sse42) return ~CrcSse42(~seed, p, bytes.size());
#endif
  return ~CrcPortable(~seed, p, bytes.size());
}

uint32_t Murmur2(std::string_view bytes) {
  constexpr uint32_t kM = 0x5bd1e995;
  auto h = static_cast<uint32_t>(0x9747b28c ^ bytes.size());
  size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    uint32_t k = 0;
    std::memcpy(&k, bytes.data() + i, 4);
    k *= kM;
    k ^= k >> 24;
    k *= kM;
    h = (h * kM) ^ k;
  }
  const auto tail = [&](size_t j) {
    return static_cast<uint32_t>(static_cast<uint8_t>(bytes[i + j]));
  };
  switch (bytes.size() - i) {
    case 3:
      h ^= tail(2) << 16;
      [[fallthrough]];
    case 2:
      h ^= tail(1) << 8;
      [[fallthrough]];
    case 1:
      h = (h ^ tail(0)) * kM;
  }
  h ^= h >> 13;
  h *= kM;
  return h ^ (h >> 15);
}

Hash128& Hash128::operator+=(const Hash128& o) {
  lo += o.lo;
  hi += o.hi + (lo < o.lo ? 1 : 0);
  return *this;
}

Hash128 Hash(std::string_view bytes, uint64_t seed) {
  return Murmur3{seed, seed}.End(bytes, bytes.size());
}

Hash128 HashBehind(const Hash128& head, std::string_view bytes) {
  Murmur3 hash{0, 0};
  hash.Block(head.lo, head.hi);
  return hash.End(bytes, sizeof head + bytes.size());
}

}  // namespace millrace
