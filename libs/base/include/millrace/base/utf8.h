#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace millrace {

/// Upper-case ASCII letters become lower case, as SQL folds a name that is not quoted.
std::string FoldCase(std::string_view name);

/// The first byte that is not UTF-8 (RFC 3629), or the size. A zero byte is UTF-8.
size_t Utf8Prefix(std::string_view text);

}  // namespace millrace
