#pragma once

#include "millrace/control/fold.h"
#include "millrace/log/log.h"

namespace millrace::control {

/// The fold to begin with in a log that no longer has its first record: that of the first snapshot
/// in the log which is whole, taken at or after the record before range.start, fits its hash, and
/// whose every chunk is valid in the fold that begins with it. The last rule passes over what a
/// leader wrote that had been replaced. kCorruption: there is none. kUnavailable: try again.
///
/// Reads the log twice up to the snapshot's end and holds one snapshot at a time.
Task<Result<Fold>> FoldFromSnapshot(LogReaders* log, OffsetRange range);

}  // namespace millrace::control
