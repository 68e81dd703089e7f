#include "millrace/metrics/in_memory_metrics.h"

#include <algorithm>
#include <charconv>

#include "millrace/base/check.h"

namespace millrace {
namespace {

enum Kind : int { kCounter = 1, kGauge, kHistogram };

bool IsName(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  });
}

std::string Number(double v) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, v).ptr;
  return {text, end};
}

}  // namespace

std::string MetricId(std::string_view name, const MetricLabels& labels) {
  MetricLabels sorted = labels;
  std::sort(sorted.begin(), sorted.end());
  std::string id(name);
  id += "{";
  for (const auto& [label, value] : sorted) {
    if (id.back() != '{') id += ",";
    id += label + "=\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') id += '\\';
      id += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    id += "\"";
  }
  return id + "}";
}

void CheckMetricNames(std::string_view name, const MetricLabels& labels) {
  MILLRACE_CHECK(IsName(name), "not a metric name name=" + std::string(name));
  for (const auto& [label, value] : labels)
    MILLRACE_CHECK(IsName(label),
                   "not a label name metric=" + std::string(name) + " label=" + label);
}

struct InMemoryMetrics::Metric : Counter, Gauge, Histogram {
  int kind = 0;
  double value = 0;
  double sum = 0;
  std::vector<std::pair<double, int64_t>> buckets;

  void Add(double v) override {
    MILLRACE_CHECK(v >= 0, "a counter never falls");
    value += v;
  }
  void Set(double v) override { value = v; }
  void Observe(double v) override {
    value += 1;
    sum += v;
    for (auto& [bound, count] : buckets) count += v <= bound ? 1 : 0;
  }
};

InMemoryMetrics::InMemoryMetrics() = default;
InMemoryMetrics::~InMemoryMetrics() = default;

InMemoryMetrics::Metric& InMemoryMetrics::Get(int kind, std::string_view name,
                                              const MetricLabels& labels,
                                              const std::vector<double>& bounds) {
  CheckMetricNames(name, labels);
  const int known = kinds_.try_emplace(std::string(name), kind).first->second;
  MILLRACE_CHECK(known == kind, "a metric of another kind has this name name=" + std::string(name));
  auto& metric = metrics_[MetricId(name, labels)];
  if (!metric) {
    metric = std::make_unique<Metric>();
    metric->kind = kind;
    for (const double b : bounds) metric->buckets.emplace_back(b, 0);
  }
  return *metric;
}

Counter& InMemoryMetrics::GetCounter(std::string_view name, std::string_view /*help*/,
                                     const MetricLabels& labels) {
  return Get(kCounter, name, labels, {});
}

Gauge& InMemoryMetrics::GetGauge(std::string_view name, std::string_view /*help*/,
                                 const MetricLabels& labels) {
  return Get(kGauge, name, labels, {});
}

Histogram& InMemoryMetrics::GetHistogram(std::string_view name, std::string_view /*help*/,
                                         const MetricLabels& labels,
                                         const std::vector<double>& bounds) {
  return Get(kHistogram, name, labels, bounds);
}

std::string InMemoryMetrics::Expose() const {
  std::string text;
  for (const auto& [id, metric] : metrics_) {
    const size_t brace = id.find('{');
    const std::string name = id.substr(0, brace);
    const std::string labels = id.substr(brace + 1, id.size() - brace - 2);
    const auto line = [&](const std::string& suffix, std::string all, double v) {
      text += name + suffix + (all.empty() ? "" : "{" + all + "}") + " " + Number(v) + "\n";
    };
    if (metric->kind != kHistogram) {
      line("", labels, metric->value);
      continue;
    }
    const std::string comma = labels.empty() ? "" : ",";
    for (const auto& [bound, count] : metric->buckets)
      line("_bucket", labels + comma + "le=\"" + Number(bound) + "\"", static_cast<double>(count));
    line("_bucket", labels + comma + "le=\"+Inf\"", metric->value);
    line("_sum", labels, metric->sum);
    line("_count", labels, metric->value);
  }
  return text;
}

double InMemoryMetrics::Value(std::string_view name, const MetricLabels& labels) const {
  const auto it = metrics_.find(MetricId(name, labels));
  if (it == metrics_.end()) return 0;
  return it->second->value;
}

}  // namespace millrace
