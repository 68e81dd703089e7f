#include "scalar.h"

#include <charconv>
#include <cmath>
#include <string>

namespace millrace::record_simdjson {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

/// Skips digits; how many there were.
size_t Digits(std::string_view s, size_t* at) {
  const size_t begin = *at;
  while (*at < s.size() && IsDigit(s[*at])) ++*at;
  return *at - begin;
}

/// Where the decimal point lies relative to the first digit that is not zero: v is about
/// 10^magnitude.
int64_t Magnitude(std::string_view token) {
  int64_t exponent = 0;
  const size_t e = token.find_first_of("eE");
  std::string_view digits = token.substr(0, e);
  if (e != token.npos) {
    std::string_view text = token.substr(e + 1);
    if (text.front() == '+') text.remove_prefix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), exponent);
    if (error != std::errc()) exponent = text.front() == '-' ? -1'000'000'000 : 1'000'000'000;
  }
  if (digits.front() == '-') digits.remove_prefix(1);
  const size_t point = std::min(digits.find('.'), digits.size());
  const size_t first = digits.find_first_of("123456789");
  if (first == digits.npos) return -1'000'000'000;
  return exponent + static_cast<int64_t>(point) - static_cast<int64_t>(first);
}

/// Two digits as a number, without looking whether they are digits.
unsigned Two(const char* p) {
  return static_cast<unsigned>(p[0] - '0') * 10 + static_cast<unsigned>(p[1] - '0');
}

/// `YYYY-MM-DDTHH:MM:SS[.f{1,6}]Z`, what nearly every producer writes. False: not that, which says
/// nothing about the text.
bool ParseUsualTime(std::string_view text, Micros* out) {
  constexpr size_t kSeconds = 19;
  if (text.size() < kSeconds + 1 || text.size() > kSeconds + 8 || text.back() != 'Z') return false;
  const char* p = text.data();
  if (p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':' || p[16] != ':') return false;
  for (const int i : {0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18})
    if (!IsDigit(p[i])) return false;
  const unsigned year = Two(p) * 100 + Two(p + 2);
  const unsigned month = Two(p + 5);
  const unsigned day = Two(p + 8);
  const unsigned hour = Two(p + 11);
  const unsigned minute = Two(p + 14);
  const unsigned second = Two(p + 17);
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > 28 || hour > 23 || minute > 59 ||
      second > 59) {
    return false;
  }
  int64_t fraction = 0;
  if (text.size() > kSeconds + 1) {
    if (p[kSeconds] != '.' || text.size() == kSeconds + 2) return false;
    int64_t unit = kSecond / 10;
    for (size_t i = kSeconds + 1; i + 1 < text.size(); ++i, unit /= 10) {
      if (!IsDigit(p[i])) return false;
      fraction += unit * (p[i] - '0');
    }
  }
  *out = DaysFromCivil(year, month, day) * kDay +
         (int64_t{hour} * 3600 + minute * 60 + second) * kSecond + fraction;
  return true;
}

/// A time that is well formed but for a year that RFC 3339 cannot write.
bool HasOtherYear(std::string_view text) {
  size_t at = !text.empty() && (text.front() == '-' || text.front() == '+') ? 1 : 0;
  const bool sign = at == 1;
  const size_t begin = at;
  const size_t digits = Digits(text, &at);
  if (digits == 0 || (!sign && digits < 5 && text.substr(begin, digits) != "0000")) return false;
  return ParseTimestamp("2000" + std::string(text.substr(at))).ok();
}

/// Clinger's fast path ("How to read floating point numbers accurately"): digits below 2^53 and a
/// power of ten up to 10^22 are doubles, so one division rounds once. False: not so simple.
bool ParseShortDouble(std::string_view token, double* out) {
  static constexpr double kPowers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  if (token.size() > 16) return false;
  const bool negative = token.front() == '-';
  int64_t digits = 0;
  size_t point = token.size();
  for (size_t i = negative ? 1 : 0; i < token.size(); ++i) {
    if (token[i] == '.') {
      point = i + 1;
    } else if (IsDigit(token[i])) {
      digits = digits * 10 + (token[i] - '0');
    } else {
      return false;
    }
  }
  const double v = static_cast<double>(digits) / kPowers[token.size() - point];
  *out = negative ? -v : v;
  return digits < (int64_t{1} << 53);
}

}  // namespace

bool IsNumber(std::string_view s) {
  size_t at = !s.empty() && s.front() == '-' ? 1 : 0;
  const size_t first = at;
  const size_t whole = Digits(s, &at);
  if (whole == 0 || (whole > 1 && s[first] == '0')) return false;
  if (at < s.size() && s[at] == '.') {
    ++at;
    if (Digits(s, &at) == 0) return false;
  }
  if (at < s.size() && (s[at] == 'e' || s[at] == 'E')) {
    ++at;
    if (at < s.size() && (s[at] == '+' || s[at] == '-')) ++at;
    if (Digits(s, &at) == 0) return false;
  }
  return at == s.size();
}

Parsed ParseInteger(std::string_view token, int64_t low, int64_t high, int64_t* out) {
  const bool negative = !token.empty() && token.front() == '-';
  const std::string_view digits = token.substr(negative ? 1 : 0);
  if (digits.empty() || (digits.size() > 1 && digits.front() == '0')) return Parsed::kNo;
  uint64_t v = 0;
  bool over = false;
  for (const char c : digits) {
    if (!IsDigit(c)) return Parsed::kNo;
    over |= __builtin_mul_overflow(v, uint64_t{10}, &v) ||
            __builtin_add_overflow(v, static_cast<uint64_t>(c - '0'), &v);
  }
  constexpr auto kTop = uint64_t{1} << 63;
  if (over || v > kTop || (v == kTop && !negative)) return Parsed::kOutOfRange;
  *out = static_cast<int64_t>(negative ? 0 - v : v);
  return *out < low || *out > high ? Parsed::kOutOfRange : Parsed::kOk;
}

Parsed ParseDouble(std::string_view token, double* out) {
  if (ParseShortDouble(token, out)) return Parsed::kOk;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), *out);
  if (error == std::errc()) return Parsed::kOk;
  if (Magnitude(token) > 0) return Parsed::kOutOfRange;
  *out = token.front() == '-' ? -0.0 : 0.0;
  return Parsed::kOk;
}

Parsed ParseTime(std::string_view text, Micros* out) {
  if (ParseUsualTime(text, out)) return Parsed::kOk;
  const auto t = ParseTimestamp(text);
  if (!t.ok()) return HasOtherYear(text) ? Parsed::kOutOfRange : Parsed::kNo;
  *out = *t;
  return *t < kMinEventTime || *t > kMaxEventTime ? Parsed::kOutOfRange : Parsed::kOk;
}

}  // namespace millrace::record_simdjson
