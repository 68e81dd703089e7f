#include "millrace/metrics_prometheus/prometheus_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include "millrace/base/check.h"
#include "millrace/metrics/in_memory_metrics.h"

namespace millrace::metrics_prometheus {
namespace {

class PrometheusCounter : public Counter {
 public:
  explicit PrometheusCounter(prometheus::Counter& c) : counter_(c) {}
  void Add(double v) override {
    MILLRACE_CHECK(v >= 0, "a counter never falls");
    counter_.Increment(v);
  }

 private:
  prometheus::Counter& counter_;
};

class PrometheusGauge : public Gauge {
 public:
  explicit PrometheusGauge(prometheus::Gauge& g) : gauge_(g) {}
  void Set(double v) override { gauge_.Set(v); }

 private:
  prometheus::Gauge& gauge_;
};

class PrometheusHistogram : public Histogram {
 public:
  explicit PrometheusHistogram(prometheus::Histogram& h) : histogram_(h) {}
  void Observe(double v) override { histogram_.Observe(v); }

 private:
  prometheus::Histogram& histogram_;
};

prometheus::MetricFamily OneValue(std::string name, std::string help, prometheus::MetricType type,
                                  double value) {
  prometheus::ClientMetric metric;
  type == prometheus::MetricType::Counter ? metric.counter.value = value
                                          : metric.gauge.value = value;
  return {std::move(name), std::move(help), type, {metric}};
}

/// Start of the process in seconds since the epoch: /proc counts it from boot, in ticks.
double StartTime() {
  std::ifstream stat("/proc/self/stat");
  std::string line;
  std::getline(stat, line);
  const size_t name_end = line.rfind(')');
  if (name_end == line.npos) return 0;
  std::istringstream fields(line.substr(name_end + 1));
  std::string skipped;
  constexpr int kFieldsBefore = 19;
  for (int i = 0; i < kFieldsBefore; ++i) fields >> skipped;
  double ticks = 0;
  fields >> ticks;
  std::ifstream system("/proc/stat");
  while (std::getline(system, line)) {
    if (line.starts_with("btime "))
      return std::stod(line.substr(6)) + ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  return 0;
}

std::vector<prometheus::MetricFamily> ProcessMetrics() {
  using prometheus::MetricType;
  std::vector<prometheus::MetricFamily> families;
  const auto add = [&](const char* name, const char* help, MetricType type, double value) {
    families.push_back(OneValue(name, help, type, value));
  };
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  add("process_cpu_seconds_total", "User and system CPU time spent.", MetricType::Counter,
      seconds(usage.ru_utime) + seconds(usage.ru_stime));
  std::ifstream statm("/proc/self/statm");
  double virtual_pages = 0;
  double resident_pages = 0;
  statm >> virtual_pages >> resident_pages;
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  add("process_resident_memory_bytes", "Resident memory.", MetricType::Gauge,
      resident_pages * page);
  add("process_virtual_memory_bytes", "Virtual memory.", MetricType::Gauge, virtual_pages * page);
  std::error_code error;
  const std::filesystem::directory_iterator open("/proc/self/fd", error);
  add("process_open_fds", "Open file descriptors.", MetricType::Gauge,
      error ? 0 : static_cast<double>(std::distance(begin(open), end(open))));
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  add("process_max_fds", "Limit of open file descriptors.", MetricType::Gauge,
      static_cast<double>(files.rlim_cur));
  static const double start = StartTime();
  add("process_start_time_seconds", "Start of the process since the Unix epoch.", MetricType::Gauge,
      start);
  return families;
}

}  // namespace

struct PrometheusMetrics::State {
  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Merge};
  std::mutex mutex;
  std::map<std::string, int> kinds;
  std::map<std::string, std::unique_ptr<Counter>> counters;
  std::map<std::string, std::unique_ptr<Gauge>> gauges;
  std::map<std::string, std::unique_ptr<Histogram>> histograms;

  /// The wrapper in `map`, made by `make(labels)` if it is not there yet.
  template <typename T, typename F>
  T& Get(std::map<std::string, std::unique_ptr<T>>& map, int kind, std::string_view name,
         const MetricLabels& labels, F make) {
    CheckMetricNames(name, labels);
    std::lock_guard lock(mutex);
    const int known = kinds.try_emplace(std::string(name), kind).first->second;
    MILLRACE_CHECK(known == kind,
                   "a metric of another kind has this name name=" + std::string(name));
    auto& metric = map[MetricId(name, labels)];
    if (!metric) metric = make(prometheus::Labels(labels.begin(), labels.end()));
    return *metric;
  }
};

PrometheusMetrics::PrometheusMetrics(std::string_view version) : state_(std::make_unique<State>()) {
  GetGauge("millrace_build_info", "Always 1; the labels say what runs.",
           {{"version", std::string(version)}})
      .Set(1);
}
PrometheusMetrics::~PrometheusMetrics() = default;

Counter& PrometheusMetrics::GetCounter(std::string_view name, std::string_view help,
                                       const MetricLabels& labels) {
  return state_->Get(state_->counters, 1, name, labels, [&](const prometheus::Labels& l) {
    return std::make_unique<PrometheusCounter>(prometheus::BuildCounter()
                                                   .Name(std::string(name))
                                                   .Help(std::string(help))
                                                   .Register(state_->registry)
                                                   .Add(l));
  });
}

Gauge& PrometheusMetrics::GetGauge(std::string_view name, std::string_view help,
                                   const MetricLabels& labels) {
  return state_->Get(state_->gauges, 2, name, labels, [&](const prometheus::Labels& l) {
    return std::make_unique<PrometheusGauge>(prometheus::BuildGauge()
                                                 .Name(std::string(name))
                                                 .Help(std::string(help))
                                                 .Register(state_->registry)
                                                 .Add(l));
  });
}

Histogram& PrometheusMetrics::GetHistogram(std::string_view name, std::string_view help,
                                           const MetricLabels& labels,
                                           const std::vector<double>& bounds) {
  return state_->Get(state_->histograms, 3, name, labels, [&](const prometheus::Labels& l) {
    return std::make_unique<PrometheusHistogram>(prometheus::BuildHistogram()
                                                     .Name(std::string(name))
                                                     .Help(std::string(help))
                                                     .Register(state_->registry)
                                                     .Add(l, bounds));
  });
}

std::string PrometheusMetrics::Expose() const {
  std::vector<prometheus::MetricFamily> families = state_->registry.Collect();
  std::vector<prometheus::MetricFamily> process = ProcessMetrics();
  families.insert(families.end(), std::make_move_iterator(process.begin()),
                  std::make_move_iterator(process.end()));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace millrace::metrics_prometheus
