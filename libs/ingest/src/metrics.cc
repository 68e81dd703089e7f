#include "metrics.h"

namespace millrace::ingest {
namespace {

Counter& Events(MetricRegistry* registry, const StreamSpec& stream, const std::string& result) {
  return registry->GetCounter(
      "millrace_gateway_events_total", "Events that producers sent, by what became of them.",
      {{"namespace", stream.name_space}, {"stream", stream.name}, {"result", result}});
}

Counter& Backpressure(MetricRegistry* registry, const std::string& reason) {
  return registry->GetCounter("millrace_gateway_backpressure_total",
                              "Requests refused so that producers slow down.",
                              {{"reason", reason}});
}

}  // namespace

GatewayMetrics::GatewayMetrics(MetricRegistry* registry)
    : in_flight_bytes(&registry->GetGauge(
          "millrace_gateway_in_flight_bytes",
          "Bytes of requests without an answer, and of the blocks and records they became.", {})),
      backpressure_in_flight_bytes(&Backpressure(registry, "in_flight_bytes")),
      backpressure_producers(&Backpressure(registry, "producers")) {
  // A series that is not there before its first event has no rate when that happens.
  for (const Code code :
       {Code::kInvalidArgument, Code::kNotFound, Code::kConflict, Code::kFenced, Code::kUnavailable,
        Code::kResourceExhausted, Code::kCorruption, Code::kInternal}) {
    log_errors[code] = &registry->GetCounter("millrace_gateway_log_errors_total",
                                             "Appends that failed or whose outcome is unknown.",
                                             {{"reason", std::string(CodeName(code))}});
  }
}

StreamMetrics::StreamMetrics(MetricRegistry* registry, const StreamSpec& stream)
    : acknowledged(&Events(registry, stream, "acknowledged")),
      refused(&Events(registry, stream, "refused")),
      unknown(&Events(registry, stream, "unknown")),
      bytes(&registry->GetCounter("millrace_gateway_bytes_total",
                                  "Payload bytes of events that producers sent.",
                                  {{"namespace", stream.name_space}, {"stream", stream.name}})),
      publish_seconds(&registry->GetHistogram(
          "millrace_gateway_publish_duration_seconds",
          "From a request's arrival to the answer to its last event.",
          {{"namespace", stream.name_space}, {"stream", stream.name}},
          {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10})) {}

}  // namespace millrace::ingest
