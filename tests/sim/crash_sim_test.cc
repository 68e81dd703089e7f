#include <cstdio>
#include <cstdlib>
#include <map>

#include "millrace/base/crash_point.h"
#include "millrace/base/log.h"
#include "sim/history.h"
#include "support/catch.h"

namespace millrace::sim {
namespace {

/// The crash point that the next pass brings down, and how often each was passed.
struct CrashPlan {
  std::string at;
  int countdown = 0;
  std::map<std::string, int> passed;
  std::map<std::string, int> crashed;
};
CrashPlan* plan = nullptr;

void AtCrashPoint(std::string_view name) {
  if (plan == nullptr) return;
  ++plan->passed[std::string(name)];
  if (plan->at != name || --plan->countdown > 0) return;
  plan->at.clear();
  ++plan->crashed[std::string(name)];
  throw SimCrash{std::string(name)};
}

int Seeds() {
  const char* text = std::getenv("MILLRACE_SIM_SEEDS");
  return text == nullptr ? 300 : std::atoi(text);
}

uint64_t FirstSeed() {
  const char* text = std::getenv("MILLRACE_SIM_FIRST_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("without faults the stores hold what a fold of the whole log puts out") {
  SetLogLevel(LogLevel::kError);
  const History history = Run(4, 0, Faults());
  CHECK(history.differences == "");
  CHECK(history.events > 100);
}

TEST_CASE("lost calls and unknown outcomes alone change no result") {
  SetLogLevel(LogLevel::kOff);
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    REQUIRE(Run(seed, 0).differences == "");
  }
}

TEST_CASE("crashes at any step, lost calls and unknown outcomes change no result") {
  SetLogLevel(LogLevel::kOff);
  int64_t kills = 0;
  int64_t trims = 0;
  int64_t cleaned = 0;
  int64_t deleted = 0;
  int64_t events = 0;
  const uint64_t first = FirstSeed();
  for (uint64_t seed = first; seed < first + static_cast<uint64_t>(Seeds()); ++seed) {
    const History history = Run(seed, 1.0);
    INFO("seed " << seed << ": MILLRACE_SIM_FIRST_SEED=" << seed
                 << " MILLRACE_SIM_SEEDS=1 replays it");
    REQUIRE(history.differences == "");
    kills += history.kills;
    trims += history.trims;
    cleaned += history.cleaned;
    deleted += history.deleted;
    events += history.events;
  }
  std::printf(
      "simulated: %d seeds, %lld events, %lld kills, %lld starts from a later snapshot, %lld "
      "objects cleaned away, %lld records deleted; lost 0, duplicated 0\n",
      Seeds(), static_cast<long long>(events), static_cast<long long>(kills),
      static_cast<long long>(trims), static_cast<long long>(cleaned),
      static_cast<long long>(deleted));
  CHECK(kills > Seeds());
  CHECK(trims > Seeds() / 2);
  CHECK(cleaned > Seeds());
  CHECK(deleted > 20 * Seeds());
}

TEST_CASE("every acknowledged event is counted exactly once, wherever gateway and worker crash") {
  SetLogLevel(LogLevel::kOff);
  int64_t kills = 0;
  int64_t events = 0;
  const uint64_t first = FirstSeed();
  for (uint64_t seed = first; seed < first + static_cast<uint64_t>(Seeds()); ++seed) {
    const History history = RunThroughGateway(seed, 0.2);
    INFO("seed " << seed);
    REQUIRE(history.differences == "");
    kills += history.kills;
    events += history.events;
  }
  std::printf("simulated: %d seeds, %lld acknowledged events, %lld kills; lost 0, duplicated 0\n",
              Seeds(), static_cast<long long>(events), static_cast<long long>(kills));
  CHECK(kills > Seeds());
  CHECK(events > 100 * Seeds());
}

TEST_CASE("the same seed gives the same history") {
  SetLogLevel(LogLevel::kOff);
  CHECK(Run(11, 1.0).trace == Run(11, 1.0).trace);
  CHECK(Run(11, 1.0).trace != Run(12, 1.0).trace);
}

TEST_CASE("a crash at every named point changes no result, and every point is reached") {
  SetLogLevel(LogLevel::kOff);
  InstallCrashPointHandler(AtCrashPoint);
  CrashPlan here;
  plan = &here;
  REQUIRE(Run(2, 0).differences == "");
  const auto points = here.passed;
  CHECK(points.size() >= 12);
  for (const auto& [name, passed] : points) {
    for (const uint64_t seed : {2, 3}) {
      here.at = name;
      here.countdown = 1 + static_cast<int>(seed * 3) % std::max(1, passed / 2);
      INFO("crash point " << name << " seed " << seed);
      CHECK(Run(seed, 0).differences == "");
    }
    INFO("crash point " << name);
    CHECK(here.crashed[name] > 0);
    std::printf("crash point %-28s crashed %d times\n", name.c_str(), here.crashed[name]);
  }
  plan = nullptr;
  InstallCrashPointHandler(nullptr);
}

TEST_CASE("a crash while housekeeping deletes changes no result") {
  SetLogLevel(LogLevel::kOff);
  InstallCrashPointHandler(AtCrashPoint);
  CrashPlan here;
  plan = &here;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    here.at = "housekeeping.before_delete";
    here.countdown = static_cast<int>(seed);
    INFO("seed " << seed);
    CHECK(Run(seed, 1.0).differences == "");
  }
  CHECK(here.crashed["housekeeping.before_delete"] > 5);
  plan = nullptr;
  InstallCrashPointHandler(nullptr);
}

}  // namespace millrace::sim
