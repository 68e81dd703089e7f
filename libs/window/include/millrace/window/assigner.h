#pragma once

#include "millrace/base/time.h"
#include "millrace/model/spec.h"

namespace millrace::window {

/// Half-open [start, end).
struct Span {
  Micros start = 0;
  Micros end = 0;

  bool Holds(Micros t) const { return start <= t && t < end; }
  friend bool operator==(const Span&, const Span&) = default;
};

/// Which windows and slices an event time lies in. Slices are the pieces between neighbouring
/// window edges, so every window is a row of whole slices and an event updates one slice however
/// many windows overlap; per slide there are at most two (Krishnamurthy, Wu, Franklin, "On-the-fly
/// sharing for streamed aggregation", 2006). Windows ascend by start and end alike. Pure.
class Assigner {
 public:
  explicit Assigner(const WindowSpec& spec);

  Span SliceOf(Micros t) const;
  /// The first and the last window that hold a slice.
  Span FirstWindowOf(Span slice) const;
  Span LastWindowOf(Span slice) const;
  Span NextWindow(Span window) const;
  /// The first window with end > t, or with start >= t.
  Span FirstWindowEndingAfter(Micros t) const;
  Span FirstWindowStartingAt(Micros t) const;
  /// How many windows lie in [first, last], both windows.
  int64_t Count(Span first, Span last) const;

 private:
  Micros AlignDown(Micros t) const { return t - FloorMod(t - spec_.offset, spec_.slide); }
  Span WindowAt(Micros start) const { return {start, start + spec_.size}; }
  int64_t DayOf(Micros t) const;
  Micros DayStart(int64_t day) const;
  int64_t ZoneIndex(Micros t) const;
  Span ZoneWindow(int64_t index) const;

  WindowSpec spec_;
  Micros remainder_ = 0;
  int64_t first_day_ = 0;
};

}  // namespace millrace::window
