#include <cstdio>
#include <cstdlib>

#include "millrace/base/log.h"
#include "sim/cluster_history.h"
#include "support/catch.h"

namespace millrace::sim {
namespace {

/// A long run says after so many histories how far it is.
constexpr int kTold = 100;

int Seeds() {
  const char* text = std::getenv("MILLRACE_SIM_SEEDS");
  return text == nullptr ? 100 : std::atoi(text);
}

uint64_t FirstSeed() {
  const char* text = std::getenv("MILLRACE_SIM_FIRST_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

void Add(const ClusterHistory& one, ClusterHistory* all) {
  all->time += one.time;
  all->events += one.events;
  all->commits += one.commits;
  all->moves += one.moves;
  all->leaders += one.leaders;
  all->fallbacks += one.fallbacks;
  all->inexact += one.inexact;
  for (const auto& [name, n] : one.faults) all->faults[name] += n;
  for (const auto& [name, at] : one.steps) {
    all->steps[name].died += at.died;
    all->steps[name].stood_still += at.stood_still;
  }
  for (size_t i = 0; i < one.injected.size(); ++i) all->injected[i] += one.injected[i];
}

void Print(int seeds, const ClusterHistory& all) {
  std::printf(
      "simulated clusters: %d seeds, %.1f hours, %lld acknowledged events, %lld commits, %lld "
      "leaders, %lld moves, %lld restores from older checkpoints, %lld views that hold what the "
      "log "
      "lost\n",
      seeds, static_cast<double>(all.time.count()) / 3.6e9, static_cast<long long>(all.events),
      static_cast<long long>(all.commits), static_cast<long long>(all.leaders),
      static_cast<long long>(all.moves), static_cast<long long>(all.fallbacks),
      static_cast<long long>(all.inexact));
  for (const auto& [name, n] : all.faults)
    std::printf("  %-32s %lld\n", name.c_str(), static_cast<long long>(n));
  for (size_t i = 0; i < all.injected.size(); ++i) {
    std::printf("  calls %-26s %lld\n", std::string(kFaultNames[i]).c_str(),
                static_cast<long long>(all.injected[i]));
  }
  for (const auto& [name, at] : all.steps) {
    std::printf("  at %-29s died %lld, stood still %lld\n", name.c_str(),
                static_cast<long long>(at.died), static_cast<long long>(at.stood_still));
  }
}

}  // namespace

TEST_CASE("a cluster of several processes counts every acknowledged event once, whatever dies") {
  SetLogLevel(std::getenv("MILLRACE_SIM_LOG") == nullptr ? LogLevel::kOff : LogLevel::kInfo);
  ClusterHistory all;
  const uint64_t first = FirstSeed();
  for (uint64_t seed = first; seed < first + static_cast<uint64_t>(Seeds()); ++seed) {
    INFO("seed " << seed << ": MILLRACE_SIM_FIRST_SEED=" << seed
                 << " MILLRACE_SIM_SEEDS=1 replays it");
    const ClusterHistory history = RunCluster(seed);
    REQUIRE(history.differences == "");
    Add(history, &all);
    const auto done = static_cast<int>(seed - first) + 1;
    if (Seeds() >= 10 * kTold && done % kTold == 0) {
      std::printf("%d of %d histories, none wrong\n", done, Seeds());
      std::fflush(stdout);
    }
  }
  Print(Seeds(), all);
  if (first != 1 || Seeds() < 100) return;
  for (const char* point : {"retention.before_trim", "retention.trimmed", "retention.before_delete",
                            "retention.deleted"}) {
    INFO(point);
    CHECK(all.steps[point].died > 0);
    CHECK(all.steps[point].stood_still > 0);
  }
  CHECK(all.moves > Seeds());
  CHECK(all.leaders > Seeds());
}

TEST_CASE("the same seed gives the same history of a cluster") {
  SetLogLevel(LogLevel::kOff);
  CHECK(RunCluster(7).trace == RunCluster(7).trace);
  CHECK(RunCluster(7).trace != RunCluster(8).trace);
}

}  // namespace millrace::sim
