#pragma once

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "millrace/base/facts.h"

namespace millrace::log_kafka {

using Properties = std::vector<std::pair<std::string, std::string>>;

template <typename T, void (*Destroy)(T*)>
struct Deleter {
  void operator()(T* object) const { Destroy(object); }
};
template <typename T, void (*Destroy)(T*)>
using Owned = std::unique_ptr<T, Deleter<T, Destroy>>;
using OwnedEvent = Owned<rd_kafka_event_t, rd_kafka_event_destroy>;
using OwnedQueue = Owned<rd_kafka_queue_t, rd_kafka_queue_destroy>;
using OwnedPartitions =
    Owned<rd_kafka_topic_partition_list_t, rd_kafka_topic_partition_list_destroy>;

/// One client of librdkafka, and the thread that takes its events.
class Handle {
 public:
  /// `on_event` gets delivery reports, `on_pass` is called some times a second; both on the thread
  /// of the handle, which they must not destroy.
  static Result<std::shared_ptr<Handle>> Open(rd_kafka_type_t type, const Properties& properties,
                                              std::function<void(rd_kafka_event_t*)> on_event = {},
                                              std::function<void()> on_pass = {});
  ~Handle();
  Handle(const Handle&) = delete;

  rd_kafka_t* get() const { return kafka_; }
  /// Grows whenever the brokers said that they do not know a topic or partition.
  uint64_t doubts() const { return doubts_; }
  /// Whether a broker refused the login or the certificate a moment ago, or this client its.
  bool refused() const;
  /// Whether it can do nothing more.
  bool dead() const { return dead_; }

  /// What a call's error means to an operator: librdkafka often says only that a call timed out,
  /// while the reason came as an event before it.
  Error Failed(Code code, std::string_view what, rd_kafka_resp_err_t error, Facts facts) const;
  Error Failed(Code code, std::string_view what, std::string_view error, Facts facts) const;

 private:
  Handle() = default;
  void Serve();
  void Told(rd_kafka_event_t* event);

  rd_kafka_t* kafka_ = nullptr;
  OwnedQueue events_;
  std::function<void(rd_kafka_event_t*)> on_event_;
  std::function<void()> on_pass_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> dead_{false};
  std::atomic<uint64_t> doubts_{0};
  mutable std::mutex mutex_;
  std::string told_;
  std::chrono::steady_clock::time_point told_at_;
  std::chrono::steady_clock::time_point refused_at_;
  std::thread thread_;
};

/// Whether the error says that there is no such topic or partition.
bool IsUnknown(rd_kafka_resp_err_t error);

}  // namespace millrace::log_kafka
