#include "millrace/objectstore_s3/s3_object_store.h"

#include "bucket.h"
#include "calls.h"
#include "millrace/base/facts.h"
#include "millrace/base/system_error.h"
#include "millrace/objectstore/object_key.h"
#include "millrace/objectstore/string_sink.h"

// g++ 12 destroys a closure twice that is a temporary of a co_await expression: each gets a name
// first.

namespace millrace::objectstore_s3 {
namespace {

constexpr size_t kCustomerKeyBytes = 32;

Result<std::string> CustomerKey(const Encryption& encryption) {
  if (encryption.customer_key_file.empty()) return std::string();
  const auto key = ReadWholeFile(encryption.customer_key_file);
  if (!key.ok())
    return InvalidArgument("the file with the encryption key cannot be read",
                           {{"option", "customer_key_file"}, {"error", key.error().message}});
  if (key->size() != kCustomerKeyBytes)
    return InvalidArgument("an encryption key of your own has 32 bytes",
                           {{"option", "customer_key_file"}, {"bytes", key->size()}});
  return *key;
}

}  // namespace

struct S3ObjectStore::Core {
  Core(const Options& options, const std::string& customer_key)
      : address("s3://" + options.bucket + "/" + options.prefix),
        bucket(options, customer_key),
        calls(options.threads, options.ca_file) {}

  const std::string address;
  Bucket bucket;
  Calls calls;  ///< ends before the bucket, which its threads use
};

Result<std::unique_ptr<S3ObjectStore>> S3ObjectStore::Open(Options options) {
  MILLRACE_TRY(Check(options));
  MILLRACE_ASSIGN(const std::string customer_key, CustomerKey(options.encryption));
  return std::unique_ptr<S3ObjectStore>(
      new S3ObjectStore(std::make_unique<Core>(options, customer_key)));
}

S3ObjectStore::S3ObjectStore(std::unique_ptr<Core> core) : core_(std::move(core)) {}
S3ObjectStore::~S3ObjectStore() = default;

Task<Status> S3ObjectStore::Probe() {
  auto work = core_->calls.Run([b = &core_->bucket](const Calls::Work& w) { return b->Probe(w); });
  auto status = co_await std::move(work);
  co_return status;
}

std::string S3ObjectStore::AddressOf(std::string_view key) const {
  return core_->address + std::string(key);
}

Task<Status> S3ObjectStore::Put(std::string key, Buffer data) {
  auto source = std::make_shared<BufferSource>(std::move(data));
  auto put = co_await PutFrom(std::move(key), std::move(source));
  co_return put;
}

Task<Result<Buffer>> S3ObjectStore::Get(std::string key) {
  auto sink = std::make_shared<StringSink>();
  MILLRACE_CO_TRY(co_await GetTo(std::move(key), sink));
  co_return Buffer::Own(std::move(sink->written));
}

Task<Status> S3ObjectStore::PutFrom(std::string key, std::shared_ptr<ByteSource> source) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  auto work = core_->calls.Run([b = &core_->bucket, key, source](const Calls::Work& w) {
    return b->Put(w, key, source.get());
  });
  auto status = co_await std::move(work);
  co_return status;
}

Task<Status> S3ObjectStore::GetTo(std::string key, std::shared_ptr<ByteSink> sink) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  auto work = core_->calls.Run(
      [b = &core_->bucket, key, sink](const Calls::Work& w) { return b->Get(w, key, sink.get()); });
  auto status = co_await std::move(work);
  co_return status;
}

Task<Result<ObjectInfo>> S3ObjectStore::Stat(std::string key) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  auto work =
      core_->calls.Run([b = &core_->bucket, key](const Calls::Work& w) { return b->Stat(w, key); });
  auto info = co_await std::move(work);
  co_return info;
}

Task<Result<std::vector<ObjectInfo>>> S3ObjectStore::List(std::string prefix, std::string after,
                                                          size_t limit) {
  MILLRACE_CO_TRY(CheckObjectPrefix(prefix));
  auto work = core_->calls.Run([b = &core_->bucket, prefix, after, limit](const Calls::Work& w) {
    return b->List(w, prefix, after, limit);
  });
  auto found = co_await std::move(work);
  co_return found;
}

Task<Result<std::vector<std::string>>> S3ObjectStore::ListFolders(std::string prefix,
                                                                  std::string after, size_t limit) {
  MILLRACE_CO_TRY(CheckObjectFolder(prefix));
  auto work = core_->calls.Run([b = &core_->bucket, prefix, after, limit](const Calls::Work& w) {
    return b->ListFolders(w, prefix, after, limit);
  });
  auto found = co_await std::move(work);
  co_return found;
}

Task<Status> S3ObjectStore::Delete(std::string key) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  auto work = core_->calls.Run(
      [b = &core_->bucket, key](const Calls::Work& w) { return b->Delete(w, key); });
  auto status = co_await std::move(work);
  co_return status;
}

}  // namespace millrace::objectstore_s3
