#pragma once

#include <map>
#include <string>

#include "millrace/base/result.h"
#include "millrace/metrics/metrics.h"
#include "millrace/model/spec.h"

namespace millrace::ingest {

/// Counters of the whole gateway.
struct GatewayMetrics {
  explicit GatewayMetrics(MetricRegistry* registry);

  Gauge* in_flight_bytes;
  Counter* backpressure_in_flight_bytes;
  Counter* backpressure_producers;
  std::map<Code, Counter*> log_errors;
};

/// Counters of one stream.
struct StreamMetrics {
  StreamMetrics(MetricRegistry* registry, const StreamSpec& stream);

  Counter* acknowledged;
  Counter* refused;
  Counter* unknown;
  Counter* bytes;
  Histogram* publish_seconds;
};

}  // namespace millrace::ingest
