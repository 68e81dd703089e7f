#pragma once

#include <memory>

#include "millrace/metrics/metrics.h"
#include "millrace/objectstore/object_store.h"

namespace millrace {

/// Counts the calls of another store, their results, times and bytes (docs/metrics.md).
/// Threads: any executor.
class MeteredObjectStore : public ObjectStore {
 public:
  /// `inner` and `metrics` outlive it.
  MeteredObjectStore(ObjectStore* inner, MetricRegistry* metrics);
  ~MeteredObjectStore() override;

  Task<Status> Probe() override { return inner_->Probe(); }
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
  struct Call;
  class Timing;

  ObjectStore* const inner_;
  const std::unique_ptr<const Call> put_;
  const std::unique_ptr<const Call> get_;
  const std::unique_ptr<const Call> stat_;
  const std::unique_ptr<const Call> list_;
  const std::unique_ptr<const Call> delete_;
  Counter* const bytes_put_;
  Counter* const bytes_got_;
};

}  // namespace millrace
