#pragma once

#include <memory>
#include <string>
#include <vector>

#include "millrace/objectstore/object_store.h"
#include "millrace/objectstore_s3/options.h"

namespace millrace::objectstore_s3 {

/// Objects in a bucket of S3, or of a store that speaks as S3 does (docs/adr/0038).
///
/// - An object is absent only if the store says NoSuchKey, and lists the bucket without it.
///   Whatever else a store answers is kUnavailable, with what to do about it.
/// - A put is one request up to 8 MiB and an upload in parts above. What was not completed never
///   shows. A put whose answer did not come may still take effect later.
/// - Keys that end in '/' are markers of other programs: they are neither listed nor counted.
///   Objects whose names are no keys (object_key.h) are not seen.
/// - A call is tried twice, and ends within about 5 seconds and a second for each MiB that it
///   moves. So no RetryingObjectStore belongs around it. Where a server hangs, the call ends all
///   the same; its thread may take longer. When all threads hang, calls end at once.
///
/// The store must list in the order of bytes, as S3's general purpose buckets do; one that does not
/// is told kUnavailable.
///
/// Also kInvalidArgument: the store keeps objects as files, and the key is a folder of others.
/// Threads: any executor. None blocks. Destroy it only when no call is running.
class S3ObjectStore : public ObjectStore {
 public:
  /// Asks nothing of the store yet: it may start later. kInvalidArgument: an option.
  static Result<std::unique_ptr<S3ObjectStore>> Open(Options options);
  ~S3ObjectStore() override;

  /// Lists the bucket once. kInvalidArgument: the store answers and the configuration is wrong
  /// (bucket, credentials, region, certificate). kUnavailable: anything that may pass.
  Task<Status> Probe() override;

  /// "s3://bucket/prefix/key".
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
  struct Core;
  explicit S3ObjectStore(std::unique_ptr<Core> core);

  std::unique_ptr<Core> core_;
};

}  // namespace millrace::objectstore_s3
