#include <benchmark/benchmark.h>

#include <cstdlib>

#include "contract/serving_contract.h"
#include "millrace/log_embedded/embedded_log.h"
#include "millrace/resultfile_parquet/parquet_result_file.h"
#include "millrace/serving_sqlite/sqlite_serving_store.h"
#include "support/temp_dir.h"
#include "support/test_executor.h"
#include "support/vector_rows.h"

// What the embedded adapters cost, on the disk of the temporary directory.

namespace millrace {
namespace {

using std::chrono::microseconds;

/// Appends `count` records of this value at a time, to the partitions in turn.
void AppendAtOnce(test::TestExecutor& executor, log_embedded::EmbeddedLog& log, int32_t partitions,
                  int64_t count, const std::string& value) {
  int64_t left = count;
  const Completion<bool> done;
  for (int64_t i = 0; i < count; ++i) {
    executor.Spawn([](log_embedded::EmbeddedLog& l, int32_t partition, const std::string& v,
                      int64_t& rest, Completion<bool> all) -> Task<> {
      LogEntry entry{"k", v, {}};
      const auto offset = co_await l.Append("t", PartitionId(partition), std::move(entry));
      if (!offset.ok()) std::abort();
      if (--rest == 0) all.Set(true);
    }(log, static_cast<int32_t>(i % partitions), value, left, done));
  }
  executor.RunUntilDone([](Completion<bool> all) -> Task<> { co_await all; }(done));
}

/// `range(0)` appends of `range(1)` bytes in flight at a time.
void LogAppend(benchmark::State& state) {
  const test::TempDir dir;
  test::TestExecutor executor(std::chrono::seconds(10));
  const auto log = log_embedded::EmbeddedLog::Open(dir.Sub("log")).value();
  constexpr int32_t kPartitions = 4;
  if (!executor.RunUntilDone(log->CreateTopic({"t", kPartitions})).ok()) std::abort();
  const std::string value(static_cast<size_t>(state.range(1)), 'x');
  for (auto _ : state) AppendAtOnce(executor, *log, kPartitions, state.range(0), value);
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * state.range(0) * state.range(1));
}
BENCHMARK(LogAppend)
    ->Args({1, 100})
    ->Args({256, 100})
    ->Args({1, 65536})
    ->Args({64, 65536})
    ->UseRealTime();

/// Records of `range(0)` bytes of one of `range(1)` partitions that were written in turns, 256 at a
/// time, `range(2)` MiB of all of them.
void LogRead(benchmark::State& state) {
  const test::TempDir dir;
  test::TestExecutor executor(std::chrono::seconds(600));
  const auto log = log_embedded::EmbeddedLog::Open(dir.Sub("log")).value();
  const auto partitions = static_cast<int32_t>(state.range(1));
  if (!executor.RunUntilDone(log->CreateTopic({"t", partitions})).ok()) std::abort();
  const std::string value(static_cast<size_t>(state.range(0)), 'x');
  constexpr int64_t kAtOnce = 256;
  for (int64_t bytes = state.range(2) << 20; bytes > 0; bytes -= kAtOnce * state.range(0))
    AppendAtOnce(executor, *log, partitions, kAtOnce, value);
  int64_t records = 0;
  for (auto _ : state) {
    const auto reader = log->OpenReader("t", PartitionId(0), Offset(0));
    for (;;) {
      const auto read = executor.RunUntilDone(reader->Next(1 << 20, microseconds(0))).value();
      records += static_cast<int64_t>(read.records.size());
      if (read.next == read.end) break;
    }
  }
  state.SetItemsProcessed(records);
  state.SetBytesProcessed(records * state.range(0));
}
BENCHMARK(LogRead)
    ->Args({1000, 1, 64})
    ->Args({65536, 1, 64})
    ->Args({300, 8, 100})
    ->MeasureProcessCPUTime()
    ->UseRealTime();

/// Batches of 1,000 rows: all new (0), or each replacing an earlier one (1).
void ServingApply(benchmark::State& state) {
  const test::TempDir dir;
  test::TestExecutor executor;
  const auto store = serving_sqlite::SqliteServingStore::Open(dir.Sub("serving.db")).value();
  const ShardId shard = test::ServingShard();
  if (!executor
           .RunUntilDone(
               store->Define(shard.incarnation, test::ServingStream(), test::ServingPipeline()))
           .ok() ||
      !executor
           .RunUntilDone(
               store->Attach(shard.incarnation, test::ServingStream(), test::ServingPipeline()))
           .ok() ||
      !executor.RunUntilDone(store->TakeOver(shard, Epoch(1))).ok()) {
    std::abort();
  }
  constexpr int64_t kRows = 1'000;
  int64_t seq = 0;
  for (auto _ : state) {
    state.PauseTiming();
    ServingBatch batch{shard, Epoch(1)};
    constexpr auto kResults = static_cast<size_t>(Output::kResults);
    batch.from[kResults].seq = seq;
    batch.to[kResults].seq = seq + kRows;
    for (int64_t i = 0; i < kRows; ++i) {
      ++seq;
      const int64_t window = state.range(0) == 0 ? seq / 300 * 10 : 0;
      batch.rows.push_back(test::ServingRow(seq, "airport" + std::to_string(i), window, seq, seq));
    }
    state.ResumeTiming();
    if (!executor.RunUntilDone(store->Apply(std::move(batch))).ok()) std::abort();
  }
  state.SetItemsProcessed(seq);
}
BENCHMARK(ServingApply)->Arg(0)->Arg(1)->UseRealTime();

void ParquetEncode(benchmark::State& state) {
  test::TestExecutor executor;
  resultfile_parquet::ParquetResultFileWriter writer;
  const PipelineSpec pipeline = test::ServingPipeline();
  std::vector<OutputRow> rows;
  for (int64_t i = 0; i < 10'000; ++i) {
    rows.push_back(test::ServingRow(i + 1, "airport" + std::to_string(i % 300), i / 300 * 10, i, 1,
                                    Output::kFiles));
  }
  for (auto _ : state) {
    const auto file = executor.RunUntilDone(
        writer.Encode(pipeline.select, std::make_shared<test::VectorRows>(rows)));
    if (!file.ok()) std::abort();
    benchmark::DoNotOptimize(file->bytes.size());
  }
  state.SetItemsProcessed(state.iterations() * 10'000);
}
BENCHMARK(ParquetEncode);

}  // namespace
}  // namespace millrace

BENCHMARK_MAIN();
