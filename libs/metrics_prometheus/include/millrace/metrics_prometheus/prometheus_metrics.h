#pragma once

#include <memory>

#include "millrace/metrics/metrics.h"

namespace millrace::metrics_prometheus {

/// One registry a process. Beside what is asked for it exposes
/// millrace_build_info{version="..."} 1 and, read when exposed: process_cpu_seconds_total,
/// process_resident_memory_bytes, process_virtual_memory_bytes, process_open_fds, process_max_fds,
/// process_start_time_seconds.
class PrometheusMetrics : public MetricRegistry {
 public:
  explicit PrometheusMetrics(std::string_view version);
  ~PrometheusMetrics() override;

  Counter& GetCounter(std::string_view name, std::string_view help,
                      const MetricLabels& labels) override;
  Gauge& GetGauge(std::string_view name, std::string_view help,
                  const MetricLabels& labels) override;
  Histogram& GetHistogram(std::string_view name, std::string_view help, const MetricLabels& labels,
                          const std::vector<double>& bounds) override;
  std::string Expose() const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace millrace::metrics_prometheus
