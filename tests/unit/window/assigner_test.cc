#include "millrace/window/assigner.h"

#include <rapidcheck.h>

#include "window_test_support.h"

using namespace millrace;
using namespace millrace::window;

namespace {

WindowSpec Hop(Micros size, Micros slide, Micros offset) {
  WindowSpec spec;
  spec.kind = size == slide ? WindowKind::kTumble : WindowKind::kHop;
  spec.size = size;
  spec.slide = slide;
  spec.offset = offset;
  return spec;
}

WindowSpec AnySpec() {
  const auto size = *rc::gen::inRange<Micros>(1, 40);
  const auto slide = *rc::gen::oneOf(rc::gen::just(size), rc::gen::inRange<Micros>(1, size + 1));
  return Hop(size, slide, *rc::gen::inRange<Micros>(-100, 100));
}

bool Starts(const WindowSpec& spec, Micros t) { return FloorMod(t - spec.offset, spec.slide) == 0; }

/// By the rule: every start congruent to the offset modulo the slide with start <= t < start +
/// size.
std::vector<Span> WindowsOf(const WindowSpec& spec, Micros t) {
  std::vector<Span> windows;
  for (Micros start = t - spec.size + 1; start <= t; ++start) {
    if (Starts(spec, start)) windows.push_back({start, start + spec.size});
  }
  return windows;
}

/// Local days of a zone.
Assigner Days(int days, const std::string& zone) {
  return Assigner(Plan("ts timestamptz NOT NULL", "watermark_delay = '0 seconds'",
                       "CREATE MATERIALIZED VIEW r AS SELECT window_start, window_end, count(*) AS "
                       "n FROM tumble(s, ts, INTERVAL '" +
                           std::to_string(days) + " days', timezone => '" + zone +
                           "') GROUP BY window_start, window_end;")
                      .pipeline.window);
}

Span Between(const char* start, const char* end) {
  return {ParseTimestamp(start).value(), ParseTimestamp(end).value()};
}

}  // namespace

TEST_CASE("slices divide time, and all times of a slice lie in the same windows") {
  CHECK(rc::check([] {
    const WindowSpec spec = AnySpec();
    const Assigner assigner(spec);
    const auto t = *rc::gen::inRange<Micros>(-200, 200);
    const Span slice = assigner.SliceOf(t);
    RC_ASSERT(slice.Holds(t));
    RC_ASSERT(assigner.SliceOf(slice.end).start == slice.end);
    RC_ASSERT(assigner.SliceOf(slice.start - 1).end == slice.start);
    for (Micros other = slice.start; other < slice.end; ++other) {
      RC_ASSERT(assigner.SliceOf(other) == slice);
      RC_ASSERT(WindowsOf(spec, other) == WindowsOf(spec, t));
    }
  }));
}

TEST_CASE("the windows of a slice are those of the rule, from the first to the last") {
  CHECK(rc::check([] {
    const WindowSpec spec = AnySpec();
    const Assigner assigner(spec);
    const auto t = *rc::gen::inRange<Micros>(-200, 200);
    const auto expected = WindowsOf(spec, t);
    const Span slice = assigner.SliceOf(t);
    const Span last = assigner.LastWindowOf(slice);
    Span window = assigner.FirstWindowOf(slice);
    RC_ASSERT(assigner.Count(window, last) == static_cast<int64_t>(expected.size()));
    for (const Span& e : expected) {
      RC_ASSERT(window == e);
      window = assigner.NextWindow(window);
    }
    RC_ASSERT(expected.back() == last);
    RC_ASSERT(assigner.Count(window, last) == 0);
  }));
}

TEST_CASE("the first window that ends after, or starts at, a time") {
  CHECK(rc::check([] {
    const WindowSpec spec = AnySpec();
    const Assigner assigner(spec);
    const auto t = *rc::gen::inRange<Micros>(-200, 200);
    Micros start = t;
    while (!Starts(spec, start)) ++start;
    RC_ASSERT(assigner.FirstWindowStartingAt(t) == (Span{start, start + spec.size}));
    Micros end = t + 1;
    while (!Starts(spec, end - spec.size)) ++end;
    RC_ASSERT(assigner.FirstWindowEndingAfter(t) == (Span{end - spec.size, end}));
  }));
}

