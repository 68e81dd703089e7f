#pragma once

#include <memory>

#include "millrace/objectstore/object_store.h"

namespace millrace::objectstore_arrow {

/// Objects as files DIR/<key>, which other programs may read at any time: a file is whole as soon
/// as its name is there. Temporary files lie in DIR/.tmp, which Open empties: one process writes a
/// directory. Blocking work is offloaded.
///
/// A folder or file whose name begins with a dot, or that is no part of a key, is not seen. If the
/// directory is gone, or is not the one that was opened, calls end with kUnavailable.
///
/// Also kInvalidArgument: not a key (object_key.h), or the key of an object is a folder of others.
/// Keys x and x/y cannot both be there.
class LocalObjectStore : public ObjectStore {
 public:
  /// kInvalidArgument: the directory cannot be made or written.
  static Result<std::unique_ptr<LocalObjectStore>> Open(const std::string& directory);

  /// A path: absolute if the directory's is.
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
  struct Directory;
  explicit LocalObjectStore(std::shared_ptr<Directory> directory);

  std::shared_ptr<Directory> directory_;
};

}  // namespace millrace::objectstore_arrow
