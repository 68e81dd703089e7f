#pragma once

#include <memory>
#include <string>

#include "millrace/checkpoint/checkpointer.h"
#include "millrace/objectstore/object_store.h"
#include "millrace/state/state_store.h"
#include "millrace/window/shard_fold.h"
#include "support/temp_dir.h"
#include "support/test_executor.h"

namespace millrace::fold {

/// Cuts a fold into a checkpoint, throws fold and local state away, and restores another one from
/// the objects alone.
class Restarter {
 public:
  /// `disk`: RocksDB and a directory of objects, as a worker has them; else both in memory, which
  /// is a hundred times faster.
  explicit Restarter(bool disk);

  std::unique_ptr<window::ShardFold> Restart(std::unique_ptr<window::ShardFold> fold,
                                             const window::FoldSpec& spec, Offset next_offset);

 private:
  Task<std::unique_ptr<window::ShardFold>> Cycle(std::unique_ptr<window::ShardFold> fold,
                                                 window::FoldSpec spec, Offset next_offset);

  test::TestExecutor executor_;
  test::TempDir directory_;
  std::unique_ptr<ObjectStore> objects_;
  std::unique_ptr<StateStores> states_;
  std::unique_ptr<StateStore> state_;
  window::StateHash hash_;
  std::vector<checkpoint::Manifest> kept_;
  int64_t cuts_ = 0;
};

}  // namespace millrace::fold
