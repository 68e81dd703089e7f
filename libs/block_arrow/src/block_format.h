#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace::block_arrow {

// docs/formats/block.md.
inline constexpr std::string_view kMagic = "MRB1";
inline constexpr uint16_t kVersion = 3;
inline constexpr size_t kMaxProducers = 32'767;
/// Where the bytes that the checksum covers begin.
inline constexpr size_t kChecked = 8;

struct FixedHeader {
  uint16_t version;
  uint16_t producers;
  uint32_t schema_id;
  int64_t generation;
  uint32_t rows;
  uint32_t body_length;
};
static_assert(sizeof(FixedHeader) == 24);

inline constexpr size_t kFixedBytes = kChecked + sizeof(FixedHeader);

/// Size of the bitmap behind the fixed header. It has a bit for each declared column; 0 means that
/// the column is NULL in every row.
constexpr size_t BitmapBytes(size_t columns) { return (columns + 7) / 8; }

constexpr size_t RoundUp8(size_t n) { return (n + 7) & ~size_t{7}; }

}  // namespace millrace::block_arrow
