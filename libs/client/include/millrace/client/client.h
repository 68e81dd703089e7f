#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.h"

namespace millrace {

/// What became of an event.
enum class Outcome : uint8_t {
  kAcknowledged,  ///< durable in the log
  kRefused,       ///< certainly not in the log; sending it again cannot help
  kUnknown,       ///< given up, or refused after an attempt whose outcome is unknown
};

struct EventReport {
  int64_t sequence = 0;
  Outcome outcome = Outcome::kUnknown;
  int32_t partition = -1;  ///< position in the log, kAcknowledged only
  int64_t offset = -1;
  int32_t row = -1;
  std::string reason;  ///< UPPER_SNAKE; empty if acknowledged
  std::string message;
};

struct ClientStats {
  int64_t acknowledged = 0;
  int64_t refused = 0;
  int64_t unknown = 0;
  int64_t resent = 0;      ///< events sent again after an unknown outcome
  int64_t unsettled = 0;   ///< published, nothing known yet
  std::string last_error;  ///< of the connection; empty while it works
};

struct ClientOptions {
  /// HOST:PORT of gateways; after a failure the next one. Processes of another kind may be among
  /// them.
  std::vector<std::string> endpoints;
  std::string name_space = "default";
  std::string stream;
  /// Who sends. A durable identity, together with `first_sequence`, makes resending after a crash
  /// of the sender safe. Empty: a random one.
  std::string producer_id;
  /// Number of the first event. Everything below it counts as settled and is never sent again.
  int64_t first_sequence = 0;
  size_t batch_events = 1'000;
  size_t batch_bytes = 256 << 10;
  std::chrono::microseconds linger{5'000};  ///< a batch waits so long for more events
  size_t batches_in_flight = 16;
  /// Of events that are not settled; past it Publish waits.
  size_t buffer_bytes = 16 << 20;
  /// An event not settled after so long is reported as refused (DEADLINE_EXCEEDED) if it was never
  /// sent, else as unknown, and not sent again. Without it the client never gives up.
  std::optional<std::chrono::milliseconds> give_up_after;
  std::chrono::milliseconds retry_first{50};  ///< delay after a failure; doubles up to retry_last
  std::chrono::milliseconds retry_last{2'000};
  /// Events are judged as ever and not appended; kAcknowledged then means that this one would be.
  bool dry_run = false;
  /// Called once for every event, one call at a time, from a thread of the client's or one that
  /// publishes. acked_below passes a refused or given-up event only after its call has returned, so
  /// a producer with a durable identity can save its position here. Must not call the client.
  std::function<void(const EventReport&)> on_event;
};

/// Sends events to a stream, in order, exactly once from the call of Publish to the results: it
/// numbers them, sends them in pipelined batches, and sends the same numbers again after any doubt,
/// to the same or another gateway.
///
/// Order: events enter each partition in the order of their numbers, also when appends fail or the
/// connection breaks: all from the first unsettled number on are then sent again.
/// Threads: owns one, one while connected and one to give up; all methods from any thread.
class Client {
 public:
  /// Connects when there is something to send. kInvalidArgument: the options make no sense.
  static Result<std::unique_ptr<Client>> Create(ClientOptions options);
  /// What is not settled is reported as unknown, or as refused (CLIENT_CLOSED) if it was never
  /// sent. Flush first.
  ~Client();
  Client(const Client&) = delete;

  /// Takes one event, a JSON object, and gives its number. `key`: see docs/producing.md; rarely
  /// needed. Waits while the buffer is full. Errors: the one that made the whole client fail, such
  /// as kNotFound for an unknown stream; the event was not taken.
  Result<int64_t> Publish(std::string_view json, std::optional<std::string_view> key = {});
  /// Passes over one number, which is never sent: the place of what could not become an event.
  int64_t Skip();
  /// Sends at once, and waits until all events published before are settled. kUnavailable: not
  /// within `timeout`. Else the error that made the whole client fail.
  Status Flush(std::optional<std::chrono::milliseconds> timeout = {});

  ClientStats Stats() const;
  const std::string& producer_id() const;

 private:
  class Core;
  explicit Client(std::unique_ptr<Core> core);

  std::unique_ptr<Core> core_;
};

}  // namespace millrace
