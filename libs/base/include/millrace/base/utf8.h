#pragma once

#include <cstddef>
#include <string_view>

namespace millrace {

/// The first byte that is not UTF-8 (RFC 3629), or the size. A zero byte is UTF-8.
size_t Utf8Prefix(std::string_view text);

}  // namespace millrace
