#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "millrace/record_simdjson/json_record_parser.h"

// The events of workload W1: JSON of about 98 bytes with 5 members.

namespace millrace {
namespace {

StreamSpec Stream(bool all) {
  StreamSpec s;
  s.name = "w1";
  s.columns = {
      {"ts", Type::kTimestamp, true}, {"key", Type::kText, true}, {"value", Type::kBigint, false}};
  if (all) {
    s.columns.push_back({"price", Type::kDouble, false});
    s.columns.push_back({"flag", Type::kBool, false});
  }
  return s;
}

/// Parsing and appending, all declared (1) or three of five members (0).
void JsonParse(benchmark::State& state) {
  const StreamSpec stream = Stream(state.range(0) != 0);
  std::vector<std::string> events;
  size_t bytes = 0;
  for (int i = 0; i < 1000; ++i) {
    char json[160];
    std::snprintf(json, sizeof json,
                  R"({"ts":"2001-01-01T%02d:%02d:%02d.250Z","key":"key-%06d","value":%d,)"
                  R"("price":%d.25,"flag":true})",
                  i % 24, i % 60, i * 7 % 60, i * 7919 % 10'000, i * 31, i);
    events.emplace_back(json);
    bytes += events.back().size();
  }
  const auto parser = record_simdjson::JsonRecordParsers().ForStream(stream);
  BatchBuilder out(stream);
  for (auto _ : state) {
    out.BeginRecord(Offset(0), 0);
    for (const std::string& e : events) {
      if (parser->Parse(e, &out).reason != Reason::kNone) std::abort();
      out.EndRow(-1, 0);
    }
    benchmark::DoNotOptimize(out.Build());
  }
  state.counters["per_event"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * 1000,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["bytes_per_event"] = static_cast<double>(bytes) / 1000;
}
BENCHMARK(JsonParse)->Arg(1)->Arg(0);

}  // namespace
}  // namespace millrace

BENCHMARK_MAIN();
