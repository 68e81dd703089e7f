#include "millrace/base/time.h"

#include <cstdio>

#include "millrace/base/facts.h"

namespace millrace {

int64_t DaysFromCivil(int64_t year, unsigned month, unsigned day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = FloorDiv(year, 400);
  const auto yoe = static_cast<unsigned>(year - era * 400);
  const unsigned doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<int64_t>(doe) - 719468;
}

CivilDate CivilFromDays(int64_t days) {
  days += 719468;
  const int64_t era = FloorDiv(days, 146097);
  const auto doe = static_cast<unsigned>(days - era * 146097);
  const unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const unsigned mp = (5 * doy + 2) / 153;
  const unsigned month = mp < 10 ? mp + 3 : mp - 9;
  return {static_cast<int64_t>(yoe) + era * 400 + (month <= 2 ? 1 : 0), month,
          doy - (153 * mp + 2) / 5 + 1};
}

std::string FormatDate(Micros t) {
  const CivilDate d = CivilFromDays(FloorDiv(t, kDay));
  char text[40];
  std::snprintf(text, sizeof text, "%04lld-%02u-%02u", static_cast<long long>(d.year), d.month,
                d.day);
  return text;
}

std::string FormatTimestamp(Micros t) {
  if (t == kPlusInfinity) return "infinity";
  if (t == kMinusInfinity) return "-infinity";
  const int64_t of_day = FloorMod(t, kDay);
  const int64_t s = of_day / kSecond;
  char text[64];
  std::snprintf(text, sizeof text, "T%02lld:%02lld:%02lld.%06lldZ",
                static_cast<long long>(s / 3600), static_cast<long long>(s / 60 % 60),
                static_cast<long long>(s % 60), static_cast<long long>(of_day % kSecond));
  return FormatDate(t) + text;
}

namespace {

/// Reads `digits` digits at *pos; -1 if they are not there.
int64_t Digits(std::string_view text, size_t* pos, size_t digits) {
  if (text.size() < *pos + digits) return -1;
  int64_t v = 0;
  for (size_t i = 0; i < digits; ++i) {
    const char c = text[*pos + i];
    if (c < '0' || c > '9') return -1;
    v = v * 10 + (c - '0');
  }
  *pos += digits;
  return v;
}

bool Skip(std::string_view text, size_t* pos, std::string_view any_of) {
  if (*pos >= text.size() || any_of.find(text[*pos]) == any_of.npos) return false;
  ++*pos;
  return true;
}

}  // namespace

Result<Micros> ParseTimestamp(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return InvalidArgument("not an RFC 3339 time with a zone: " + std::string(why),
                           {{"value", text.substr(0, 64)}});
  };
  size_t pos = 0;
  const bool before_christ = text.starts_with('-');
  pos = before_christ || text.starts_with('+') ? 1 : 0;
  size_t digits = 4;
  while (pos > 0 && digits < 6 && pos + digits < text.size() && text[pos + digits] != '-') ++digits;
  int64_t year = Digits(text, &pos, digits);
  if (year < 0 || !Skip(text, &pos, "-")) return bad("expected a four-digit year");
  if (before_christ) year = -year;
  const int64_t month = Digits(text, &pos, 2);
  if (month < 1 || month > 12 || !Skip(text, &pos, "-")) return bad("expected a month 01-12");
  const int64_t day = Digits(text, &pos, 2);
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const int64_t last = month == 2 && leap ? 29 : kDays[month - 1];
  if (day < 1 || day > last) return bad("no such day");
  if (!Skip(text, &pos, "Tt ")) return bad("expected T after the date");
  const int64_t hour = Digits(text, &pos, 2);
  if (hour < 0 || hour > 23 || !Skip(text, &pos, ":")) return bad("expected an hour 00-23");
  const int64_t minute = Digits(text, &pos, 2);
  if (minute < 0 || minute > 59 || !Skip(text, &pos, ":")) return bad("expected a minute 00-59");
  const int64_t second = Digits(text, &pos, 2);
  if (second < 0 || second > 59) return bad("expected a second 00-59");
  int64_t fraction = 0;
  if (Skip(text, &pos, ".")) {
    int64_t unit = kSecond / 10;
    const size_t begin = pos;
    for (int64_t d = 0; (d = Digits(text, &pos, 1)) >= 0; unit /= 10) {
      if (unit == 0 && d != 0) return bad("finer than a microsecond");
      fraction += d * unit;
    }
    if (pos == begin) return bad("expected digits after the point");
  }
  int64_t zone = 0;
  if (!Skip(text, &pos, "Zz")) {
    const bool west = pos < text.size() && text[pos] == '-';
    if (!Skip(text, &pos, "+-")) return bad("expected Z or an offset such as +01:00");
    const int64_t zh = Digits(text, &pos, 2);
    if (zh < 0 || zh > 23 || !Skip(text, &pos, ":"))
      return bad("expected an offset such as +01:00");
    const int64_t zm = Digits(text, &pos, 2);
    if (zm < 0 || zm > 59) return bad("expected an offset such as +01:00");
    zone = (zh * 60 + zm) * (west ? -60 : 60);
  }
  if (pos != text.size()) return bad("something follows the zone");
  const int64_t days =
      DaysFromCivil(year, static_cast<unsigned>(month), static_cast<unsigned>(day));
  const int64_t seconds = days * 86'400 + hour * 3'600 + minute * 60 + second - zone;
  Micros t = 0;
  if (__builtin_mul_overflow(seconds, kSecond, &t))
    return seconds < 0 ? kMinusInfinity + 1 : kPlusInfinity - 1;
  return SaturatingAdd(t, fraction);
}

}  // namespace millrace
