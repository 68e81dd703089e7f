#pragma once

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>

#include "eval.h"
#include "millrace/base/time.h"
#include "millrace/model/row.h"

namespace millrace::window {

/// The text form of a value: integers in decimal, true/false, shortest round trip of doubles, RFC
/// 3339 with six digits.
template <typename From>
std::string CastToText(Type from, const From& v) {
  if constexpr (std::is_same_v<From, std::string_view>) {
    return std::string(v);
  } else if constexpr (std::is_same_v<From, double>) {
    return FormatDouble(v);
  } else if constexpr (std::is_same_v<From, Int128>) {
    return FormatNumeric(v);
  } else {
    if (from == Type::kBool) return v != 0 ? "true" : "false";
    return from == Type::kTimestamp ? FormatTimestamp(v) : std::to_string(v);
  }
}

inline std::string_view TrimSpaces(std::string_view s) {
  constexpr std::string_view kSpaces = " \t\n\r\f\v";
  const size_t first = s.find_first_not_of(kSpaces);
  if (first == s.npos) return {};
  return s.substr(first, s.find_last_not_of(kSpaces) - first + 1);
}

/// Decimal digits with an optional sign, within [low, high].
template <typename T>
uint8_t ParseInteger(std::string_view s, Int128 low, Int128 high, T* out) {
  const bool negative = !s.empty() && s.front() == '-';
  if (!s.empty() && (s.front() == '-' || s.front() == '+')) s.remove_prefix(1);
  if (s.empty()) return kBadCast;
  Int128 v = 0;
  for (const char c : s) {
    if (c < '0' || c > '9') return kBadCast;
    if (v > kMaxNumeric / 10) return kOverflow;
    v = v * 10 + (c - '0');
  }
  if (negative) v = -v;
  if (v < low || v > high) return kOverflow;
  *out = static_cast<T>(v);
  return kNoError;
}

/// PostgreSQL's spellings: any prefix of true, false, yes, no; on, off, of; 1, 0; in any case.
inline uint8_t ParseBool(std::string_view s, uint8_t* out) {
  std::string lower(s);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const auto spells = [&](std::string_view word, size_t least) {
    return lower.size() >= least && word.starts_with(lower);
  };
  const bool yes = spells("true", 1) || spells("yes", 1) || spells("on", 2) || lower == "1";
  const bool no = spells("false", 1) || spells("no", 1) || spells("off", 2) || lower == "0";
  *out = yes ? 1 : 0;
  return yes || no ? kNoError : kBadCast;
}

template <typename To>
uint8_t ParseText(std::string_view text, Type to, To* out) {
  const std::string_view s = TrimSpaces(text);
  if constexpr (std::is_same_v<To, double>) {
    // from_chars takes no plus sign; what it takes beyond the rules is a NaN with a sign or
    // payload.
    const bool plus = s.starts_with('+');
    const std::string_view digits = s.substr(plus ? 1 : 0);
    if (digits.empty() || (plus && digits.front() == '-')) return kBadCast;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *out);
    if (end != digits.data() + digits.size()) return kBadCast;
    if (error == std::errc() && std::isnan(*out) && s.size() != 3) return kBadCast;
    if (error == std::errc::result_out_of_range) {
      // Too large is an error, too small is 0 or the nearest subnormal.
      *out = std::strtod(std::string(digits).c_str(), nullptr);
      return std::isinf(*out) ? kOverflow : kNoError;
    }
    return error == std::errc() ? kNoError : kBadCast;
  } else if constexpr (std::is_same_v<To, uint8_t>) {
    return ParseBool(s, out);
  } else if constexpr (std::is_same_v<To, Int128>) {
    return ParseInteger(s, -kMaxNumeric, kMaxNumeric, out);
  } else {
    if (to == Type::kTimestamp) {
      const auto t = ParseTimestamp(s);
      if (!t.ok()) return kBadCast;
      if (!IsEventTime(*t)) return kOverflow;
      *out = static_cast<To>(*t);
      return kNoError;
    }
    return ParseInteger(s, std::numeric_limits<To>::min(), std::numeric_limits<To>::max(), out);
  }
}

/// Casts as PostgreSQL does: doubles to integers round half to even, out of range is an error.
template <typename From, typename To>
uint8_t CastValue([[maybe_unused]] Type from, [[maybe_unused]] Type to, const From& v, To* out) {
  if constexpr (std::is_same_v<From, std::string_view>) {
    return ParseText<To>(v, to, out);
  } else if constexpr (std::is_same_v<To, uint8_t>) {
    *out = v != From{} ? 1 : 0;
    return kNoError;
  } else if constexpr (std::is_same_v<To, double>) {
    *out = static_cast<double>(v);
    return kNoError;
  } else if constexpr (std::is_same_v<From, double>) {
    const double r = std::nearbyint(v);
    bool fits = false;
    if constexpr (std::is_same_v<To, Int128>) {
      fits = r >= -1e38 && r <= 1e38;  // the double 1e38 is a little less than 10^38
    } else {
      // 2^31 and 2^63 are doubles; the largest values themselves may not be.
      constexpr double kBound = std::is_same_v<To, int32_t> ? 0x1p31 : 0x1p63;
      fits = r >= -kBound && r < kBound;
    }
    if (!fits) return kOverflow;
    *out = static_cast<To>(r);
    return kNoError;
  } else {
    const auto wide = static_cast<Int128>(v);
    if constexpr (!std::is_same_v<To, Int128>) {
      if (wide < std::numeric_limits<To>::min() || wide > std::numeric_limits<To>::max())
        return kOverflow;
    }
    *out = static_cast<To>(wide);
    return kNoError;
  }
}

}  // namespace millrace::window
