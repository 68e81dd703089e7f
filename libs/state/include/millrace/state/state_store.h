#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "millrace/base/byte_stream.h"
#include "millrace/base/bytes.h"
#include "millrace/base/result.h"
#include "millrace/base/task.h"

namespace millrace {

/// One change of a shard's local state: first the deletions, then the puts.
struct StateBatch {
  /// Half-open key ranges [begin, end).
  std::vector<std::pair<std::string, std::string>> delete_ranges;
  /// Ascending by key, each key once.
  std::vector<std::pair<std::string, std::string>> puts;
};

/// An immutable file of a frozen state. `identity` is unique for its content: equal identities mean
/// equal bytes.
struct StateFile {
  std::string name;      ///< local name within the freeze
  std::string identity;  ///< hex; RocksDB's unique id for table files, else a content hash
  int64_t size = 0;
  uint32_t crc32c = 0;
};

/// A shard's local state: an ordered map that is written at cuts only. It is a cache; everything
/// can be lost at any time.
///
/// Threads: one shard, one executor; one operation at a time.
class StateStore {
 public:
  virtual ~StateStore() = default;

  virtual Task<Status> Apply(StateBatch batch) = 0;
  /// Files that together hold the present state; they stay readable, unchanged by later Apply,
  /// until the next Freeze.
  virtual Task<Result<std::vector<StateFile>>> Freeze() = 0;
  /// The bytes of one of them, from the front.
  virtual Task<Result<std::shared_ptr<ByteSource>>> ReadFile(std::string name) = 0;
  /// Replaces everything by a frozen state, file by file, in any order: BeginRestore empties the
  /// store, each file goes to a sink, which refuses another size or checksum, and FinishRestore
  /// puts them in place. Without files the store is empty, and so it is after an error.
  /// kCorruption: the files are not a state. kUnavailable: nobody knows yet, try again.
  virtual Task<Status> BeginRestore() = 0;
  virtual Task<Result<std::shared_ptr<ByteSink>>> RestoreFile(StateFile file) = 0;
  virtual Task<Status> FinishRestore() = 0;
  /// Up to `limit` entries with key >= `from`, ascending.
  virtual Task<Result<std::vector<std::pair<std::string, std::string>>>> Scan(std::string from,
                                                                              size_t limit) = 0;
};

/// Makes the stores of a worker's shards.
class StateStores {
 public:
  virtual ~StateStores() = default;
  /// A store for the shard, empty. `shard` is a path-safe name.
  virtual Task<Result<std::unique_ptr<StateStore>>> Open(std::string shard) = 0;
  /// Removes a shard's local files. Absent is fine.
  virtual Task<Status> Remove(std::string shard) = 0;
};

}  // namespace millrace
