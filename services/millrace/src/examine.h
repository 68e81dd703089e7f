#pragma once

#include "millrace/config/settings.h"
#include "millrace/doctor/probe.h"

namespace millrace {

/// Examines all that a process would stand on with these settings. kInvalidArgument: the settings
/// are wrong.
Result<doctor::Findings> ExamineStores(const config::Sources& sources);

}  // namespace millrace
