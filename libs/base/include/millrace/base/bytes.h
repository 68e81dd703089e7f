#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "millrace/base/result.h"

namespace millrace {

static_assert(std::endian::native == std::endian::little,
              "formats are read in place on little-endian machines");

/// Read-only bytes that keep their storage alive. Copying shares; slices share too.
struct Buffer {
  std::shared_ptr<const void> owner;
  std::string_view bytes;

  /// Takes over `data`.
  static Buffer Own(std::string data);
};

/// Fixed-width little-endian and length-prefixed encoding, appended to a string.
class ByteWriter {
 public:
  explicit ByteWriter(std::string* out) : out_(out) {}

  template <typename T>
    requires std::is_trivially_copyable_v<T>
  void Fixed(T v) {
    out_->append(reinterpret_cast<const char*>(&v), sizeof v);
  }
  /// LEB128; one byte below 128.
  void Varint(uint64_t v);
  /// Varint length, then the bytes.
  void Text(std::string_view s);
  void Raw(std::string_view s) { out_->append(s); }

 private:
  std::string* out_;
};

/// memcpy without a call for 8 to 64 bytes, which most keys and rows have: pieces that overlap.
inline void CopyShort(char* to, const char* from, size_t n) {
  struct Piece {
    char bytes[16];
  };
  const auto piece = [&](size_t at) {
    Piece p;
    std::memcpy(&p, from + at, sizeof p);
    return p;
  };
  if (n < 8 || n > 64) {
    std::memcpy(to, from, n);
  } else if (n <= 16) {
    uint64_t first = 0;
    uint64_t last = 0;
    std::memcpy(&first, from, 8);
    std::memcpy(&last, from + n - 8, 8);
    std::memcpy(to, &first, 8);
    std::memcpy(to + n - 8, &last, 8);
  } else if (n <= 32) {
    const Piece p[] = {piece(0), piece(n - 16)};
    std::memcpy(to, &p[0], 16);
    std::memcpy(to + n - 16, &p[1], 16);
  } else {
    const Piece p[] = {piece(0), piece(16), piece(n - 32), piece(n - 16)};
    std::memcpy(to, &p[0], 16);
    std::memcpy(to + 16, &p[1], 16);
    std::memcpy(to + n - 32, &p[2], 16);
    std::memcpy(to + n - 16, &p[3], 16);
  }
}

/// The same encoding, written to memory that the caller has made large enough.
class RawWriter {
 public:
  static constexpr size_t kMaxVarint = 10;

  explicit RawWriter(char* to) : to_(to) {}
  /// Where the next byte goes.
  char* at() const { return to_; }

  template <typename T>
    requires std::is_trivially_copyable_v<T>
  void Fixed(T v) {
    std::memcpy(to_, &v, sizeof v);
    to_ += sizeof v;
  }
  void Varint(uint64_t v) {
    for (; v >= 0x80; v >>= 7) *to_++ = static_cast<char>(v | 0x80);
    *to_++ = static_cast<char>(v);
  }
  void Raw(std::string_view s) {
    CopyShort(to_, s.data(), s.size());
    to_ += s.size();
  }
  void Text(std::string_view s) {
    Varint(s.size());
    Raw(s);
  }
  /// Bytes that Varint(v) writes.
  static constexpr size_t VarintSize(uint64_t v) {
    return (static_cast<size_t>(std::bit_width(v | 1)) + 6) / 7;
  }

 private:
  char* to_;
};

/// Reads what ByteWriter wrote. A read past the end, or an over-long varint, makes the reader fail
/// for good: every later read gives zero or an empty view. Check ok() once, before what was read is
/// used.
class ByteReader {
 public:
  explicit ByteReader(std::string_view in) : in_(in) {}

  template <typename T>
    requires std::is_trivially_copyable_v<T>
  T Fixed() {
    T v{};
    if (in_.size() < sizeof v) return Fail(), v;
    std::memcpy(&v, in_.data(), sizeof v);
    in_.remove_prefix(sizeof v);
    return v;
  }
  uint64_t Varint();
  std::string_view Text();
  std::string_view Raw(size_t n);

  bool ok() const { return ok_; }
  bool done() const { return in_.empty(); }
  size_t left() const { return in_.size(); }

 private:
  void Fail() {
    ok_ = false;
    in_ = {};
  }

  std::string_view in_;
  bool ok_ = true;
};

/// Big-endian bytes that compare like the signed number.
void AppendOrdered(std::string* out, int64_t v);
int64_t ReadOrdered(const char* eight_bytes);

std::string Hex(std::string_view bytes);

}  // namespace millrace
