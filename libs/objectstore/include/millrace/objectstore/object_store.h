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

/// Bytes under keys ("a/b/c"). A Put is whole or not at all; after it is acknowledged every Get
/// sees it. Threads: any executor. kUnavailable: the outcome is unknown.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

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
  /// Objects whose key begins with `prefix` (ends in '/' or is empty), by key.
  virtual Task<Result<std::vector<ObjectInfo>>> List(std::string prefix) = 0;
  /// Absent is fine.
  virtual Task<Status> Delete(std::string key) = 0;
};

}  // namespace millrace
