#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>

#include "millrace/base/hash.h"
#include "millrace/block_arrow/arrow_block_codec.h"
#include "millrace/model/batch_builder.h"

// The events of workload W1b: 5 columns, about 62 bytes an event, 1,000 events a block.

namespace millrace {
namespace {

StreamSpec Stream() {
  StreamSpec s;
  s.name = "w1b";
  s.columns = {{"ts", Type::kTimestamp, true},
               {"k", Type::kText, true},
               {"a", Type::kBigint, false},
               {"b", Type::kDouble, false},
               {"c", Type::kInt, false}};
  return s;
}

EventBatch Events(const StreamSpec& stream, int rows) {
  BatchBuilder b(stream);
  b.BeginRecord(Offset(0), 0);
  const int16_t p = b.AddProducer("local", "producer-1", 0);
  for (int i = 0; i < rows; ++i) {
    char key[24];
    std::snprintf(key, sizeof key, "key-%07d-%06d", i * 7919 % 10'000, i % 3);
    const auto c = [&](size_t column) -> ColumnData& { return b.column(column); };
    c(0).AppendInteger(1'000'000'000'000'000 + i * 10);
    c(1).AppendText(key);
    c(2).AppendInteger(i * 31);
    c(3).AppendDouble(i * 0.25);
    c(4).AppendInteger(i % 100);
    b.EndRow(p, i);
  }
  return b.Build();
}

void PerEvent(benchmark::State& state, size_t rows, size_t bytes) {
  state.counters["per_event"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(rows),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["bytes_per_event"] = static_cast<double>(bytes) / static_cast<double>(rows);
}

void BlockEncode(benchmark::State& state) {
  const StreamSpec stream = Stream();
  const EventBatch batch = Events(stream, static_cast<int>(state.range(0)));
  const block_arrow::ArrowBlockCodec codec;
  size_t bytes = 0;
  for (auto _ : state) {
    const auto block = codec.Encode(stream, batch);
    bytes = block->size();
    benchmark::DoNotOptimize(bytes);
  }
  PerEvent(state, batch.rows, bytes);
}

void BlockDecode(benchmark::State& state) {
  const StreamSpec stream = Stream();
  const block_arrow::ArrowBlockCodec codec;
  const Buffer block =
      Buffer::Own(codec.Encode(stream, Events(stream, static_cast<int>(state.range(0)))).value());
  for (auto _ : state) {
    const auto batch = codec.Decode(stream, block, Offset(0), 0);
    if (!batch.ok()) std::abort();
    benchmark::DoNotOptimize(batch->columns.data());
  }
  PerEvent(state, static_cast<size_t>(state.range(0)), block.bytes.size());
}

/// The part of BlockDecode that the checksum is.
void BlockChecksum(benchmark::State& state) {
  const StreamSpec stream = Stream();
  const std::string block = block_arrow::ArrowBlockCodec()
                                .Encode(stream, Events(stream, static_cast<int>(state.range(0))))
                                .value();
  for (auto _ : state) benchmark::DoNotOptimize(Crc32c(block));
  PerEvent(state, static_cast<size_t>(state.range(0)), block.size());
}

BENCHMARK(BlockEncode)->Arg(1000);
BENCHMARK(BlockDecode)->Arg(1)->Arg(100)->Arg(1000);
BENCHMARK(BlockChecksum)->Arg(1000);

}  // namespace
}  // namespace millrace

BENCHMARK_MAIN();
