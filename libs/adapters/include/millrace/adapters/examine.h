#pragma once

#include <string>

#include "millrace/adapters/adapters.h"
#include "millrace/doctor/probe.h"

namespace millrace::adapters {

/// Examines all that a process would stand on with these options: `millrace doctor`. What would be
/// files is tried in `scratch`, an empty folder where they would lie; the caller removes it. Empty:
/// nothing would be files, and the disk is not looked at.
Task<doctor::Findings> Examine(Options options, std::string scratch);

}  // namespace millrace::adapters
