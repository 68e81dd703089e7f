#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/base/result.h"

namespace millrace {

/// Keys that every body takes: parts joined by '/', none of them empty or beginning with '.', no
/// control characters, at most 1,024 bytes (S3's limit). kInvalidArgument: not such a key.
///
/// No object of one store may have a key that is a folder of another's: "x" beside "x/y". A single
/// key cannot tell. Bodies over files and the one in memory refuse the second; S3 would keep both.
Status CheckObjectKey(std::string_view key);
/// The same for a prefix: what a key can begin with.
Status CheckObjectPrefix(std::string_view prefix);
/// The same for a folder: empty, or a key and '/'.
Status CheckObjectFolder(std::string_view folder);

}  // namespace millrace
