#pragma once

#include <utility>
#include <vector>

#include "millrace/window/shard_fold.h"

namespace millrace {

/// Everything that the records given to a fold have made due, however many parts it comes in.
inline std::vector<window::OutputRows> TakeAll(window::ShardFold* fold) {
  std::vector<window::OutputRows> all = fold->TakeOutput();
  while (fold->emitting()) {
    fold->Continue();
    for (window::OutputRows& rows : fold->TakeOutput()) all.push_back(std::move(rows));
  }
  return all;
}

}  // namespace millrace
