#pragma once

#include <algorithm>

#include "millrace/base/bytes.h"
#include "millrace/model/batch.h"

namespace millrace::window {

/// Time as the log tells it: the chain of valid ticks, logged time, idle time (semantics rule 4)
/// and the watermark (rule 3).
struct LoggedTime {
  static constexpr Micros kMaxElapsed = 2 * kSecond;

  Offset last_tick{-1};  ///< the last valid tick read, or -1
  Micros logged = 0;
  Micros idle = 0;
  bool event_since_tick = false;
  Micros largest = kMinusInfinity;    ///< T
  Micros watermark = kMinusInfinity;  ///< W

  /// Takes a tick if it is valid.
  bool Accept(const Tick& tick) {
    const bool first = last_tick.value < 0;
    if (!first && tick.previous != last_tick) return false;
    last_tick = tick.offset;
    const Micros elapsed = first ? 0 : std::clamp(tick.elapsed, Micros{0}, kMaxElapsed);
    logged += elapsed;
    if (!event_since_tick) idle += elapsed;
    event_since_tick = false;
    return true;
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
    w->Fixed(idle);
    w->Fixed(event_since_tick);
    w->Fixed(largest);
    w->Fixed(watermark);
  }
  void Decode(ByteReader* r) {
    last_tick = Offset(r->Fixed<int64_t>());
    logged = r->Fixed<Micros>();
    idle = r->Fixed<Micros>();
    event_since_tick = r->Fixed<uint8_t>() != 0;
    largest = r->Fixed<Micros>();
    watermark = r->Fixed<Micros>();
  }
};

}  // namespace millrace::window
