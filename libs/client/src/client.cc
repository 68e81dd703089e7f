#include "millrace/client/client.h"

#include <random>

#include "core.h"
#include "millrace/base/facts.h"

namespace millrace {
namespace {

Status Check(const ClientOptions& o) {
  if (o.endpoints.empty()) return InvalidArgument("a client needs at least one endpoint HOST:PORT");
  if (o.stream.empty()) return InvalidArgument("a client needs the name of a stream");
  if (o.first_sequence < 0)
    return InvalidArgument("sequences are not negative", {{"first_sequence", o.first_sequence}});
  if (o.producer_id.size() > ingest::kMaxProducerIdBytes)
    return InvalidArgument("the producer_id is too long", {{"bytes", o.producer_id.size()},
                                                           {"limit", ingest::kMaxProducerIdBytes}});
  for (const std::string* text : {&o.name_space, &o.stream, &o.producer_id})
    if (!client::ValidUtf8(*text))
      return InvalidArgument("namespace, stream and producer_id must be UTF-8");
  if (o.batch_events < 1 || o.batch_events > ingest::kMaxRequestEvents || o.batch_bytes < 1 ||
      o.batch_bytes > ingest::kMaxRequestBytes / 2 || o.batches_in_flight < 1)
    return InvalidArgument(
        "a batch holds 1 to 10000 events and 1 to 4194304 bytes; at least one is in flight",
        {{"batch_events", o.batch_events},
         {"batch_bytes", o.batch_bytes},
         {"batches_in_flight", o.batches_in_flight}});
  return {};
}

std::string RandomId() {
  std::random_device device;
  std::string bytes;
  ByteWriter w(&bytes);
  for (int i = 0; i < 4; ++i) w.Fixed<uint32_t>(device());
  return Hex(bytes);
}

}  // namespace

Result<std::unique_ptr<Client>> Client::Create(ClientOptions options) {
  MILLRACE_TRY(Check(options));
  if (options.producer_id.empty()) options.producer_id = RandomId();
  return std::unique_ptr<Client>(new Client(std::make_unique<Core>(std::move(options))));
}

Client::Client(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Client::~Client() { core_->Close(); }

Result<int64_t> Client::Publish(std::string_view json, std::optional<std::string_view> key) {
  return core_->Publish(json, key);
}
int64_t Client::Skip() { return core_->Skip(); }
Status Client::Flush(std::optional<std::chrono::milliseconds> timeout) {
  return core_->Flush(timeout);
}
ClientStats Client::Stats() const { return core_->Stats(); }
const std::string& Client::producer_id() const { return core_->options().producer_id; }

}  // namespace millrace
