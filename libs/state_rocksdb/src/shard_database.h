#pragma once

#include <rocksdb/db.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "millrace/state/state_store.h"

namespace millrace::state_rocksdb {

/// One shard's database and its latest frozen state: <folder>/db and <folder>/frozen-<n>; files
/// that are to become the database wait in <folder>/restore. Every call blocks. Threads: any; calls
/// take turns.
class ShardDatabase {
 public:
  explicit ShardDatabase(std::string folder) : folder_(std::move(folder)) {}

  /// Empties the folder and opens an empty database.
  Status OpenEmpty();
  Status Apply(const StateBatch& batch);
  Result<std::vector<StateFile>> Freeze();
  Result<std::shared_ptr<ByteSource>> ReadFile(const std::string& name);
  Status BeginRestore();
  Result<std::shared_ptr<ByteSink>> RestoreFile(const StateFile& file);
  Status FinishRestore();
  Result<std::vector<std::pair<std::string, std::string>>> Scan(const std::string& from,
                                                                size_t limit);

 private:
  Status Clear();
  Status Open(bool create);
  Result<StateFile> Describe(const std::string& name);
  Status UseRestored();
  Error FromStatus(const rocksdb::Status& s, const std::string& what) const;

  const std::string folder_;
  std::mutex mutex_;
  std::unique_ptr<rocksdb::DB> db_;
  int64_t freezes_ = 0;
  std::string frozen_;
  bool restored_any_ = false;  ///< a file waits in <folder>/restore
  /// Table files described before, by name: a running database never uses a name again.
  std::map<std::string, StateFile> described_;
};

}  // namespace millrace::state_rocksdb
