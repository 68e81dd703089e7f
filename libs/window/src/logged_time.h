#pragma once

#include <algorithm>
#include <optional>

#include "millrace/base/bytes.h"
#include "millrace/model/batch.h"

namespace millrace::window {

/// Time as the log tells it: the chain of valid ticks, logged time, idle time (semantics rule 4)
/// and the watermark (rule 3).
struct LoggedTime {
  static constexpr Micros kMaxElapsed = 2 * kSecond;
  /// What one record can add to logged time.
  static constexpr Micros kMaxStep = 3'600 * kSecond;

  Offset last_tick{-1};  ///< the last valid tick read, or -1
  Micros logged = 0;
  Micros appended = kMinusInfinity;  ///< append time of the last record read; before it: none
  Micros stepped_back = 0;           ///< what append times have to make up for
  Micros idle = 0;
  bool event_since_tick = false;
  Micros largest = kMinusInfinity;    ///< T
  Micros watermark = kMinusInfinity;  ///< W

  /// A record was read. Gives what its append time adds to logged time.
  Micros SinceLastRecord(Micros append_time) {
    if (appended == kMinusInfinity) {
      appended = append_time;
      return 0;
    }
    const auto step = static_cast<Micros>(
        std::clamp<Int128>(static_cast<Int128>(append_time) - appended, -kMaxStep, kMaxStep));
    appended = append_time;
    if (step < 0) {
      stepped_back = std::min(stepped_back - step, kMaxStep);
      return 0;
    }
    const Micros made_up = std::min(step, stepped_back);
    stepped_back -= made_up;
    return step - made_up;
  }

  /// Takes a tick if it is valid, and gives the time that it counts for.
  std::optional<Micros> Accept(const Tick& tick) {
    const bool first = last_tick.value < 0;
    if (!first && tick.previous != last_tick) return std::nullopt;
    last_tick = tick.offset;
    const Micros elapsed = first ? 0 : std::clamp(tick.elapsed, Micros{0}, kMaxElapsed);
    if (!event_since_tick) idle += elapsed;
    event_since_tick = false;
    return elapsed;
  }

  /// An admitted event with min(event time, append time) = t.
  void Admit(Micros t, Micros watermark_delay) {
    idle = 0;
    event_since_tick = true;
    if (t <= largest) return;
    largest = t;
    watermark = std::max(watermark, SaturatingAdd(t, -watermark_delay));
  }

  /// As Admit for each of some events, which have moved T and W as given.
  void AdmitMany(Micros moved_largest, Micros moved_watermark) {
    idle = 0;
    event_since_tick = true;
    largest = moved_largest;
    watermark = moved_watermark;
  }

  void Encode(ByteWriter* w) const {
    w->Fixed(last_tick.value);
    w->Fixed(logged);
    w->Fixed(appended);
    w->Fixed(stepped_back);
    w->Fixed(idle);
    w->Fixed(event_since_tick);
    w->Fixed(largest);
    w->Fixed(watermark);
  }
  void Decode(ByteReader* r) {
    last_tick = Offset(r->Fixed<int64_t>());
    logged = r->Fixed<Micros>();
    appended = r->Fixed<Micros>();
    stepped_back = r->Fixed<Micros>();
    idle = r->Fixed<Micros>();
    event_since_tick = r->Fixed<uint8_t>() != 0;
    largest = r->Fixed<Micros>();
    watermark = r->Fixed<Micros>();
  }
};

}  // namespace millrace::window
