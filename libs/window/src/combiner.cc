#include "combiner.h"

#include <utility>

namespace millrace::window {
namespace {
/// Nothing shares the pages of these tables, so they are written in place.
constexpr uint64_t kEpoch = 0;
}  // namespace

std::vector<const GroupTable*> Combiner::Combine(Span window, const Slices& slices) {
  while (!front_.empty() && front_.front().start < window.start) {
    spare_.push_back(std::move(front_.front().table));
    front_.pop_front();
  }
  if (stale_ || front_.empty()) {
    Rebuild(window, slices);
  } else {
    for (auto at = slices.lower_bound(included_end_); at != slices.end() && at->first < window.end;
         ++at) {
      back_.MergeAll(at->second.table, kEpoch);
    }
    included_end_ = window.end;
  }
  included_start_ = window.start;
  if (back_.size() == 0) return {&front_.front().table};
  return {&front_.front().table, &back_};
}

void Combiner::Rebuild(Span window, const Slices& slices) {
  for (; !front_.empty(); front_.pop_front()) spare_.push_back(std::move(front_.front().table));
  back_.Clear();
  stale_ = false;
  included_end_ = window.end;
  for (auto at = slices.lower_bound(window.end); at != slices.begin();) {
    --at;
    if (at->first < window.start) break;
    GroupTable table = NewTable();
    if (!front_.empty()) table.Assign(front_.front().table);
    table.MergeAll(at->second.table, kEpoch);
    front_.push_front({at->first, std::move(table)});
  }
  spare_.clear();
}

GroupTable Combiner::NewTable() {
  if (spare_.empty()) return GroupTable(plan_);
  GroupTable table = std::move(spare_.back());
  spare_.pop_back();
  table.Clear();
  return table;
}

}  // namespace millrace::window
