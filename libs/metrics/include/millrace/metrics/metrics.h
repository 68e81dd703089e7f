#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

/// Handles are cheap to copy and live as long as the registry. Threads: any.
class Counter {
 public:
  virtual ~Counter() = default;
  virtual void Add(double v = 1) = 0;
};
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void Set(double v) = 0;
};
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void Observe(double v) = 0;
};

/// Names are `millrace_<service>_<noun>_<unit>[_total]`; label sets are bounded by what exists.
/// Asking again for the same name and labels, in any order, gives the same metric, with the help
/// and bounds of the first time. A name is one kind of metric for ever: another kind is our bug
/// (InvariantViolation), as is a name or label name that is not [a-z_][a-z0-9_]*.
class MetricRegistry {
 public:
  virtual ~MetricRegistry() = default;
  virtual Counter& GetCounter(std::string_view name, std::string_view help,
                              const MetricLabels& labels) = 0;
  virtual Gauge& GetGauge(std::string_view name, std::string_view help,
                          const MetricLabels& labels) = 0;
  virtual Histogram& GetHistogram(std::string_view name, std::string_view help,
                                  const MetricLabels& labels,
                                  const std::vector<double>& bounds) = 0;
  /// Prometheus text format 0.0.4.
  virtual std::string Expose() const = 0;
};

}  // namespace millrace
