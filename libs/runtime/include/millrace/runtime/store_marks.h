#pragma once

#include <string>

#include "millrace/runtime/ports.h"

namespace millrace::runtime {

/// Looks whether object store and serving store belong to this cluster on this log, and marks those
/// that belong to nobody (docs/formats/cluster-mark.md). So a process whose configuration names a
/// store of another cluster, or a copy of the log, writes nothing.
///
/// `adopt`: they belong to this cluster from now on, whichever had them before. kInvalidArgument:
/// one is of another cluster; the message has both marks. kUnavailable: a store does not answer.
Task<Status> OwnStores(Ports ports, std::string cluster, bool adopt);

/// The same look without any mark of its own, for a process that does not lead. A store without a
/// mark is no error, since the leader may be about to set it. `cluster` is that of the fold; empty:
/// nobody has claimed yet, and there is nothing to compare.
Task<Status> CheckMarks(Ports ports, std::string cluster);

/// Asks log, object store and serving store whether they take this process. kInvalidArgument: one
/// answers, and something in the configuration must be changed. kUnavailable: one may answer later.
Task<Status> ProbeStores(Ports ports);

}  // namespace millrace::runtime
