#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "millrace/cli/csv_to_json.h"
#include "millrace/cli/records.h"

// What `produce` does to a record before the client library has it: flights as CSV, to JSON events.

namespace millrace::cli {
namespace {

class Memory : public ByteSource {
 public:
  explicit Memory(std::string_view bytes) : left_(bytes) {}
  Result<size_t> Read(char* to, size_t size) override {
    return left_.copy(to, size), Take(std::min(size, left_.size()));
  }

 private:
  size_t Take(size_t n) {
    left_.remove_prefix(n);
    return n;
  }

  std::string_view left_;
};

StreamSpec Flights() {
  StreamSpec s;
  s.columns = {{"scheduled_at", Type::kTimestamp, true},
               {"origin", Type::kText, false},
               {"destination", Type::kText, false},
               {"delay_minutes", Type::kInt, false},
               {"distance_miles", Type::kInt, false}};
  return s;
}

void CsvToJsonEvents(benchmark::State& state) {
  constexpr int kRecords = 100'000;
  std::string csv = "scheduled_at,origin,destination,delay_minutes,distance_miles\n";
  for (int i = 0; i < kRecords; ++i) {
    char line[80];
    std::snprintf(line, sizeof line, "2001-01-%02dT%02d:%02d:00Z,LAX,%s,%d,%d\n", i % 28 + 1,
                  i % 24, i % 60, i % 9 == 0 ? "\"ATL\"" : "ATL", i % 90 - 20, i % 2'700);
    csv += line;
  }
  const StreamSpec stream = Flights();
  for (auto _ : state) {
    Memory source(csv);
    CsvReader reader(&source);
    CsvRecord record;
    if (!reader.Next(&record).ok()) std::abort();
    const CsvToJson convert = CsvToJson::Create(stream, record).value();
    std::string json;
    int records = 0;
    for (; reader.Next(&record).value(); ++records) {
      if (!convert.Convert(record, &json).ok()) std::abort();
      benchmark::DoNotOptimize(json.data());
    }
    if (records != kRecords) std::abort();
  }
  state.counters["per_event"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kRecords,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(CsvToJsonEvents);

}  // namespace
}  // namespace millrace::cli

BENCHMARK_MAIN();
