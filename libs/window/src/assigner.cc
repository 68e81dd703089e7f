#include "millrace/window/assigner.h"

#include <algorithm>

#include "millrace/base/check.h"

namespace millrace::window {

Assigner::Assigner(const WindowSpec& spec) : spec_(spec), remainder_(spec.size % spec.slide) {
  MILLRACE_CHECK(spec.size > 0 && spec.slide > 0 && spec.slide <= spec.size,
                 "a window spec is malformed");
  MILLRACE_CHECK(spec.zone.empty() || !spec.day_starts.empty(), "a zone without days");
  // Whole weeks count from Monday 1970-01-05, other days from Thursday 1970-01-01.
  first_day_ = spec.days % 7 == 0 ? 4 : 0;
}

Span Assigner::SliceOf(Micros t) const {
  if (!spec_.zone.empty()) return ZoneWindow(ZoneIndex(t));
  const Micros base = AlignDown(t);
  if (remainder_ == 0) return {base, base + spec_.slide};
  if (t - base < remainder_) return {base, base + remainder_};
  return {base + remainder_, base + spec_.slide};
}

Span Assigner::FirstWindowOf(Span slice) const {
  if (!spec_.zone.empty()) return slice;
  const Micros low = slice.end - spec_.size;
  const Micros down = AlignDown(low);
  return WindowAt(down == low ? low : down + spec_.slide);
}

Span Assigner::LastWindowOf(Span slice) const {
  if (!spec_.zone.empty()) return slice;
  return WindowAt(AlignDown(slice.start));
}

Span Assigner::NextWindow(Span window) const {
  if (!spec_.zone.empty()) return ZoneWindow(ZoneIndex(window.end));
  return WindowAt(window.start + spec_.slide);
}

namespace {
/// Far outside all event times, and far enough inside int64 that window arithmetic cannot overflow.
Micros Bounded(Micros t) { return std::clamp(t, -(Micros{1} << 61), Micros{1} << 61); }
}  // namespace

Span Assigner::FirstWindowEndingAfter(Micros t) const {
  t = Bounded(t);
  if (!spec_.zone.empty()) return ZoneWindow(ZoneIndex(t));
  return WindowAt(AlignDown(t - spec_.size) + spec_.slide);
}

Span Assigner::FirstWindowStartingAt(Micros t) const {
  t = Bounded(t);
  if (!spec_.zone.empty()) {
    const Span w = ZoneWindow(ZoneIndex(t));
    return w.start == t ? w : NextWindow(w);
  }
  const Micros down = AlignDown(t);
  return WindowAt(down == t ? t : down + spec_.slide);
}

int64_t Assigner::Count(Span first, Span last) const {
  if (last.start < first.start) return 0;
  if (!spec_.zone.empty()) return ZoneIndex(last.start) - ZoneIndex(first.start) + 1;
  return (last.start - first.start) / spec_.slide + 1;
}

int64_t Assigner::DayOf(Micros t) const {
  const auto& days = spec_.day_starts;
  if (t < days.front()) return -FloorDiv(days.front() - t + kDay - 1, kDay);
  const auto size = static_cast<int64_t>(days.size());
  if (t >= days.back()) return size - 1 + (t - days.back()) / kDay;
  return std::upper_bound(days.begin(), days.end(), t) - days.begin() - 1;
}

Micros Assigner::DayStart(int64_t day) const {
  const auto& days = spec_.day_starts;
  const auto size = static_cast<int64_t>(days.size());
  if (day < 0) return days.front() + day * kDay;
  if (day >= size) return days.back() + (day - size + 1) * kDay;
  return days[static_cast<size_t>(day)];
}

int64_t Assigner::ZoneIndex(Micros t) const { return FloorDiv(DayOf(t) - first_day_, spec_.days); }

Span Assigner::ZoneWindow(int64_t index) const {
  const int64_t day = index * spec_.days + first_day_;
  return {DayStart(day), DayStart(day + spec_.days)};
}

}  // namespace millrace::window
