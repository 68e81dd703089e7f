#pragma once

#include <string_view>

#include "millrace/base/result.h"
#include "millrace/base/time.h"

namespace millrace {

/// Longest duration and window, about 100 years: sums with event times cannot overflow.
inline constexpr Micros kMaxDuration = 36'525 * kDay;

/// Reads an interval as PostgreSQL writes them ('1 hour 30 minutes', '01:30:00', 'PT90M'), a day
/// having 24 hours. The error's message is what is wrong, without a place. Months and years have no
/// fixed length: refused.
Result<Micros> ParseInterval(std::string_view text);

/// Reads the text of INTERVAL '...' FIELD, where a unit of worth `unit` stands behind the text: one
/// number, whole unless the unit is a second. PostgreSQL cuts everything else off to whole units,
/// as in '90 minutes' HOUR; such a text is refused.
Result<Micros> ParseIntervalField(std::string_view text, Micros unit);

}  // namespace millrace
