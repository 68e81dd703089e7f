#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "millrace/metrics/metrics.h"

namespace millrace::test {

/// Keeps every metric in memory, to be asked for by name and labels: `name{a="b",c="d"}`.
class RecordingMetrics : public MetricRegistry {
 public:
  Counter& GetCounter(std::string_view name, std::string_view,
                      const MetricLabels& labels) override {
    return Find(Key(name, labels));
  }
  Gauge& GetGauge(std::string_view name, std::string_view, const MetricLabels& labels) override {
    return Find(Key(name, labels));
  }
  Histogram& GetHistogram(std::string_view name, std::string_view, const MetricLabels& labels,
                          const std::vector<double>&) override {
    return Find(Key(name, labels));
  }
  std::string Expose() const override { return {}; }

  /// The counter's or gauge's value, or how many values the histogram got; 0 if there is none.
  double Value(const std::string& key) const {
    std::lock_guard lock(mutex_);
    const auto it = metrics_.find(key);
    return it == metrics_.end() ? 0 : it->second->Read();
  }

 private:
  class Metric : public Counter, public Gauge, public Histogram {
   public:
    void Add(double v) override {
      std::lock_guard lock(mutex_);
      value_ += v;
    }
    void Set(double v) override {
      std::lock_guard lock(mutex_);
      value_ = v;
    }
    void Observe(double) override { Add(1); }
    double Read() const {
      std::lock_guard lock(mutex_);
      return value_;
    }

   private:
    mutable std::mutex mutex_;
    double value_ = 0;
  };

  static std::string Key(std::string_view name, const MetricLabels& labels) {
    std::string key(name);
    if (labels.empty()) return key;
    key += "{";
    for (const auto& [label, value] : labels) {
      if (key.back() != '{') key += ",";
      key += label + "=\"" + value + "\"";
    }
    return key + "}";
  }
  Metric& Find(const std::string& key) {
    std::lock_guard lock(mutex_);
    auto& metric = metrics_[key];
    if (!metric) metric = std::make_unique<Metric>();
    return *metric;
  }

  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Metric>> metrics_;
};

}  // namespace millrace::test
