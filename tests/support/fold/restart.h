#pragma once

#include <map>
#include <memory>
#include <string>

#include "millrace/window/shard_fold.h"

namespace millrace::fold {

/// Cuts a fold, throws it away and restores another one from what the cut stored.
class Restarter {
 public:
  std::unique_ptr<window::ShardFold> Restart(std::unique_ptr<window::ShardFold> fold,
                                             const window::FoldSpec& spec);

 private:
  std::map<std::string, std::string> stored_;
  window::StateHash hash_;
};

}  // namespace millrace::fold
