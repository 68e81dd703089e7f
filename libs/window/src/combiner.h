#pragma once

#include <deque>
#include <map>
#include <vector>

#include "accumulators.h"
#include "millrace/window/assigner.h"

namespace millrace::window {

/// The events of one slice.
struct Slice {
  Slice(Span s, const AccumulatorPlan* plan) : span(s), table(plan) {}

  Span span;
  Span first_window;
  Span last_window;
  int64_t windows = 0;          ///< how many windows hold the slice
  bool all_after_start = true;  ///< none of them starts before the fold's not_before
  GroupTable table;
  std::vector<Pending> pending;  ///< rows of the batch at hand, not applied yet
};

using Slices = std::map<Micros, Slice>;

/// Combines slices into windows that ascend: two stacks, so that a window costs O(1) merges per key
/// however many slices it has (Tangwongsan, Hirzel, Schneider, "Low-latency sliding-window
/// aggregation in worst-case constant time", 2017, section on two-stacks). Derived from the slices;
/// never stored.
class Combiner {
 public:
  explicit Combiner(const AccumulatorPlan* plan) : plan_(plan), back_(plan) {}

  /// The one or two tables whose sum is a window of two or more slices. Valid until the next call.
  std::vector<const GroupTable*> Combine(Span window, const Slices& slices);
  /// A slice changed or appeared.
  void NoteUpdate(Micros slice_start) {
    if (slice_start >= included_start_ && slice_start < included_end_) stale_ = true;
  }

 private:
  struct Suffix {
    Micros start;
    GroupTable table;  ///< this slice and all later ones of the front
  };

  void Rebuild(Span window, const Slices& slices);
  GroupTable NewTable();

  const AccumulatorPlan* plan_;
  std::deque<Suffix> front_;
  GroupTable back_;
  std::vector<GroupTable> spare_;  ///< memory of tables that have left the front
  /// front_ and back_ hold the slices in [start, end).
  Micros included_start_ = 0;
  Micros included_end_ = 0;
  bool stale_ = false;
};

}  // namespace millrace::window
