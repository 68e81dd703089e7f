#include <thread>

#include "contract/metrics_contract.h"
#include "millrace/metrics/in_memory_metrics.h"
#include "millrace/metrics_prometheus/prometheus_metrics.h"

using namespace millrace;
using test::Sample;

TEST_CASE("metrics in memory keep the contract of metrics") {
  InMemoryMetrics metrics;
  test::CheckMetricsContract(metrics);
  metrics.GetGauge("millrace_value", "", {{"a", "b"}}).Set(7);
  CHECK(metrics.Value("millrace_value", {{"a", "b"}}) == 7);
  CHECK(metrics.Value("millrace_value", {{"a", "c"}}) == 0);
}

TEST_CASE("Prometheus metrics keep the contract of metrics") {
  metrics_prometheus::PrometheusMetrics metrics("1.2.3");
  test::CheckMetricsContract(metrics);
}

TEST_CASE("a Prometheus exposition tells build and process") {
  metrics_prometheus::PrometheusMetrics metrics("1.2.3");
  metrics.GetCounter("millrace_a_total", "What it counts.", {}).Add();
  const std::string text = metrics.Expose();
  CHECK(Sample(text, "millrace_build_info{version=\"1.2.3\"}") == "1");
  CHECK(text.find("# HELP millrace_a_total What it counts.\n# TYPE millrace_a_total counter\n") !=
        std::string::npos);
  for (const char* name : {"process_cpu_seconds_total", "process_resident_memory_bytes",
                           "process_virtual_memory_bytes", "process_open_fds", "process_max_fds",
                           "process_start_time_seconds"}) {
    INFO(name);
    CHECK_FALSE(Sample(text, name).empty());
  }
  CHECK(std::stod(Sample(text, "process_resident_memory_bytes")) > 1e6);
  CHECK(std::stod(Sample(text, "process_start_time_seconds")) > 1e9);
}

TEST_CASE("threads share Prometheus metrics") {
  metrics_prometheus::PrometheusMetrics metrics("1.2.3");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1'000; ++i)
        metrics.GetCounter("millrace_a_total", "", {{"i", std::to_string(i % 10)}}).Add();
    });
  for (auto& t : threads) t.join();
  CHECK(Sample(metrics.Expose(), "millrace_a_total{i=\"3\"}") == "400");
}
