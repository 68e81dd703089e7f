#include "millrace/base/utf8.h"

#include <cstdint>

namespace millrace {

std::string FoldCase(std::string_view name) {
  std::string folded(name);
  for (char& c : folded)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return folded;
}

size_t Utf8Prefix(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto c = static_cast<unsigned char>(text[i]);
    size_t more = 0;
    uint32_t least = 0;
    uint32_t code = c;
    if (c >= 0xF5 || (c >= 0x80 && c < 0xC2)) return i;
    if (c >= 0xF0) {
      more = 3, least = 0x10000, code = c & 0x07u;
    } else if (c >= 0xE0) {
      more = 2, least = 0x800, code = c & 0x0Fu;
    } else if (c >= 0xC2) {
      more = 1, least = 0x80, code = c & 0x1Fu;
    }
    if (text.size() - i <= more) return i;
    for (size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xC0) != 0x80) return i;
      code = (code << 6) | (next & 0x3Fu);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return i;
    i += more + 1;
  }
  return i;
}

}  // namespace millrace
