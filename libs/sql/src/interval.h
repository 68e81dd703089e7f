#pragma once

#include <string_view>

#include "millrace/base/result.h"
#include "millrace/base/time.h"

namespace millrace {

/// Longest duration and window, about 100 years: sums with event times cannot overflow.
inline constexpr Micros kMaxDuration = 36'525 * kDay;

/// Reads an interval as PostgreSQL writes them ('1 hour 30 minutes', '01:30:00', 'PT90M'), a day
/// having 24 hours. `unit` is the worth of a bare number, 0: a number needs its unit. The error's
/// message is what is wrong, without a place. Months and years have no fixed length: refused.
Result<Micros> ParseInterval(std::string_view text, Micros unit = 0);

}  // namespace millrace
