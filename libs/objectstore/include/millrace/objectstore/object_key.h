#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/base/result.h"

namespace millrace {

/// Keys that every body takes: parts joined by '/', none of them empty or beginning with '.', no
/// control characters, at most 1,024 bytes (S3's limit). kInvalidArgument: not such a key.
Status CheckObjectKey(std::string_view key);
/// The same for a prefix: empty, or a key and '/'.
Status CheckObjectPrefix(std::string_view prefix);

}  // namespace millrace
