#pragma once

#include <map>
#include <memory>

#include "millrace/metrics/metrics.h"

namespace millrace {

/// Metrics for tests: every value can be asked for. Threads: one.
class InMemoryMetrics : public MetricRegistry {
 public:
  InMemoryMetrics();
  ~InMemoryMetrics() override;

  Counter& GetCounter(std::string_view name, std::string_view help,
                      const MetricLabels& labels) override;
  Gauge& GetGauge(std::string_view name, std::string_view help,
                  const MetricLabels& labels) override;
  Histogram& GetHistogram(std::string_view name, std::string_view help, const MetricLabels& labels,
                          const std::vector<double>& bounds) override;
  std::string Expose() const override;

  /// The counter's or gauge's value, or how much a histogram has observed; 0 if nobody asked for
  /// it.
  double Value(std::string_view name, const MetricLabels& labels) const;

 private:
  struct Metric;
  Metric& Get(int kind, std::string_view name, const MetricLabels& labels,
              const std::vector<double>& bounds);

  std::map<std::string, int, std::less<>> kinds_;
  std::map<std::string, std::unique_ptr<Metric>> metrics_;
};

/// `name{a="x",b="y"}` with labels in order of name: equal for equal metrics.
std::string MetricId(std::string_view name, const MetricLabels& labels);
/// Throws InvariantViolation unless the names are [a-z_][a-z0-9_]*.
void CheckMetricNames(std::string_view name, const MetricLabels& labels);

}  // namespace millrace
