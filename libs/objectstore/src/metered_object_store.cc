#include "millrace/objectstore/metered_object_store.h"

#include <utility>

#include "millrace/base/executor.h"

namespace millrace {
namespace {

/// From the time of a disk to that of a store that is in trouble.
const std::vector<double> kSeconds = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30};

Counter* Bytes(MetricRegistry* metrics, const char* call) {
  return &metrics->GetCounter("millrace_objectstore_bytes_total",
                              "Bytes of objects that were put and read.", {{"call", call}});
}

class CountedSource : public ByteSource {
 public:
  CountedSource(std::shared_ptr<ByteSource> inner, Counter* bytes)
      : inner_(std::move(inner)), bytes_(bytes) {}
  Result<std::string> Read(size_t limit) override {
    auto piece = inner_->Read(limit);
    if (piece.ok()) bytes_->Add(static_cast<double>(piece->size()));
    return piece;
  }

 private:
  const std::shared_ptr<ByteSource> inner_;
  Counter* const bytes_;
};

class CountedSink : public ByteSink {
 public:
  CountedSink(std::shared_ptr<ByteSink> inner, Counter* bytes)
      : inner_(std::move(inner)), bytes_(bytes) {}
  Status Write(std::string_view bytes) override {
    bytes_->Add(static_cast<double>(bytes.size()));
    return inner_->Write(bytes);
  }
  Status Finish() override { return inner_->Finish(); }

 private:
  const std::shared_ptr<ByteSink> inner_;
  Counter* const bytes_;
};

}  // namespace

/// The metrics of one kind of call.
struct MeteredObjectStore::Call {
  Call(MetricRegistry* metrics, const std::string& call)
      : ok(Calls(metrics, call, "ok")),
        absent(Calls(metrics, call, "absent")),
        unavailable(Calls(metrics, call, "unavailable")),
        refused(Calls(metrics, call, "refused")),
        seconds(&metrics->GetHistogram("millrace_objectstore_call_duration_seconds",
                                       "Time of a call to the object store.", {{"call", call}},
                                       kSeconds)) {}

  static Counter* Calls(MetricRegistry* metrics, const std::string& call, const char* result) {
    return &metrics->GetCounter("millrace_objectstore_calls_total", "Calls to the object store.",
                                {{"call", call}, {"result", result}});
  }

  Counter* const ok;
  Counter* const absent;
  Counter* const unavailable;
  Counter* const refused;
  Histogram* const seconds;
};

/// One call, from its start to its result.
class MeteredObjectStore::Timing {
 public:
  explicit Timing(const Call* call) : call_(call), start_(Executor::Current().Monotonic()) {}

  template <typename R>
  void Note(const R& result) const {
    using Seconds = std::chrono::duration<double>;
    call_->seconds->Observe(Seconds(Executor::Current().Monotonic() - start_).count());
    Counter* counter = call_->refused;
    if (result.ok()) counter = call_->ok;
    if (!result.ok() && result.error().code == Code::kNotFound) counter = call_->absent;
    if (!result.ok() && result.error().code == Code::kUnavailable) counter = call_->unavailable;
    counter->Add();
  }

 private:
  const Call* const call_;
  const Executor::Duration start_;
};

MeteredObjectStore::MeteredObjectStore(ObjectStore* inner, MetricRegistry* metrics)
    : inner_(inner),
      put_(std::make_unique<Call>(metrics, "put")),
      get_(std::make_unique<Call>(metrics, "get")),
      stat_(std::make_unique<Call>(metrics, "stat")),
      list_(std::make_unique<Call>(metrics, "list")),
      delete_(std::make_unique<Call>(metrics, "delete")),
      bytes_put_(Bytes(metrics, "put")),
      bytes_got_(Bytes(metrics, "get")) {}
MeteredObjectStore::~MeteredObjectStore() = default;

std::string MeteredObjectStore::AddressOf(std::string_view key) const {
  return inner_->AddressOf(key);
}

Task<Status> MeteredObjectStore::Put(std::string key, Buffer data) {
  const Timing timing(put_.get());
  bytes_put_->Add(static_cast<double>(data.bytes.size()));
  auto result = co_await inner_->Put(std::move(key), std::move(data));
  timing.Note(result);
  co_return result;
}

Task<Result<Buffer>> MeteredObjectStore::Get(std::string key) {
  const Timing timing(get_.get());
  auto result = co_await inner_->Get(std::move(key));
  timing.Note(result);
  if (result.ok()) bytes_got_->Add(static_cast<double>(result->bytes.size()));
  co_return result;
}

Task<Status> MeteredObjectStore::PutFrom(std::string key, std::shared_ptr<ByteSource> source) {
  const Timing timing(put_.get());
  auto counted = std::make_shared<CountedSource>(std::move(source), bytes_put_);
  auto result = co_await inner_->PutFrom(std::move(key), std::move(counted));
  timing.Note(result);
  co_return result;
}

Task<Status> MeteredObjectStore::GetTo(std::string key, std::shared_ptr<ByteSink> sink) {
  const Timing timing(get_.get());
  auto counted = std::make_shared<CountedSink>(std::move(sink), bytes_got_);
  auto result = co_await inner_->GetTo(std::move(key), std::move(counted));
  timing.Note(result);
  co_return result;
}

Task<Result<ObjectInfo>> MeteredObjectStore::Stat(std::string key) {
  const Timing timing(stat_.get());
  auto result = co_await inner_->Stat(std::move(key));
  timing.Note(result);
  co_return result;
}

Task<Result<std::vector<ObjectInfo>>> MeteredObjectStore::List(std::string prefix,
                                                               std::string after, size_t limit) {
  const Timing timing(list_.get());
  auto result = co_await inner_->List(std::move(prefix), std::move(after), limit);
  timing.Note(result);
  co_return result;
}

Task<Result<std::vector<std::string>>> MeteredObjectStore::ListFolders(std::string prefix,
                                                                       std::string after,
                                                                       size_t limit) {
  const Timing timing(list_.get());
  auto result = co_await inner_->ListFolders(std::move(prefix), std::move(after), limit);
  timing.Note(result);
  co_return result;
}

Task<Status> MeteredObjectStore::Delete(std::string key) {
  const Timing timing(delete_.get());
  auto result = co_await inner_->Delete(std::move(key));
  timing.Note(result);
  co_return result;
}

}  // namespace millrace
