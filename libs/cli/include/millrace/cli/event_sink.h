#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "millrace/base/result.h"
#include "millrace/cli/names.h"

namespace millrace::cli {

struct RefusedEvent {
  int64_t sequence = 0;
  std::string reason;  ///< UPPER_SNAKE
  std::string message;
};

struct SinkOptions {
  QualifiedName stream;
  std::string producer_id;
  /// Events are judged and go no further; acknowledged ones would have been taken.
  bool dry_run = false;
  /// One of the two, from the sink's threads, once for each event, before Flush() returns: it was
  /// refused for good, or acknowledged.
  std::function<void(RefusedEvent)> on_refused;
  std::function<void(int64_t sequence)> on_acknowledged{};  ///< may be empty
};

struct SinkCounters {
  int64_t acknowledged = 0;  ///< durable
  int64_t refused = 0;
  int64_t resent = 0;   ///< sent again after an unknown outcome
  std::string trouble;  ///< why nothing gets through just now; empty while all is well
};

/// Takes events to a stream under one producer's numbers. Bounded memory; never gives up on an
/// event whose outcome it does not know, because a number once given up cannot be sent again by a
/// later run. Threads: one calls Send and Flush; counters() from any.
class EventSink {
 public:
  virtual ~EventSink() = default;

  /// Sequences ascend; gaps are allowed. Waits while too much is under way. An error is final: the
  /// stream is gone, or the gateway takes nothing from this producer.
  virtual Status Send(int64_t sequence, std::string_view payload) = 0;
  /// Waits until the outcome of every event sent is known.
  virtual Status Flush() = 0;
  virtual SinkCounters counters() const = 0;
};

using OpenEventSink = std::function<Result<std::unique_ptr<EventSink>>(SinkOptions)>;

}  // namespace millrace::cli
