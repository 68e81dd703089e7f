#pragma once

#include <string>

#include "millrace/runtime/ports.h"

namespace millrace::runtime {

/// Looks whether object store and serving store belong to this cluster on this log, and marks those
/// that belong to nobody (docs/formats/cluster-mark.md). So a process whose configuration names a
/// store of another cluster, or a copy of the log, writes nothing.
///
/// `adopt`: they belong to this cluster from now on, whoever had them. kInvalidArgument: one is of
/// another cluster; the message has both marks. kUnavailable: a store does not answer.
Task<Status> OwnStores(Ports ports, std::string cluster, bool adopt);

}  // namespace millrace::runtime
