#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "millrace/base/result.h"

namespace millrace {

/// Microseconds since the Unix epoch, UTC. The type of event time, append time and watermarks.
using Micros = int64_t;

inline constexpr Micros kMinusInfinity = std::numeric_limits<int64_t>::min();
inline constexpr Micros kPlusInfinity = std::numeric_limits<int64_t>::max();
inline constexpr Micros kSecond = 1'000'000;
inline constexpr Micros kDay = 86'400 * kSecond;
/// Event times lie in [0001-01-01, 10000-01-01).
inline constexpr Micros kMinEventTime = -62'135'596'800 * kSecond;
inline constexpr Micros kMaxEventTime = 253'402'300'800 * kSecond - 1;
constexpr bool IsEventTime(Micros t) { return t >= kMinEventTime && t <= kMaxEventTime; }

/// a + b, kept inside (-infinity, +infinity); an infinity stays what it is.
constexpr Micros SaturatingAdd(Micros a, Micros b) {
  if (a == kMinusInfinity || a == kPlusInfinity) return a;
  Micros r = 0;
  if (__builtin_add_overflow(a, b, &r)) return b > 0 ? kPlusInfinity : kMinusInfinity;
  return r;
}

/// floor(a / b) and a - b * floor(a / b) for b > 0 and any sign of a.
constexpr int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
constexpr int64_t FloorMod(int64_t a, int64_t b) { return a % b + (a % b < 0 ? b : 0); }

/// Days since 1970-01-01 of a proleptic Gregorian date, and back (Hinnant, "chrono-compatible
/// low-level date algorithms").
int64_t DaysFromCivil(int64_t year, unsigned month, unsigned day);
struct CivilDate {
  int64_t year;
  unsigned month;
  unsigned day;
};
CivilDate CivilFromDays(int64_t days);

/// `YYYY-MM-DDTHH:MM:SS.ffffffZ`, always six digits; "infinity" and "-infinity" for the bounds.
std::string FormatTimestamp(Micros t);
/// `YYYY-MM-DD` of the UTC day that holds t.
std::string FormatDate(Micros t);
/// RFC 3339 with a zone (`Z` or an offset), at most six fraction digits (more: they must be zero).
/// A sign before the year allows years of up to six digits (ISO 8601, expanded); what int64 cannot
/// hold becomes its bound. Error: kInvalidArgument. No check of the range of event times:
/// IsEventTime().
Result<Micros> ParseTimestamp(std::string_view text);

}  // namespace millrace
