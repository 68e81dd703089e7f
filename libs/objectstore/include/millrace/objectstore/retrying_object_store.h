#pragma once

#include <memory>

#include "millrace/base/executor.h"
#include "millrace/objectstore/object_store.h"
#include "millrace/objectstore/retry_budget.h"

namespace millrace {

/// Calls another store again after kUnavailable, for failures that pass in moments. Every call of
/// the port may be made again: a put replaces what an earlier try of it left.
///
/// Two bounds keep a store that is away from being asked more than before. A call is tried
/// `Options::tries` times. And all calls together share a budget: a try after the first one takes
/// one from it, a call that succeeds at its first try gives a part of one back. So where everything
/// fails there are soon no second tries, and callers learn of it at once.
///
/// A stream that was read or written in part cannot be begun again here, so PutFrom and GetTo are
/// tried again only if their first try moved no byte.
/// Threads: any executor. Waits on the caller's.
class RetryingObjectStore : public ObjectStore {
 public:
  struct Options {
    int tries = 3;
    Executor::Duration first_delay = std::chrono::milliseconds(50);  ///< doubles
    double budget = 10;       ///< tries after a first one that may be made at once
    double given_back = 0.1;  ///< by a success: one call in ten may need a second try for ever
  };

  /// `inner` outlives it.
  RetryingObjectStore(ObjectStore* inner, Options options);
  explicit RetryingObjectStore(ObjectStore* inner) : RetryingObjectStore(inner, Options()) {}
  ~RetryingObjectStore() override;

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
  class Tries;

  ObjectStore* const inner_;
  const Options options_;
  const std::unique_ptr<RetryBudget> budget_;
};

}  // namespace millrace
