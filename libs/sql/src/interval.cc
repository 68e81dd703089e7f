#include "interval.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "millrace/model/column.h"
#include "source.h"

namespace millrace {
namespace {

constexpr Micros kMillisecond = 1'000;
constexpr Micros kMinute = 60 * kSecond;
constexpr Micros kHour = 60 * kMinute;

struct Unit {
  std::string_view name;
  Micros worth;  ///< 0: months and longer
};

constexpr Unit kUnits[] = {
    {"us", 1},
    {"usec", 1},
    {"usecs", 1},
    {"microsecond", 1},
    {"microseconds", 1},
    {"ms", kMillisecond},
    {"msec", kMillisecond},
    {"msecs", kMillisecond},
    {"millisecond", kMillisecond},
    {"milliseconds", kMillisecond},
    {"s", kSecond},
    {"sec", kSecond},
    {"secs", kSecond},
    {"second", kSecond},
    {"seconds", kSecond},
    {"m", kMinute},
    {"min", kMinute},
    {"mins", kMinute},
    {"minute", kMinute},
    {"minutes", kMinute},
    {"h", kHour},
    {"hr", kHour},
    {"hrs", kHour},
    {"hour", kHour},
    {"hours", kHour},
    {"d", kDay},
    {"day", kDay},
    {"days", kDay},
    {"w", 7 * kDay},
    {"week", 7 * kDay},
    {"weeks", 7 * kDay},
    {"mon", 0},
    {"mons", 0},
    {"month", 0},
    {"months", 0},
    {"quarter", 0},
    {"quarters", 0},
    {"y", 0},
    {"yr", 0},
    {"yrs", 0},
    {"year", 0},
    {"years", 0},
    {"decade", 0},
    {"decades", 0},
    {"century", 0},
    {"centuries", 0},
};

Error NoFixedLength(std::string_view text) {
  return InvalidArgument("months and years have no fixed length: " + Quoted(text) +
                         "; write days or weeks");
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

/// Reads one interval; keeps its sum in 128 bits, so that it is checked once at the end.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<Micros> Read() {
    Space();
    const bool iso = at_ < text_.size() && (text_[at_] == 'P' || text_[at_] == 'p');
    MILLRACE_TRY(iso ? Iso() : Plain());
    return Total();
  }

  Result<Micros> ReadField(Micros unit) {
    Space();
    const auto number = ReadNumber();
    Space();
    if (!number.ok() || at_ < text_.size() || (number->fraction > 0 && unit != kSecond)) {
      return InvalidArgument(
          "one whole number stands before the unit behind an interval: " + Quoted(text_) +
          "; write all of it in the quotes, for example INTERVAL '90 minutes'");
    }
    MILLRACE_TRY(Add(*number, unit));
    return Total();
  }

