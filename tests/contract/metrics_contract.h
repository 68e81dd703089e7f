#pragma once

#include <sstream>

#include "millrace/base/check.h"
#include "millrace/metrics/metrics.h"
#include "support/catch.h"

namespace millrace::test {

/// The value behind `series` in a text exposition, "" if it is not there.
inline std::string Sample(const std::string& text, const std::string& series) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(series + " ")) return line.substr(series.size() + 1);
  return "";
}

/// What every body of the port `metrics` promises.
inline void CheckMetricsContract(MetricRegistry& m) {
  SECTION("a metric is the same for the same name and labels, in any order") {
    m.GetCounter("millrace_a_total", "Help.", {{"x", "1"}, {"b", "2"}}).Add();
    m.GetCounter("millrace_a_total", "Other.", {{"b", "2"}, {"x", "1"}}).Add(2.5);
    m.GetCounter("millrace_a_total", "Help.", {{"x", "2"}, {"b", "2"}}).Add();
    CHECK(Sample(m.Expose(), "millrace_a_total{b=\"2\",x=\"1\"}") == "3.5");
    CHECK(Sample(m.Expose(), "millrace_a_total{b=\"2\",x=\"2\"}") == "1");
  }
  SECTION("a gauge holds what was set last, and a histogram counts by bounds") {
    Gauge& g = m.GetGauge("millrace_g", "Help.", {});
    g.Set(5);
    g.Set(-2);
    CHECK(Sample(m.Expose(), "millrace_g") == "-2");
    Histogram& h = m.GetHistogram("millrace_h_seconds", "Help.", {{"s", "x"}}, {0.5, 1});
    for (const double v : {0.25, 0.5, 0.75, 8.0}) h.Observe(v);
    const std::string text = m.Expose();
    CHECK(Sample(text, "millrace_h_seconds_bucket{s=\"x\",le=\"0.5\"}") == "2");
    CHECK(Sample(text, "millrace_h_seconds_bucket{s=\"x\",le=\"1\"}") == "3");
    CHECK(Sample(text, "millrace_h_seconds_bucket{s=\"x\",le=\"+Inf\"}") == "4");
    CHECK(Sample(text, "millrace_h_seconds_sum{s=\"x\"}") == "9.5");
    CHECK(Sample(text, "millrace_h_seconds_count{s=\"x\"}") == "4");
  }
  SECTION("any label value is exposed without breaking the line") {
    m.GetCounter("millrace_a_total", "Help.", {{"x", "a\"b\\c\nd"}}).Add();
    CHECK(Sample(m.Expose(), "millrace_a_total{x=\"a\\\"b\\\\c\\nd\"}") == "1");
  }
  SECTION("names that are none, another kind and falling counters are our bugs") {
    CHECK_THROWS_AS(m.GetCounter("9a", "", {}), InvariantViolation);
    CHECK_THROWS_AS(m.GetCounter("a-b", "", {}), InvariantViolation);
    CHECK_THROWS_AS(m.GetCounter("a", "", {{"", "x"}}), InvariantViolation);
    Counter& c = m.GetCounter("millrace_a_total", "", {});
    CHECK_THROWS_AS(m.GetGauge("millrace_a_total", "", {}), InvariantViolation);
    CHECK_THROWS_AS(c.Add(-1), InvariantViolation);
  }
}

}  // namespace millrace::test
