#include <algorithm>

#include "sim/scenario.h"
#include "support/captured_stderr.h"

namespace millrace::sim {
namespace {

constexpr const char* kAhead = "millrace_worker_append_ahead_seconds";
constexpr const char* kWarning = "the log's append times are ahead of this process's clock";

/// What a process says and shows while somebody whose clock is ahead of its own appends events.
struct Told {
  std::string said;
  double shown = 0;  ///< the most
};

Told Read(Scenario* s) {
  const test::CapturedStderr captured;
  SetLogLevel(LogLevel::kWarn);
  Told told;
  // Ticks, which the owner appends by its own clock, are read in between.
  for (int i = 0; i < 10; ++i) {
    s->Send(1);
    told.shown = std::max(told.shown, s->cluster.metrics.gauge(kAhead));
  }
  SetLogLevel(LogLevel::kOff);
  told.said = captured.Text();
  return told;
}

}  // namespace

TEST_CASE("append times more than a minute ahead of the clock are told and shown") {
  Scenario s;
  const Told level = Read(&s);
  CHECK(level.said.find(kWarning) == std::string::npos);
  CHECK(level.shown == 0);
  // Clocks may differ by some seconds: that is shown and no reason to warn.
  s.cluster.process().ShiftWall(-55 * kSecond);
  const Told little = Read(&s);
  CHECK(little.said.find(kWarning) == std::string::npos);
  CHECK(little.shown > 50);
  CHECK(little.shown <= 55);
  s.cluster.process().ShiftWall(-10 * kSecond);
  const Told much = Read(&s);
  const size_t at = much.said.find(kWarning);
  REQUIRE(at != std::string::npos);
  const std::string line = much.said.substr(at, much.said.find('\n', at) - at);
  CHECK(line.find("topic=" + s.stream.topic + " partition=0 offset=") != std::string::npos);
  CHECK(line.find("ahead_seconds=6") != std::string::npos);
  // One line is enough for all the records that are ahead.
  CHECK(much.said.find(kWarning, at + 1) == std::string::npos);
  CHECK(much.shown > 60);
  CHECK(much.shown <= 65);
  // The clock is set right.
  s.cluster.process().ShiftWall(65 * kSecond);
  s.Sleep(seconds(2));
  CHECK(s.cluster.metrics.gauge(kAhead) == 0);
  s.Finish();
  CHECK(s.Different() == "");
}

}  // namespace millrace::sim