 private:
  Result<Micros> Total() const {
    if (sum_ > kMaxDuration || sum_ < -kMaxDuration)
      return InvalidArgument("longer than 36,525 days: " + Quoted(text_));
    return static_cast<Micros>(sum_);
  }
  Error NotAnInterval() const {
    return InvalidArgument("not an interval: " + Quoted(text_) +
                           "; write for example '1 hour 30 minutes'");
  }
  void Space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) {
      ++at_;
    }
  }

  struct Number {
    bool negative = false;
    Int128 digits = 0;  ///< the number times 10^fraction
    int fraction = 0;
  };

  Result<Number> ReadNumber() {
    Number out;
    if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) {
      out.negative = text_[at_++] == '-';
      Space();
    }
    bool any = false;
    bool point = false;
    int length = 0;
    for (; at_ < text_.size() && (IsDigit(text_[at_]) || (text_[at_] == '.' && !point)); ++at_) {
      if (text_[at_] == '.') {
        point = true;
        continue;
      }
      any = true;
      if (++length > 18) return InvalidArgument("too many digits: " + Quoted(text_));
      out.digits = out.digits * 10 + (text_[at_] - '0');
      if (point) ++out.fraction;
    }
    if (!any) return NotAnInterval();
    return out;
  }

  Status Add(const Number& number, Micros worth) {
    Int128 scale = 1;
    for (int i = 0; i < number.fraction; ++i) scale *= 10;
    const Int128 value = number.digits * worth;
    if (value % scale != 0) {
      return InvalidArgument("finer than a microsecond: " + Quoted(text_));
    }
    sum_ += number.negative ? -(value / scale) : value / scale;
    return {};
  }

  /// hours:minutes[:seconds], at the first colon.
  Status Clock(const Number& hours) {
    if (hours.fraction > 0) return NotAnInterval();
    MILLRACE_TRY(Add(hours, kHour));
    for (const Micros worth : {kMinute, kSecond}) {
      if (at_ >= text_.size() || text_[at_] != ':') return {};
      ++at_;
      if (at_ >= text_.size() || !IsDigit(text_[at_])) return NotAnInterval();
      MILLRACE_ASSIGN(Number part, ReadNumber());
      Int128 limit = 60;
      for (int i = 0; i < part.fraction; ++i) limit *= 10;
      if (part.digits >= limit || (part.fraction > 0 && worth != kSecond)) return NotAnInterval();
      part.negative = hours.negative;
      MILLRACE_TRY(Add(part, worth));
    }
    return {};
  }

  Status Plain() {
    bool any = false;
    for (Space(); at_ < text_.size(); Space()) {
      MILLRACE_ASSIGN(const Number number, ReadNumber());
      any = true;
      if (at_ < text_.size() && text_[at_] == ':') {
        MILLRACE_TRY(Clock(number));
        continue;
      }
      Space();
      const size_t start = at_;
      while (at_ < text_.size() && IsLetter(text_[at_])) ++at_;
      std::string word(text_.substr(start, at_ - start));
      std::transform(word.begin(), word.end(), word.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      if (word.empty()) {
        return InvalidArgument("an interval needs a unit: " + Quoted(text_) +
                               "; write for example '10 seconds'");
      }
      const auto* unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                      [&](const Unit& u) { return u.name == word; });
      if (unit == std::end(kUnits)) {
        return InvalidArgument("unknown unit " + Quoted(word) +
                               "; units are weeks, days, hours, minutes, seconds, milliseconds and "
                               "microseconds");
      }
      if (unit->worth == 0) return NoFixedLength(text_);
      MILLRACE_TRY(Add(number, unit->worth));
    }
    return any ? Status() : Status(NotAnInterval());
  }

  /// ISO 8601 with designators: P1DT2H30M.
  Status Iso() {
    ++at_;
    bool time = false;
    bool any = false;
    while (at_ < text_.size()) {
      if (!time && (text_[at_] == 'T' || text_[at_] == 't')) {
        time = true;
        ++at_;
        continue;
      }
      MILLRACE_ASSIGN(const Number number, ReadNumber());
      if (at_ >= text_.size()) return NotAnInterval();
      const char designator =
          static_cast<char>(std::toupper(static_cast<unsigned char>(text_[at_++])));
      Micros worth = 0;
      if (designator == 'Y' || (designator == 'M' && !time)) return NoFixedLength(text_);
      if (!time && designator == 'W') worth = 7 * kDay;
      if (!time && designator == 'D') worth = kDay;
      if (time && designator == 'H') worth = kHour;
      if (time && designator == 'M') worth = kMinute;
      if (time && designator == 'S') worth = kSecond;
      if (worth == 0) return NotAnInterval();
      MILLRACE_TRY(Add(number, worth));
      any = true;
    }
    return any ? Status() : Status(NotAnInterval());
  }

  std::string_view text_;
  size_t at_ = 0;
  Int128 sum_ = 0;
};

}  // namespace

Result<Micros> ParseInterval(std::string_view text) { return Reader(text).Read(); }

Result<Micros> ParseIntervalField(std::string_view text, Micros unit) {
  return Reader(text).ReadField(unit);
}

}  // namespace millrace
