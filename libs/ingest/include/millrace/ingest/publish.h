#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.h"

namespace millrace::ingest {

enum class PayloadKind : uint8_t { kNone, kJson, kProtobuf, kArrow };

struct Event {
  std::optional<std::string_view> key;
  PayloadKind kind = PayloadKind::kJson;
  std::string_view payload;
};

/// The requests of one caller whose events must not overtake each other. Once the log has not taken
/// an event of it, or did not say so, no later one is appended. Used on the gateway's executor
/// only.
struct Lane {
  bool broken = false;
};

/// A batch of events of one producer. `owner` keeps alive what the events view.
struct PublishRequest {
  std::string name_space = "default";
  std::string stream;
  std::string producer_id;     ///< empty: the events have no identity
  int64_t first_sequence = 0;  ///< of events[0]; event i has first_sequence + i
  int64_t acked_below = 0;
  bool dry_run = false;  ///< judges the events and appends none
  std::vector<Event> events;
  std::shared_ptr<const void> owner;
};

struct EventError {
  Code code = Code::kInvalidArgument;
  std::string reason;  ///< UPPER_SNAKE
  std::string message;
  bool retryable = false;  ///< the outcome is unknown: send the same numbers again
};

/// Where an event lies in the log, or why it is not known to lie there.
struct EventResult {
  int32_t partition = -1;
  int64_t offset = -1;
  int32_t row = -1;
  std::shared_ptr<const EventError> error;  ///< events of one failed append share it

  bool ok() const { return error == nullptr; }
};

/// Why a whole request was refused. Nothing of it was written.
struct RequestError {
  Code code = Code::kInvalidArgument;
  std::string reason;  ///< UPPER_SNAKE
  std::string message;
  std::string field;                         ///< of the request, where one is to blame
  std::chrono::milliseconds retry_after{0};  ///< kResourceExhausted only
};

/// One result for each event in the order of the request; none if the whole request was refused.
struct PublishReply {
  std::optional<RequestError> error;
  std::vector<EventResult> results;
};

}  // namespace millrace::ingest
