#pragma once

#include <algorithm>
#include <utility>

#include "millrace/window/shard_fold.h"

namespace millrace {

/// All changes of a frozen state as one, made in parts of `bytes`.
inline window::StateChange AllChanges(window::FrozenFold frozen, window::StateHash* hash,
                                      size_t bytes = 100) {
  window::StateChange all;
  while (auto part = frozen.NextChanges(hash, bytes)) {
    for (auto& range : part->delete_ranges) all.delete_ranges.push_back(std::move(range));
    for (auto& put : part->puts) all.puts.push_back(std::move(put));
  }
  std::sort(all.puts.begin(), all.puts.end());
  return all;
}

}  // namespace millrace
