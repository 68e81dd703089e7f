#pragma once

#include <map>

#include "millrace/objectstore/object_store.h"

namespace millrace {

/// Objects that are gone with the store. Every call succeeds at once; decorators add the faults.
/// Threads: one.
class InMemoryObjectStore : public ObjectStore {
 public:
  Task<Status> Put(std::string key, Buffer data) override;
  Task<Result<Buffer>> Get(std::string key) override;
  Task<Result<ObjectInfo>> Stat(std::string key) override;
  Task<Result<std::vector<ObjectInfo>>> List(std::string prefix) override;
  Task<Status> Delete(std::string key) override;

 private:
  std::map<std::string, Buffer> objects_;
};

}  // namespace millrace
