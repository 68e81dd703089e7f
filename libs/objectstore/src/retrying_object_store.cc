#include "millrace/objectstore/retrying_object_store.h"

#include <utility>

namespace millrace {

/// The tries of one call.
class RetryingObjectStore::Tries {
 public:
  explicit Tries(const RetryingObjectStore* store)
      : store_(store), delay_(store->options_.first_delay) {}

  /// After a try: waits and gives true if there is to be another one.
  Task<bool> Again(bool failed) {
    ++made_;
    if (!failed && made_ == 1) store_->budget_->GiveBack();
    if (!failed || made_ >= store_->options_.tries || !store_->budget_->Take()) co_return false;
    co_await Delay(delay_);
    delay_ *= 2;
    co_return true;
  }

 private:
  const RetryingObjectStore* const store_;
  Executor::Duration delay_;
  int made_ = 0;
};

namespace {

/// Tells whether a stream was touched: what was read of it or written to it is gone.
class WatchedSource : public ByteSource {
 public:
  explicit WatchedSource(std::shared_ptr<ByteSource> inner) : inner_(std::move(inner)) {}
  Result<std::string> Read(size_t limit) override {
    touched = true;
    return inner_->Read(limit);
  }
  bool touched = false;

 private:
  const std::shared_ptr<ByteSource> inner_;
};

class WatchedSink : public ByteSink {
 public:
  explicit WatchedSink(std::shared_ptr<ByteSink> inner) : inner_(std::move(inner)) {}
  Status Write(std::string_view bytes) override {
    touched = true;
    return inner_->Write(bytes);
  }
  Status Finish() override {
    touched = true;
    return inner_->Finish();
  }
  bool touched = false;

 private:
  const std::shared_ptr<ByteSink> inner_;
};

template <typename R>
bool MayPass(const R& result) {
  return !result.ok() && result.error().code == Code::kUnavailable;
}

}  // namespace

RetryingObjectStore::RetryingObjectStore(ObjectStore* inner, Options options)
    : inner_(inner),
      options_(options),
      budget_(std::make_unique<RetryBudget>(options.budget, options.given_back)) {}
RetryingObjectStore::~RetryingObjectStore() = default;

std::string RetryingObjectStore::AddressOf(std::string_view key) const {
  return inner_->AddressOf(key);
}

Task<Status> RetryingObjectStore::Put(std::string key, Buffer data) {
  Tries tries(this);
  for (;;) {
    auto result = co_await inner_->Put(key, data);
    const bool again = co_await tries.Again(MayPass(result));
    if (!again) co_return result;
  }
}

Task<Result<Buffer>> RetryingObjectStore::Get(std::string key) {
  Tries tries(this);
  for (;;) {
    auto result = co_await inner_->Get(key);
    const bool again = co_await tries.Again(MayPass(result));
    if (!again) co_return result;
  }
}

Task<Status> RetryingObjectStore::PutFrom(std::string key, std::shared_ptr<ByteSource> source) {
  Tries tries(this);
  const auto watched = std::make_shared<WatchedSource>(std::move(source));
  for (;;) {
    auto result = co_await inner_->PutFrom(key, watched);
    if (!result.ok() && watched->touched) co_return result;
    const bool again = co_await tries.Again(MayPass(result));
    if (!again) co_return result;
  }
}

Task<Status> RetryingObjectStore::GetTo(std::string key, std::shared_ptr<ByteSink> sink) {
  Tries tries(this);
  const auto watched = std::make_shared<WatchedSink>(std::move(sink));
  for (;;) {
    auto result = co_await inner_->GetTo(key, watched);
    if (!result.ok() && watched->touched) co_return result;
    const bool again = co_await tries.Again(MayPass(result));
    if (!again) co_return result;
  }
}

Task<Result<ObjectInfo>> RetryingObjectStore::Stat(std::string key) {
  Tries tries(this);
  for (;;) {
    auto result = co_await inner_->Stat(key);
    const bool again = co_await tries.Again(MayPass(result));
    if (!again) co_return result;
  }
}

Task<Result<std::vector<ObjectInfo>>> RetryingObjectStore::List(std::string prefix,
                                                                std::string after, size_t limit) {
  Tries tries(this);
  for (;;) {
    auto result = co_await inner_->List(prefix, after, limit);
    const bool again = co_await tries.Again(MayPass(result));
    if (!again) co_return result;
  }
}

Task<Result<std::vector<std::string>>> RetryingObjectStore::ListFolders(std::string prefix,
                                                                        std::string after,
                                                                        size_t limit) {
  Tries tries(this);
  for (;;) {
    auto result = co_await inner_->ListFolders(prefix, after, limit);
    const bool again = co_await tries.Again(MayPass(result));
    if (!again) co_return result;
  }
}

Task<Status> RetryingObjectStore::Delete(std::string key) {
  Tries tries(this);
  for (;;) {
    auto result = co_await inner_->Delete(key);
    const bool again = co_await tries.Again(MayPass(result));
    if (!again) co_return result;
  }
}

}  // namespace millrace
