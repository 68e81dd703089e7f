#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/byte_stream.h"
#include "millrace/base/bytes.h"
#include "millrace/base/result.h"
#include "millrace/base/task.h"
#include "millrace/base/time.h"

namespace millrace {

struct ObjectInfo {
  std::string key;
  int64_t size = 0;
  Micros modified = 0;  ///< when it was put, by the wall clock of the store
};

/// The most that one call of List or ListFolders gives: a page of S3.
inline constexpr size_t kMaxObjectsListed = 1'000;

/// Bytes under keys ("a/b/c"). A Put is whole or not at all; after it is acknowledged every Get
/// sees it. Threads: any executor. kUnavailable: the outcome is unknown.
///
/// kNotFound says that the store is there and the object is not. Where the store itself cannot be
/// found (its directory or bucket is gone or another one), every call ends with kUnavailable:
/// nobody may conclude that an object is lost.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// Asks the store once whether it takes this process. kInvalidArgument: it answers, and something
  /// in the configuration must be changed. kUnavailable: whatever may pass by itself.
  virtual Task<Status> Probe() { co_return Status(); }

  /// A path or URL under which other programs find the object of a key. `key` may be a pattern.
  virtual std::string AddressOf(std::string_view key) const = 0;

  /// Replaces what is there.
  virtual Task<Status> Put(std::string key, Buffer data) = 0;
  /// kNotFound: no object has this key.
  virtual Task<Result<Buffer>> Get(std::string key) = 0;
  /// Put and Get for what need not fit into memory. An error of the source or the sink is given
  /// back as it is; after a failed GetTo the sink has some of the bytes.
  virtual Task<Status> PutFrom(std::string key, std::shared_ptr<ByteSource> source) = 0;
  virtual Task<Status> GetTo(std::string key, std::shared_ptr<ByteSink> sink) = 0;
  /// kNotFound: no object has this key.
  virtual Task<Result<ObjectInfo>> Stat(std::string key) = 0;
  /// The first objects, by key, whose key begins with `prefix` and is above `after`: as many as
  /// there are, but at most `limit` and kMaxObjectsListed. The prefix is any beginning of a key
  /// (object_key.h). object_pager.h goes through all of them.
  virtual Task<Result<std::vector<ObjectInfo>>> List(std::string prefix, std::string after,
                                                     size_t limit) = 0;
  /// The same for the folders directly below `prefix`, which is empty or ends in '/': each that
  /// has an object in it, as "prefix/name/".
  virtual Task<Result<std::vector<std::string>>> ListFolders(std::string prefix, std::string after,
                                                             size_t limit) = 0;
  /// Absent is fine.
  virtual Task<Status> Delete(std::string key) = 0;
};

}  // namespace millrace
