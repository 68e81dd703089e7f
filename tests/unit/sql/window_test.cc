#include <string>
#include <vector>

#include "sql_test_support.h"
#include "support/catch.h"

using namespace millrace;
using namespace millrace::sql_test;

namespace {

constexpr Micros kMinute = 60 * kSecond;
constexpr Micros kHour = 60 * kMinute;

WindowSpec Window(const std::string& from) { return PlanPipeline(WithFrom(from)).window; }

std::string WindowError(const std::string& from) { return ErrorOf(WithFrom(from)).message; }

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Start of the date in the zone of a one-day window.
std::string StartOf(const WindowSpec& window, int64_t year, unsigned month, unsigned day) {
  const auto index = static_cast<size_t>(DaysFromCivil(year, month, day));
  REQUIRE(index < window.day_starts.size());
  return FormatTimestamp(window.day_starts[index]).substr(0, 16);
}

WindowSpec Days(const std::string& zone) {
  return Window("tumble(s, ts, INTERVAL '1 day', timezone => '" + zone + "')");
}

}  // namespace

TEST_CASE("an interval reads as PostgreSQL reads it") {
  const auto c = GENERATE(values<std::pair<std::string, Micros>>({
      {"INTERVAL '10 seconds'", 10 * kSecond},
      {"INTERVAL '4 hours'", 4 * kHour},
      {"INTERVAL '90 minutes'", 90 * kMinute},
      {"INTERVAL '1 hour 30 minutes'", 90 * kMinute},
      {"INTERVAL '1 day'", kDay},
      {"INTERVAL '1.5 seconds'", 1'500'000},
      {"INTERVAL '0.000001 s'", 1},
      {"INTERVAL '1h30m'", 90 * kMinute},
      {"INTERVAL '250 ms'", 250'000},
      {"INTERVAL '7 us'", 7},
      {"INTERVAL '01:30:00'", 90 * kMinute},
      {"INTERVAL '1 day -02:00'", 22 * kHour},
      {"INTERVAL '00:00:00.25'", 250'000},
      {"INTERVAL 'PT1H30M'", 90 * kMinute},
      {"INTERVAL 'P1DT0.5S'", kDay + 500'000},
      {"INTERVAL '1' HOUR", kHour},
      {"INTERVAL '10' MINUTE", 10 * kMinute},
      {"INTERVAL '2' DAY", 2 * kDay},
      {"INTERVAL '1.5' SECOND", 1'500'000},
      {"'10 seconds'", 10 * kSecond},
      {"'10 seconds'::interval", 10 * kSecond},
      {"size => INTERVAL '1 hour'", kHour},
  }));
  CAPTURE(c.first);
  CHECK(Window("tumble(s, ts, " + c.first + ")").size == c.second);
}

TEST_CASE(
    "a number before a unit reads as in PostgreSQL, and a text that it would cut is refused") {
  struct Field {
    std::string text;
    std::string unit;
    Micros postgres;  ///< what PostgreSQL 15 makes of INTERVAL 'text' UNIT
    bool taken;
  };
  const auto c = GENERATE(values<Field>({
      {"1", "DAY", 86400000000, true},
      {"+3", "DAY", 259200000000, true},
      {"-1", "DAY", -86400000000, true},
      {" 4 ", "DAY", 345600000000, true},
      {"0010", "DAY", 864000000000, true},
      {"5.", "DAY", 432000000000, true},
      {"- 2", "DAY", -172800000000, true},
      {"1.5", "DAY", 86400000000, false},
      {".5", "DAY", 0, false},
      {"1.0", "DAY", 86400000000, false},
      {"90 minutes", "DAY", 0, false},
      {"25 hours", "DAY", 0, false},
      {"1 hour", "DAY", 0, false},
      {"36 hours", "DAY", 0, false},
      {"1 day 2 hours", "DAY", 86400000000, false},
      {"1:30", "DAY", 0, false},
      {"01:30:00", "DAY", 0, false},
      {"PT90M", "DAY", 0, false},
      {"P1D", "DAY", 86400000000, false},
      {"90 seconds", "DAY", 0, false},
      {"1.5 hours", "DAY", 0, false},
      {"2 weeks", "DAY", 1209600000000, false},
      {"1500 ms", "DAY", 0, false},
      {"1 2:03", "DAY", 86400000000, false},
      {"1h", "DAY", 0, false},
      {"1", "HOUR", 3600000000, true},
      {"+3", "HOUR", 10800000000, true},
      {"-1", "HOUR", -3600000000, true},
      {" 4 ", "HOUR", 14400000000, true},
      {"0010", "HOUR", 36000000000, true},
      {"5.", "HOUR", 18000000000, true},
      {"- 2", "HOUR", -7200000000, true},
      {"1.5", "HOUR", 3600000000, false},
      {".5", "HOUR", 0, false},
      {"1.0", "HOUR", 3600000000, false},
      {"90 minutes", "HOUR", 3600000000, false},
      {"25 hours", "HOUR", 90000000000, false},
      {"1 hour", "HOUR", 3600000000, false},
      {"36 hours", "HOUR", 129600000000, false},
      {"1 day 2 hours", "HOUR", 93600000000, false},
      {"1:30", "HOUR", 3600000000, false},
      {"01:30:00", "HOUR", 3600000000, false},
      {"PT90M", "HOUR", 3600000000, false},
      {"P1D", "HOUR", 86400000000, false},
      {"90 seconds", "HOUR", 0, false},
      {"1.5 hours", "HOUR", 3600000000, false},
      {"2 weeks", "HOUR", 1209600000000, false},
      {"1500 ms", "HOUR", 0, false},
      {"1 2:03", "HOUR", 93600000000, false},
      {"1h", "HOUR", 3600000000, false},
      {"1", "MINUTE", 60000000, true},
      {"+3", "MINUTE", 180000000, true},
      {"-1", "MINUTE", -60000000, true},
      {" 4 ", "MINUTE", 240000000, true},
      {"0010", "MINUTE", 600000000, true},
      {"5.", "MINUTE", 300000000, true},
      {"- 2", "MINUTE", -120000000, true},
      {"1.5", "MINUTE", 60000000, false},
      {".5", "MINUTE", 0, false},
      {"1.0", "MINUTE", 60000000, false},
      {"90 minutes", "MINUTE", 5400000000, false},
      {"25 hours", "MINUTE", 90000000000, false},
      {"1 hour", "MINUTE", 3600000000, false},
      {"36 hours", "MINUTE", 129600000000, false},
      {"1 day 2 hours", "MINUTE", 93600000000, false},
      {"1:30", "MINUTE", 5400000000, false},
      {"01:30:00", "MINUTE", 5400000000, false},
      {"PT90M", "MINUTE", 5400000000, false},
      {"P1D", "MINUTE", 86400000000, false},
      {"90 seconds", "MINUTE", 60000000, false},
      {"1.5 hours", "MINUTE", 5400000000, false},
      {"2 weeks", "MINUTE", 1209600000000, false},
      {"1500 ms", "MINUTE", 0, false},
      {"1 2:03", "MINUTE", 93780000000, false},
      {"1h", "MINUTE", 3600000000, false},
      {"1", "SECOND", 1000000, true},
      {"+3", "SECOND", 3000000, true},
      {"-1", "SECOND", -1000000, true},
      {" 4 ", "SECOND", 4000000, true},
      {"0010", "SECOND", 10000000, true},
      {"5.", "SECOND", 5000000, true},
      {"- 2", "SECOND", -2000000, true},
      {"1.5", "SECOND", 1500000, true},
      {".5", "SECOND", 500000, true},
      {"1.0", "SECOND", 1000000, true},
      {"90 minutes", "SECOND", 5400000000, false},
      {"25 hours", "SECOND", 90000000000, false},
      {"1 hour", "SECOND", 3600000000, false},
      {"36 hours", "SECOND", 129600000000, false},
      {"1 day 2 hours", "SECOND", 93600000000, false},
      {"1:30", "SECOND", 5400000000, false},
      {"01:30:00", "SECOND", 5400000000, false},
      {"PT90M", "SECOND", 5400000000, false},
      {"P1D", "SECOND", 86400000000, false},
      {"90 seconds", "SECOND", 90000000, false},
      {"1.5 hours", "SECOND", 5400000000, false},
      {"2 weeks", "SECOND", 1209600000000, false},
      {"1500 ms", "SECOND", 1500000, false},
      {"1 2:03", "SECOND", 93780000000, false},
      {"1h", "SECOND", 3600000000, false},
  }));
  CAPTURE(c.text, c.unit);
  // The view's offset, which may be of any sign.
  const std::string from =
      "tumble(s, ts, INTERVAL '36500 days', INTERVAL '" + c.text + "' " + c.unit + ")";
  if (c.taken) {
    CHECK(Window(from).offset == FloorMod(c.postgres, 36'500 * kDay));
  } else {
    CHECK(Contains(WindowError(from), "one whole number stands before the unit"));
  }
}

TEST_CASE("an interval without a fixed length or a meaning is refused") {
  const auto c = GENERATE(values<std::pair<std::string, std::string>>({
      {"INTERVAL '1 month'", "no fixed length"},
      {"INTERVAL '1 year 2 days'", "no fixed length"},
      {"INTERVAL 'P1M'", "no fixed length"},
      {"INTERVAL '1' MONTH", "no fixed length"},
      {"INTERVAL '1' YEAR", "no fixed length"},
      {"INTERVAL '5'", "needs a unit"},
      {"INTERVAL '1 fortnight'", "unknown unit \"fortnight\""},
      {"INTERVAL 'soon'", "not an interval"},
      {"INTERVAL ''", "not an interval"},
      {"INTERVAL '1:75'", "not an interval"},
      {"INTERVAL '0.0000001 s'", "finer than a microsecond"},
      {"INTERVAL '40000 days'", "longer than 36,525 days"},
      {"INTERVAL '99999999999999999999 s'", "too many digits"},
      {"INTERVAL '1:30' HOUR TO MINUTE", "this form of INTERVAL"},
      {"INTERVAL '0 s'", "must be more than 0"},
      {"INTERVAL '-1 hour'", "must be more than 0"},
      {"10", "must be an interval"},
      {"j", "must be an interval"},
  }));
  CAPTURE(c.first);
  const std::string message = WindowError("tumble(s, ts, " + c.first + ")");
  CAPTURE(message);
  CHECK(Contains(message, c.second));
}

TEST_CASE("a tumbling window slides by its size, and its offset is at least zero and below that") {
  WindowSpec window = Window("tumble(s, ts, INTERVAL '10 minutes')");
  CHECK(window.kind == WindowKind::kTumble);
  CHECK(window.slide == window.size);
  CHECK(window.offset == 0);
  CHECK(window.zone.empty());
  CHECK(window.day_starts.empty());
  for (const std::string offset : {"INTERVAL '-16 minutes'", "-INTERVAL '6 minutes'",
                                   "INTERVAL '4 minutes'", "\"offset\" => INTERVAL '14 minutes'"}) {
    CAPTURE(offset);
    CHECK(Window("tumble(s, ts, INTERVAL '10 minutes', " + offset + ")").offset == 4 * kMinute);
  }
}

TEST_CASE(
    "a hopping window has slide, size and an offset that is at least zero and below the slide") {
  WindowSpec window = Window("hop(s, ts, INTERVAL '3 seconds', INTERVAL '5 seconds')");
  CHECK(window.kind == WindowKind::kHop);
  CHECK(window.slide == 3 * kSecond);
  CHECK(window.size == 5 * kSecond);
  CHECK(window.offset == 0);
  window = Window("hop(s, ts, INTERVAL '3 seconds', INTERVAL '5 seconds', INTERVAL '-1 second')");
  CHECK(window.offset == 2 * kSecond);
  window = Window("hop(s, ts, size => INTERVAL '5 s', slide => INTERVAL '5 s')");
  CHECK(window.slide == 5 * kSecond);
  CHECK(Window("hop(s, ts, INTERVAL '1 minute', INTERVAL '1 day')").slide == kMinute);
}

TEST_CASE("a hopping window that loses events or multiplies them without bound is refused") {
  CHECK(Contains(WindowError("hop(s, ts, INTERVAL '1 hour', INTERVAL '59 minutes')"),
                 "the slide is larger than the size"));
  CHECK(Contains(WindowError("hop(s, ts, INTERVAL '1 minute', INTERVAL '24:00:00.000001')"),
                 "more than 1,440 windows"));
}

TEST_CASE("whole weeks are counted from Monday unless an offset is given") {
  CHECK(Window("tumble(s, ts, INTERVAL '1 week')").offset == 4 * kDay);
  CHECK(Window("tumble(s, ts, INTERVAL '14 days')").offset == 4 * kDay);
  CHECK(Window("tumble(s, ts, INTERVAL '168 hours')").offset == 4 * kDay);
  CHECK(Window("tumble(s, ts, INTERVAL '1 week', INTERVAL '0 s')").offset == 0);
  CHECK(Window("tumble(s, ts, INTERVAL '1 week', INTERVAL '6 days')").offset == 6 * kDay);
  CHECK(Window("tumble(s, ts, INTERVAL '6 days')").offset == 0);
  CHECK(Window("hop(s, ts, INTERVAL '1 week', INTERVAL '10 days')").offset == 4 * kDay);
  CHECK(Window("hop(s, ts, INTERVAL '1 day', INTERVAL '7 days')").offset == 0);
}

TEST_CASE("a time zone gives whole local days, and only tumble takes one") {
  const WindowSpec window = Window("tumble(s, ts, INTERVAL '2 days', timezone => 'Europe/Berlin')");
  CHECK(window.zone == "Europe/Berlin");
  CHECK(window.days == 2);
  CHECK(window.size == 2 * kDay);
  CHECK(window.slide == 2 * kDay);
  CHECK(window.offset == 0);
  CHECK(Window("tumble(s, ts, INTERVAL '1 week', timezone => 'Europe/Berlin')").days == 7);

  const std::string zone = "timezone => 'Europe/Berlin')";
  CHECK(Contains(WindowError("tumble(s, ts, INTERVAL '1 hour', " + zone), "whole days"));
  CHECK(Contains(WindowError("tumble(s, ts, INTERVAL '1 day', INTERVAL '1 hour', " + zone),
                 "takes no offset"));
  CHECK(Contains(WindowError("hop(s, ts, INTERVAL '1 day', INTERVAL '2 days', " + zone),
                 "only tumble() takes a time zone"));
  CHECK(Contains(WindowError("tumble(s, ts, INTERVAL '1 day', timezone => 'Europe/Berln')"),
                 "unknown time zone \"Europe/Berln\""));
  CHECK(Contains(WindowError("tumble(s, ts, INTERVAL '1 day', timezone => 'Europe/Berln')"),
                 "hint: did you mean \"Europe/Berlin\"?"));
  for (const std::string name : {"../../../etc/passwd", "posix/Europe/Berlin", "", "Europe"}) {
    CAPTURE(name);
    CHECK(Contains(WindowError("tumble(s, ts, INTERVAL '1 day', timezone => '" + name + "')"),
                   "unknown time zone"));
  }
}

TEST_CASE("days of Los Angeles are 23 and 25 hours long when its clocks change") {
  const WindowSpec window = Days("America/Los_Angeles");
  CHECK(StartOf(window, 2021, 3, 14) == "2021-03-14T08:00");
  CHECK(StartOf(window, 2021, 3, 15) == "2021-03-15T07:00");
  CHECK(StartOf(window, 2021, 11, 7) == "2021-11-07T07:00");
  CHECK(StartOf(window, 2021, 11, 8) == "2021-11-08T08:00");
}

TEST_CASE("a day without a midnight begins at its first instant") {
  const WindowSpec window = Days("America/Sao_Paulo");
  CHECK(StartOf(window, 2018, 11, 4) == "2018-11-04T03:00");
  CHECK(StartOf(window, 2018, 11, 5) == "2018-11-05T02:00");
}

TEST_CASE("a day with two midnights begins at the first") {
  // At 00:00 on 18 February 2018 the clocks of Sao Paulo went back to 23:00 on the 17th, so the
  // 18th began once; in Havana they go back at 01:00 to 00:00, and the day has two midnights.
  CHECK(StartOf(Days("America/Sao_Paulo"), 2018, 2, 18) == "2018-02-18T03:00");
  const WindowSpec havana = Days("America/Havana");
  CHECK(StartOf(havana, 2018, 11, 4) == "2018-11-04T04:00");
  CHECK(StartOf(havana, 2018, 11, 5) == "2018-11-05T05:00");
}

TEST_CASE("a date that a zone skipped has the start of the next, so dates stay countable") {
  const WindowSpec window = Days("Pacific/Apia");
  CHECK(StartOf(window, 2011, 12, 29) == "2011-12-29T10:00");
  CHECK(StartOf(window, 2011, 12, 30) == "2011-12-30T10:00");
  CHECK(StartOf(window, 2011, 12, 31) == "2011-12-30T10:00");
  CHECK(StartOf(window, 2012, 1, 1) == "2011-12-31T10:00");
}

TEST_CASE(
    "local days reach from 1970 to before 2101, and rules hold after the last listed change") {
  const WindowSpec window = Days("Europe/Berlin");
  CHECK(StartOf(window, 1970, 1, 1) == "1969-12-31T23:00");
  CHECK(StartOf(window, 2037, 7, 1) == "2037-06-30T22:00");
  CHECK(StartOf(window, 2099, 3, 29) == "2099-03-28T23:00");
  CHECK(StartOf(window, 2099, 3, 30) == "2099-03-29T22:00");
  CHECK(StartOf(window, 2099, 7, 1) == "2099-06-30T22:00");
  CHECK(FormatTimestamp(window.day_starts.back()) == "2100-12-31T23:00:00.000000Z");
  CHECK(Days("America/Los_Angeles").day_starts.back() ==
        DaysFromCivil(2100, 12, 31) * kDay + 8 * kHour);
  CHECK(Days("UTC").day_starts.size() == static_cast<size_t>(DaysFromCivil(2101, 1, 1)));
  CHECK(Days("Asia/Kathmandu").day_starts.front() == -(5 * kHour + 30 * kMinute));
  for (size_t i = 1; i < window.day_starts.size(); ++i) {
    if (window.day_starts[i] <= window.day_starts[i - 1]) FAIL("not ascending at " << i);
  }
}
