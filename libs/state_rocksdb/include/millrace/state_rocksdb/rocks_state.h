#pragma once

#include "millrace/state/state_store.h"

namespace millrace::state_rocksdb {

/// States under one directory, DIR/<shard>/, which the process must own alone: Open empties the
/// shard's folder, whatever lies there. Blocking work is offloaded.
///
/// Errors of the stores: kCorruption: RocksDB found damage; kUnavailable: any other failure of the
/// disk. After a Restore that failed the state is empty.
class RocksStates : public StateStores {
 public:
  explicit RocksStates(std::string directory) : directory_(std::move(directory)) {}

  /// Removes what an earlier process left, of shards that nobody may open again. Blocks.
  Status Clear();

  /// kInvalidArgument: `shard` is no plain file name.
  Task<Result<std::unique_ptr<StateStore>>> Open(std::string shard) override;
  Task<Status> Remove(std::string shard) override;

 private:
  const std::string directory_;
};

}  // namespace millrace::state_rocksdb
