#pragma once

#include <map>

#include "millrace/objectstore/object_store.h"

namespace millrace {

/// Objects that are gone with the store, modified by the putting executor's wall clock. Every call
/// succeeds at once; decorators add the faults. As stores over files do, it refuses a key that is a
/// folder of others, and one below an object (kInvalidArgument).
/// Threads: one.
class InMemoryObjectStore : public ObjectStore {
 public:
  /// "memory:<key>": no other program finds it.
  std::string AddressOf(std::string_view key) const override;
  Task<Status> Put(std::string key, Buffer data) override;
  Task<Result<Buffer>> Get(std::string key) override;
  Task<Status> PutFrom(std::string key, std::shared_ptr<ByteSource> source) override;
  Task<Status> GetTo(std::string key, std::shared_ptr<ByteSink> sink) override;
  Task<Result<ObjectInfo>> Stat(std::string key) override;
  Task<Result<std::vector<ObjectInfo>>> List(std::string prefix, std::string after,
                                             size_t limit) override;
  Task<Result<std::vector<std::string>>> ListFolders(std::string prefix, std::string after,
                                                     size_t limit) override;
  Task<Status> Delete(std::string key) override;

 private:
  struct Object {
    Buffer data;
    Micros modified = 0;
  };
  Status CheckPlace(const std::string& key) const;
  static ObjectInfo InfoOf(const std::string& key, const Object& object);

  std::map<std::string, Object> objects_;
};

}  // namespace millrace