TEST_CASE("infinite times give windows outside of all event times") {
  const Micros first_event = ParseTimestamp("0001-01-01T00:00:00Z").value();
  const Micros last_event = ParseTimestamp("9999-12-31T23:59:59.999999Z").value();
  for (const Assigner& assigner : {Assigner(Hop(7, 3, 1)), Assigner(Hop(kDay, kDay, 0)),
                                   Assigner(Hop(36'525 * kDay, 36'525 * kDay / 1440, -5))}) {
    CHECK(assigner.FirstWindowEndingAfter(kMinusInfinity).end < first_event);
    CHECK(assigner.FirstWindowStartingAt(kMinusInfinity).end < first_event);
    CHECK(assigner.FirstWindowEndingAfter(kPlusInfinity).start > last_event);
    CHECK(assigner.FirstWindowStartingAt(kPlusInfinity).start > last_event);
  }
}

TEST_CASE("a local day has 23 or 25 hours where clocks change") {
  const Assigner berlin = Days(1, "Europe/Berlin");
  const auto day = [&](const char* t) { return berlin.SliceOf(ParseTimestamp(t).value()); };
  CHECK(day("2024-03-31T12:00:00Z") == Between("2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z"));
  CHECK(day("2024-10-27T00:30:00Z") == Between("2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z"));
  CHECK(day("2024-10-27T22:59:59Z") == day("2024-10-26T22:00:00Z"));
}

TEST_CASE("a skipped date has no window") {
  // Samoa went from 29 to 31 December 2011.
  const Assigner apia = Days(1, "Pacific/Apia");
  const Span before = Between("2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z");
  const Span after = Between("2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z");
  CHECK(apia.SliceOf(before.start) == before);
  CHECK(apia.SliceOf(before.end - 1) == before);
  CHECK(apia.SliceOf(after.start) == after);
  CHECK(apia.NextWindow(before) == after);
  CHECK(apia.FirstWindowStartingAt(before.start + 1) == after);
  CHECK(apia.FirstWindowEndingAfter(before.end) == after);
  // Of several days it still counts as a date.
  const Assigner weeks = Days(7, "Pacific/Apia");
  const Span week = weeks.SliceOf(before.start);
  CHECK(week == Between("2011-12-26T10:00:00Z", "2012-01-01T10:00:00Z"));
}

TEST_CASE("outside of the zone's table the nearest offset holds") {
  const Assigner berlin = Days(1, "Europe/Berlin");
  const auto day = [&](const char* t) { return berlin.SliceOf(ParseTimestamp(t).value()); };
  CHECK(day("1931-07-01T12:00:00Z") == Between("1931-06-30T23:00:00Z", "1931-07-01T23:00:00Z"));
  CHECK(day("2150-07-01T12:00:00Z") == Between("2150-06-30T23:00:00Z", "2150-07-01T23:00:00Z"));
}

TEST_CASE("windows of local days divide time") {
  for (const char* zone : {"Pacific/Apia", "America/Sao_Paulo", "Africa/Cairo", "Asia/Gaza"}) {
    for (const int days : {1, 3, 7}) {
      const Assigner assigner = Days(days, zone);
      CHECK(rc::check([&] {
        const Micros year = 365 * kDay;
        const auto t = *rc::gen::inRange<Micros>(-20 * year, 150 * year);
        const Span w = assigner.SliceOf(t);
        RC_ASSERT(w.Holds(t));
        RC_ASSERT(assigner.SliceOf(w.start) == w);
        RC_ASSERT(assigner.SliceOf(w.end - 1) == w);
        RC_ASSERT(assigner.FirstWindowOf(w) == w);
        RC_ASSERT(assigner.LastWindowOf(w) == w);
        RC_ASSERT(assigner.Count(w, w) == 1);
        const Span next = assigner.NextWindow(w);
        RC_ASSERT(next == assigner.SliceOf(w.end));
        RC_ASSERT(next.start == w.end);
        RC_ASSERT(assigner.FirstWindowEndingAfter(t) == w);
        RC_ASSERT(assigner.FirstWindowStartingAt(t) == (t == w.start ? w : next));
        const Micros length = w.end - w.start;
        RC_ASSERT(length <= days * kDay + 2 * 3600 * kSecond);
        RC_ASSERT(length >= (days - 1) * kDay + 22 * 3600 * kSecond || days > 1);
      }));
    }
  }
}
