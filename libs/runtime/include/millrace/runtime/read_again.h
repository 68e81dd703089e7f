#pragma once

#include <optional>
#include <string>
#include <vector>

#include "millrace/base/task.h"
#include "millrace/log/log.h"
#include "millrace/log/record_identity.h"

namespace millrace::runtime {

/// What became of records that were read once.
struct Recalled {
  std::optional<Offset> first_other;        ///< the lowest that has changed or is gone
  std::optional<RecordIdentity> last_same;  ///< the highest that is as it was
};

/// Reads records again that lie in the log or lay there, the newest first. A log that still has a
/// record has those below it too, so this ends at the first one that is as it was. Without an
/// append time two records that were sent alike look the same; then it ends only behind the
/// newest 16. A record that was deleted or is damaged says nothing.
Task<Result<Recalled>> ReadAgain(LogReaders* log, std::string topic, PartitionId partition,
                                 std::vector<RecordIdentity> records, OffsetRange range);

}  // namespace millrace::runtime
