#pragma once

#include <optional>
#include <string_view>

#include "millrace/control/fold.h"

namespace millrace::control {

/// The lowest offset of the partition that some shard may still have to read, whatever becomes of
/// its owner: every way on that a shard has begins at or above it. Records below may be trimmed.
/// Where no shard reads the partition it is the largest offset there is.
///
/// A way on is each of the kept commits and, until there are kKeptCommits, the shard's start,
/// unless a skip gave it up. One that was made before a skip goes back as far as the skip's place.
Offset RetentionFloor(const Fold& fold, const StreamSpec& stream, PartitionId partition);

/// What a stream keeps at least; nothing: everything, for ever. Where both are given, what one of
/// them lets go may go.
struct Keep {
  std::optional<Micros> time;
  std::optional<int64_t> bytes;
};
Keep KeepOf(const Fold& fold, const Incarnation& stream);

/// Whether a stream can have the setting: a limit is a whole number above 0, or empty.
bool IsKeepSetting(std::string_view key, std::string_view value);

}  // namespace millrace::control
