#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/base/time.h"

namespace millrace {

/// Starts of the local days of zone `name` (tz database), from 1970-01-01 local to before
/// 2101-01-01 UTC. Entry i is the start of the date 1970-01-01 + i: its first instant; of a date
/// that a zone skipped, the start of the next (so two entries are equal); of a date with two
/// midnights, the first. Reads the system's zone files; the only thing of the machine that plans
/// depend on.
///
/// Errors (without a place): kNotFound with the nearest name, kInternal for an unreadable file.
Result<std::vector<Micros>> LocalDayStarts(std::string_view name);

}  // namespace millrace
