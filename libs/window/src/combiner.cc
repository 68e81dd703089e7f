#include "combiner.h"

namespace millrace::window {
namespace {
/// Nothing shares the back stack's pages, so they are written in place; all other tables here copy
/// on write.
constexpr uint64_t kBackEpoch = ~uint64_t{0};
}  // namespace

std::vector<const GroupTable*> Combiner::Combine(Span window, const Slices& slices) {
  while (!front_.empty() && front_.front().start < window.start) front_.pop_front();
  if (stale_ || front_.empty()) {
    Rebuild(window, slices);
  } else {
    for (auto at = slices.lower_bound(included_end_); at != slices.end() && at->first < window.end;
         ++at) {
      back_.MergeAll(at->second.table, kBackEpoch);
    }
    included_end_ = window.end;
  }
  included_start_ = window.start;
  if (back_.size() == 0) return {&front_.front().table};
  return {&front_.front().table, &back_};
}

void Combiner::Rebuild(Span window, const Slices& slices) {
  front_.clear();
  back_.Clear();
  stale_ = false;
  included_end_ = window.end;
  for (auto at = slices.lower_bound(window.end); at != slices.begin();) {
    --at;
    if (at->first < window.start) break;
    front_.push_front({at->first, front_.empty() ? GroupTable(plan_) : front_.front().table});
    front_.front().table.MergeAll(at->second.table, ++epoch_);
  }
}

}  // namespace millrace::window
