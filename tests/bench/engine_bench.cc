// CPU time of the window engine: from a typed batch to updated slices, and per emitted row.
#include <benchmark/benchmark.h>

#include <random>

#include "millrace/model/batch_builder.h"
#include "millrace/sql/planner.h"
#include "millrace/window/shard_fold.h"

namespace millrace {
namespace {

constexpr uint32_t kBatch = 1000;
/// Made and folded at a time: so few that the second-level cache still holds them when they are
/// folded, as it holds what a worker has just decoded.
constexpr int kBatches = 20;
constexpr Micros kStart = 978'307'200 * kSecond;

constexpr const char* kFive =
    "count(*) AS n, sum(v) AS total, min(v) AS least, max(v) AS most, avg(v) AS mean";
constexpr const char* kThree = "count(*) AS n, sum(v) AS total, max(v) AS most";

std::string Sql(const std::string& from, const std::string& delay, const std::string& aggregates) {
  return R"(
CREATE TABLE s (ts timestamptz NOT NULL, k text NOT NULL, v bigint NOT NULL)
  WITH (partition_key = 'k', event_time = 'ts', watermark_delay = ')" +
         delay + R"(');
CREATE MATERIALIZED VIEW r AS
SELECT k, window_start, window_end,
       )" +
         aggregates + R"(
FROM )" + from +
         R"( WHERE v >= 0 GROUP BY k, window_start, window_end;)";
}

/// Batches of events with identities, the `round`th of a steady stream: 100,000 events a second of
/// event time, 5 % of them up to 2 s out of order.
std::vector<EventBatch> Batches(const StreamSpec& stream, uint64_t keys, int64_t round) {
  std::mt19937_64 random(static_cast<uint64_t>(round));
  std::vector<EventBatch> batches;
  BatchBuilder builder(stream);
  int64_t sequence = round * kBatches * kBatch;
  for (int64_t b = round * kBatches; b < (round + 1) * kBatches; ++b) {
    const Micros now = kStart + b * Micros{kBatch} * 10;
    builder.BeginRecord(Offset(b), now + 10'000);
    const int16_t producer = builder.AddProducer("local", "bench", sequence);
    for (uint32_t i = 0; i < kBatch; ++i) {
      const Micros late = random() % 20 == 0 ? static_cast<Micros>(random() % (2 * kSecond)) : 0;
      builder.column(0).AppendInteger(now + i * 10 - late);
      builder.column(1).AppendText("key-" + std::to_string(random() % keys));
      builder.column(2).AppendInteger(static_cast<int64_t>(random() % 1000));
      builder.EndRow(producer, sequence++);
    }
    batches.push_back(builder.Build());
  }
  return batches;
}

/// Gives the rows that the last record made due, part by part, to nobody.
void DropOutput(window::ShardFold* fold) {
  for (fold->TakeOutput(); fold->emitting(); fold->TakeOutput()) fold->Continue();
}

void Add(const std::vector<EventBatch>& batches, window::ShardFold* fold) {
  for (const EventBatch& batch : batches) {
    for (fold->Add(batch); fold->emitting(); fold->Continue()) fold->TakeOutput();
  }
}

/// A shard in its stride, from a typed batch to updated slices: WHERE, dedup, watermark, interning,
/// five aggregates. Rows of windows that close meanwhile are counted apart.
void Fold(benchmark::State& state, const char* from) {
  const auto statements = PlanScript(Sql(from, "2 seconds", kFive)).value();
  const auto& stream = std::get<StreamSpec>(statements[0]);
  const auto& pipeline = std::get<PipelineSpec>(statements[1]);
  const auto keys = static_cast<uint64_t>(state.range(0));
  window::ShardFold fold({stream, pipeline, PartitionId(0), kMinusInfinity});
  int64_t round = 0;
  const int64_t warm_rounds = (static_cast<int64_t>(keys) * 4 + 400'000) / (kBatches * kBatch);
  for (; round < warm_rounds; ++round) {
    Add(Batches(stream, keys, round), &fold);
  }
  DropOutput(&fold);
  int64_t events = 0;
  const int64_t rows = fold.ledger().emitted;
  for (auto _ : state) {
    state.PauseTiming();
    const auto batches = Batches(stream, keys, round++);
    state.ResumeTiming();
    Add(batches, &fold);
    state.PauseTiming();
    events += int64_t{kBatches} * kBatch;
    DropOutput(&fold);
    state.ResumeTiming();
  }
  state.counters["ns_per_event"] = benchmark::Counter(
      static_cast<double>(events) / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["rows_per_event"] =
      static_cast<double>(fold.ledger().emitted - rows) / static_cast<double>(events);
}

/// What a row costs up to the outbox when a window of a running shard closes: feeds `slide` of
/// event time, then closes one window and times that alone. 60 closes make each slice go through
/// both stacks once.
void Emit(benchmark::State& state, const char* from, Micros slide, const char* aggregates) {
  // The watermark moves by Advances alone, to where it would stand: 2 s behind the events.
  const auto statements = PlanScript(Sql(from, "1 hour", aggregates)).value();
  const auto& stream = std::get<StreamSpec>(statements[0]);
  const auto& pipeline = std::get<PipelineSpec>(statements[1]);
  const auto keys = static_cast<uint64_t>(state.range(0));
  window::ShardFold fold({stream, pipeline, PartitionId(0), kMinusInfinity});
  constexpr Micros kRound = Micros{kBatches} * kBatch * 10;
  int64_t round = 0;
  Micros closed = 0;
  const auto feed = [&] {
    for (closed += slide; round * kRound < closed + 2 * kSecond; ++round) {
      Add(Batches(stream, keys, round), &fold);
    }
  };
  for (int i = 0; i < 62; ++i) {
    feed();
    fold.Apply(Advance{Offset(0), kStart, kStart + closed});
    DropOutput(&fold);
  }
  int64_t rows = 0;
  for (auto _ : state) {
    state.PauseTiming();
    feed();
    DropOutput(&fold);
    const int64_t before = fold.ledger().emitted;
    state.ResumeTiming();
    fold.Apply(Advance{Offset(0), kStart, kStart + closed});
    for (; fold.emitting(); fold.Continue()) fold.TakeOutput();
    state.PauseTiming();
    DropOutput(&fold);
    rows += fold.ledger().emitted - before;
    state.ResumeTiming();
  }
  state.counters["ns_per_row"] = benchmark::Counter(
      static_cast<double>(rows) / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// Windows so long that none closes while updates are timed; the hopping one has 60 overlapping
// windows.
BENCHMARK_CAPTURE(Fold, tumble, "tumble(s, ts, INTERVAL '1 hour')")
    ->Arg(10'000)
    ->Arg(1'000'000)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(200);
BENCHMARK_CAPTURE(Fold, hop60, "hop(s, ts, INTERVAL '1 minute', INTERVAL '1 hour')")
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(200);
BENCHMARK_CAPTURE(Emit, tumble, "tumble(s, ts, INTERVAL '2 seconds')", 2 * kSecond, kFive)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(60);
BENCHMARK_CAPTURE(Emit, hop60, "hop(s, ts, INTERVAL '2 seconds', INTERVAL '120 seconds')",
                  2 * kSecond, kFive)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(60);
BENCHMARK_CAPTURE(Emit, hop60_three, "hop(s, ts, INTERVAL '2 seconds', INTERVAL '120 seconds')",
                  2 * kSecond, kThree)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(60);

}  // namespace
}  // namespace millrace

BENCHMARK_MAIN();
