#include "millrace/base/time.h"
#include "support/catch.h"

using namespace millrace;

TEST_CASE("timestamps are written with six digits and read back") {
  const Micros t =
      GENERATE(Micros{0}, Micros{-1}, kMinEventTime, kMaxEventTime, Micros{978'307'200'123'456});
  INFO(FormatTimestamp(t));
  CHECK(ParseTimestamp(FormatTimestamp(t)).value() == t);
}

TEST_CASE("a timestamp may have any zone offset and up to six digits") {
  CHECK(ParseTimestamp("2001-01-01T01:30:00+01:30").value() == 978'307'200 * kSecond);
  CHECK(ParseTimestamp("2000-12-31t23:00:00.5-01:00").value() ==
        978'307'200 * kSecond + kSecond / 2);
  CHECK(ParseTimestamp("2000-02-29T00:00:00.1000000000Z").value() ==
        951'782'400 * kSecond + kSecond / 10);
}

TEST_CASE("signed years reach beyond the range of event times") {
  CHECK(ParseTimestamp("-1997-01-01T00:00:00Z").value() < kMinEventTime);
  CHECK(ParseTimestamp("+10000-01-01T00:00:00Z").value() == kMaxEventTime + 1);
  CHECK(ParseTimestamp(FormatTimestamp(-125'186'256'000'000'000)).value() ==
        -125'186'256'000'000'000);
  CHECK(ParseTimestamp("+999999-01-01T00:00:00Z").value() == kPlusInfinity - 1);
}

TEST_CASE("what is not an RFC 3339 time with a zone is refused") {
  const char* bad = GENERATE(
      "", "2001-01-01", "2001-01-01T00:00:00", "2001-02-29T00:00:00Z", "2001-13-01T00:00:00Z",
      "2001-01-01T24:00:00Z", "2001-01-01T00:00:00.Z", "2001-01-01T00:00:00.1234567Z",
      "2001-01-01T00:00:00Z ", "12001-01-01T00:00:00Z", "2001-01-01T00:00:60Z");
  INFO(bad);
  CHECK_FALSE(ParseTimestamp(bad).ok());
}
