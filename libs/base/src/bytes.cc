#include "millrace/base/bytes.h"

namespace millrace {

Buffer Buffer::Own(std::string data) {
  auto owned = std::make_shared<const std::string>(std::move(data));
  return {owned, *owned};
}

void ByteWriter::Varint(uint64_t v) {
  while (v >= 0x80) {
    out_->push_back(static_cast<char>(v | 0x80));
    v >>= 7;
  }
  out_->push_back(static_cast<char>(v));
}

void ByteWriter::Text(std::string_view s) {
  Varint(s.size());
  out_->append(s);
}

uint64_t ByteReader::Varint() {
  uint64_t v = 0;
  for (int shift = 0; shift < 64 && !in_.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(in_.front());
    in_.remove_prefix(1);
    if (shift == 63 && byte > 1) break;
    v |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return v;
  }
  Fail();
  return 0;
}

std::string_view ByteReader::Text() { return Raw(Varint()); }

std::string_view ByteReader::Raw(size_t n) {
  if (in_.size() < n) return Fail(), std::string_view();
  auto s = in_.substr(0, n);
  in_.remove_prefix(n);
  return s;
}

void AppendOrdered(std::string* out, int64_t v) {
  const uint64_t u = __builtin_bswap64(static_cast<uint64_t>(v) ^ (uint64_t{1} << 63));
  out->append(reinterpret_cast<const char*>(&u), sizeof u);
}

int64_t ReadOrdered(const char* eight_bytes) {
  uint64_t u = 0;
  std::memcpy(&u, eight_bytes, sizeof u);
  return static_cast<int64_t>(__builtin_bswap64(u) ^ (uint64_t{1} << 63));
}

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out.push_back(kDigits[static_cast<uint8_t>(c) >> 4]);
    out.push_back(kDigits[static_cast<uint8_t>(c) & 15]);
  }
  return out;
}

}  // namespace millrace
