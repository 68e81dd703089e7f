#pragma once

#include <cstdint>
#include <string_view>

#include "millrace/base/time.h"

namespace millrace::record_simdjson {

/// What a token or string is worth as a value of some type.
enum class Parsed : uint8_t {
  kOk,
  kNo,          ///< JSON, but not of this type
  kOutOfRange,  ///< of this type, but outside its range
};

/// The grammar of JSON numbers (RFC 8259 section 6).
bool IsNumber(std::string_view token);
/// A JSON number without fraction and exponent, in [low, high].
Parsed ParseInteger(std::string_view token, int64_t low, int64_t high, int64_t* out);
/// A token of which IsNumber holds. Too small for a double is a zero, too large kOutOfRange.
Parsed ParseDouble(std::string_view token, double* out);
/// RFC 3339 with a zone, in the range of event times; kOutOfRange also for years that RFC 3339
/// cannot write.
Parsed ParseTime(std::string_view text, Micros* out);

}  // namespace millrace::record_simdjson
