// CPU time of the window engine: from a typed batch to updated slices, and per emitted row.
#include <benchmark/benchmark.h>

#include <random>

#include "millrace/model/batch_builder.h"
#include "millrace/sql/planner.h"
#include "millrace/window/shard_fold.h"

namespace millrace {
namespace {

constexpr uint32_t kBatch = 1000;
constexpr int kBatches = 200;
constexpr Micros kStart = 978'307'200 * kSecond;

std::string Sql(const char* from) {
  return std::string(R"(
CREATE TABLE s (ts timestamptz NOT NULL, k text NOT NULL, v bigint NOT NULL)
  WITH (partition_key = 'k', event_time = 'ts', watermark_delay = '2 seconds');
CREATE MATERIALIZED VIEW r AS
SELECT k, window_start, window_end, count(*) AS n, sum(v) AS total, min(v) AS least, max(v) AS most, avg(v) AS mean
FROM )") + from + R"( WHERE v >= 0 GROUP BY k, window_start, window_end;)";
}

/// Batches of events with identities: 100,000 events a second of event time, 5 % of them up to 2 s out of order.
std::vector<EventBatch> Batches(const StreamSpec& stream, uint64_t keys) {
  std::mt19937_64 random(7);
  std::vector<EventBatch> batches;
  BatchBuilder builder(stream.columns);
  int64_t sequence = 0;
  for (int b = 0; b < kBatches; ++b) {
    const Micros now = kStart + b * Micros{kBatch} * 10;
    builder.BeginRecord(Offset(b), now + 10'000);
    const int16_t producer = builder.AddProducer("local", "bench", sequence);
    for (uint32_t i = 0; i < kBatch; ++i) {
      const Micros late = random() % 20 == 0 ? static_cast<Micros>(random() % (2 * kSecond)) : 0;
      builder.columns()[0].AppendInteger(now + i * 10 - late);
      builder.columns()[1].AppendText("key-" + std::to_string(random() % keys));
      builder.columns()[2].AppendInteger(static_cast<int64_t>(random() % 1000));
      builder.EndRow(producer, sequence++);
    }
    batches.push_back(builder.Build());
  }
  return batches;
}

/// Folds all batches and never closes a window of interest; counts what the updates cost.
void Fold(benchmark::State& state, const char* from) {
  const auto statements = PlanScript(Sql(from)).value();
  const auto& stream = std::get<StreamSpec>(statements[0]);
  const auto& pipeline = std::get<PipelineSpec>(statements[1]);
  const auto batches = Batches(stream, static_cast<uint64_t>(state.range(0)));
  int64_t events = 0;
  int64_t rows = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto fold = std::make_unique<window::ShardFold>(window::FoldSpec{stream, pipeline, PartitionId(0), kMinusInfinity});
    // The keys and slices that a running shard has.
    for (const EventBatch& batch : batches) fold->Add(batch);
    auto warm = std::make_unique<window::ShardFold>(window::FoldSpec{stream, pipeline, PartitionId(0), kMinusInfinity});
    state.ResumeTiming();
    for (const EventBatch& batch : batches) warm->Add(batch);
    state.PauseTiming();
    events += static_cast<int64_t>(batches.size()) * kBatch;
    rows += warm->ledger().emitted;
    warm.reset();
    fold.reset();
    state.ResumeTiming();
  }
  state.counters["ns_per_event"] = benchmark::Counter(static_cast<double>(events) / 1e9,
                                                      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["rows"] = benchmark::Counter(static_cast<double>(rows), benchmark::Counter::kAvgIterations);
}

/// Closes everything that the batches opened; counts what a row costs.
void Emit(benchmark::State& state, const char* from) {
  const auto statements = PlanScript(Sql(from)).value();
  const auto& stream = std::get<StreamSpec>(statements[0]);
  const auto& pipeline = std::get<PipelineSpec>(statements[1]);
  const auto batches = Batches(stream, static_cast<uint64_t>(state.range(0)));
  int64_t rows = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto fold = std::make_unique<window::ShardFold>(window::FoldSpec{stream, pipeline, PartitionId(0), kMinusInfinity});
    for (const EventBatch& batch : batches) fold->Add(batch);
    fold->TakeOutput();
    const int64_t before = fold->ledger().emitted;
    state.ResumeTiming();
    fold->Apply(Advance{Offset(1'000'000), kStart, kPlusInfinity});
    state.PauseTiming();
    rows += fold->ledger().emitted - before;
    fold.reset();
    state.ResumeTiming();
  }
  state.counters["ns_per_row"] =
      benchmark::Counter(static_cast<double>(rows) / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

constexpr const char* kTumble = "tumble(s, ts, INTERVAL '10 seconds')";
constexpr const char* kHop = "hop(s, ts, INTERVAL '1 second', INTERVAL '60 seconds')";

BENCHMARK_CAPTURE(Fold, tumble, kTumble)->Arg(10'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Fold, hop60, kHop)->Arg(10'000)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Emit, tumble, kTumble)->Arg(10'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Emit, hop60, kHop)->Arg(10'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace millrace

BENCHMARK_MAIN();
