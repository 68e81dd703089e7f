#include "millrace/ingest/gateway.h"

#include <map>

#include "judge.h"
#include "metrics.h"
#include "millrace/base/bytes.h"
#include "millrace/base/nearest.h"
#include "millrace/model/batch_builder.h"
#include "millrace/model/row.h"
#include "millrace/record/record_headers.h"
#include "partition_writer.h"

namespace millrace::ingest {
namespace {

/// What an event costs beside its bytes while it waits.
constexpr size_t kEventOverhead = 64;
/// Sequences that share a partition in streams without partition_key
/// (docs/formats/partitioning.md).
constexpr int64_t kSequenceRun = 1'024;

struct Stream {
  Stream(const std::shared_ptr<const WriterContext>& context, StreamSpec s)
      : spec(std::make_shared<const StreamSpec>(std::move(s))),
        parser(context->ports.records->ForStream(*spec)),
        metrics(context->ports.metrics, *spec) {
    for (int32_t p = 0; p < spec->partitions; ++p)
      partitions.push_back(std::make_shared<PartitionWriter>(context, spec, PartitionId(p)));
  }

  std::shared_ptr<const StreamSpec> spec;
  std::unique_ptr<RecordParser> parser;
  StreamMetrics metrics;
  std::vector<std::shared_ptr<PartitionWriter>> partitions;
  uint64_t next_partition = 0;
};

/// Where events without a partition key go.
class KeylessPartitions {
 public:
  KeylessPartitions(Stream* stream, const Identity& identity)
      : stream_(stream), identity_(identity) {}

  PartitionId For(int64_t sequence) {
    const int32_t partitions = stream_->spec->partitions;
    if (!identity_.known())
      return PartitionId(
          static_cast<int32_t>(stream_->next_partition++ % static_cast<uint64_t>(partitions)));
    if (const int64_t run = sequence / kSequenceRun; run != run_) {
      run_ = run;
      std::string bytes;
      ByteWriter w(&bytes);
      w.Text(identity_.principal);
      w.Text(identity_.producer);
      w.Fixed<int64_t>(run);
      last_ = PartitionOf(bytes, partitions);
    }
    return last_;
  }

 private:
  Stream* stream_;
  Identity identity_;
  int64_t run_ = -1;
  PartitionId last_;
};

LogEntry JsonEntry(const Identity& identity, int64_t sequence, std::string key,
                   std::string_view payload) {
  LogEntry entry{std::move(key), std::string(payload), {}};
  if (identity.known())
    entry.headers = {{std::string(kPrincipalHeader), std::string(identity.principal)},
                     {std::string(kProducerHeader), std::string(identity.producer)},
                     {std::string(kSequenceHeader), std::to_string(sequence)},
                     {std::string(kAckedBelowHeader), std::to_string(identity.acked_below)}};
  return entry;
}

size_t PayloadBytes(const PublishRequest& request) {
  size_t bytes = 0;
  for (const Event& e : request.events) bytes += e.payload.size() + (e.key ? e.key->size() : 0);
  return bytes;
}

}  // namespace

struct Gateway::Core {
  Core(Ports ports, Options options)
      : context(std::make_shared<WriterContext>(
            WriterContext{ports, options, GatewayMetrics(ports.metrics)})) {}

  std::optional<RequestError> Refuse(const PublishRequest& request, size_t bytes,
                                     const Stream* stream) const;
  RequestError UnknownStream(const PublishRequest& request) const;
  void Pack(Stream* stream, const Principal& principal, const PublishRequest& request,
            const std::shared_ptr<PendingRequest>& pending);
  /// The events that are sound, as a batch; `events` tells which they are.
  EventBatch Parse(Stream* stream, const Identity& identity, const PublishRequest& request,
                   PendingRequest* pending, std::vector<uint32_t>* events);
  void SetInFlight(size_t bytes) {
    in_flight_bytes = bytes;
    context->metrics.in_flight_bytes->Set(static_cast<double>(in_flight_bytes));
  }

  std::shared_ptr<const WriterContext> context;
  /// A request under way shares its stream, which may be removed meanwhile.
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Stream>> streams;
  size_t in_flight_bytes = 0;
};

namespace {

/// The bytes of a request, for as long as its frame is there.
template <typename Core>
class InFlight {
 public:
  InFlight(std::shared_ptr<Core> core, size_t bytes) : core_(std::move(core)), bytes_(bytes) {
    core_->SetInFlight(core_->in_flight_bytes + bytes_);
  }
  InFlight(const InFlight&) = delete;
  ~InFlight() { core_->SetInFlight(core_->in_flight_bytes - bytes_); }

 private:
  std::shared_ptr<Core> core_;
  size_t bytes_;
};

void CountResults(const StreamMetrics& metrics, const std::vector<EventResult>& results) {
  size_t acknowledged = 0;
  size_t unknown = 0;
  for (const EventResult& r : results) {
    acknowledged += r.ok();
    unknown += !r.ok() && r.error->retryable;
  }
  metrics.acknowledged->Add(static_cast<double>(acknowledged));
  metrics.unknown->Add(static_cast<double>(unknown));
  metrics.refused->Add(static_cast<double>(results.size() - acknowledged - unknown));
}

}  // namespace

Gateway::Gateway(Ports ports, Options options) : core_(std::make_shared<Core>(ports, options)) {}
Gateway::~Gateway() = default;

void Gateway::SetStream(StreamSpec stream) {
  std::shared_ptr<Stream>& known = core_->streams[{stream.name_space, stream.name}];
  if (known && *known->spec == stream) return;
  auto changed = std::make_shared<Stream>(core_->context, std::move(stream));
  // The writers stay, so that what was packed before stays before what comes.
  if (known && known->spec->topic == changed->spec->topic &&
      known->spec->partitions == changed->spec->partitions) {
    changed->partitions = known->partitions;
    for (const auto& p : changed->partitions) p->SetStream(changed->spec);
  }
  known = std::move(changed);
}

void Gateway::RemoveStream(const std::string& name_space, const std::string& name) {
  core_->streams.erase({name_space, name});
}

std::vector<StreamSpec> Gateway::Streams() const {
  std::vector<StreamSpec> specs;
  for (const auto& [name, stream] : core_->streams) specs.push_back(*stream->spec);
  return specs;
}

RequestError Gateway::Core::UnknownStream(const PublishRequest& request) const {
  const auto qualified = [](const std::string& name_space, const std::string& name) {
    return name_space == "default" ? name : name_space + "." + name;
  };
  std::vector<std::string> names;
  for (const auto& [name, stream] : streams) names.push_back(qualified(name.first, name.second));
  return {Code::kNotFound, "UNKNOWN_STREAM",
          NoSuch("stream", qualified(request.name_space, request.stream), names).message, "stream"};
}

std::optional<RequestError> Gateway::Core::Refuse(const PublishRequest& request, size_t bytes,
                                                  const Stream* stream) const {
  if (stream == nullptr) return UnknownStream(request);
  if (request.producer_id.size() > kMaxProducerIdBytes)
    return RequestError{Code::kInvalidArgument, "PRODUCER_ID_TOO_LONG",
                        "the producer_id is too long; it goes into every block bytes=" +
                            std::to_string(request.producer_id.size()) +
                            " limit=" + std::to_string(kMaxProducerIdBytes),
                        "producer_id"};
  if (request.events.size() > kMaxRequestEvents)
    return RequestError{Code::kInvalidArgument, "BATCH_TOO_LARGE",
                        "the request holds too many events; send them in several events=" +
                            std::to_string(request.events.size()) +
                            " limit=" + std::to_string(kMaxRequestEvents),
                        "events"};
  if (bytes > kMaxRequestBytes)
    return RequestError{Code::kInvalidArgument, "BATCH_TOO_LARGE",
                        "the request's payloads and keys are too large; send them in several "
                        "requests bytes=" +
                            std::to_string(bytes) + " limit=" + std::to_string(kMaxRequestBytes),
                        "events"};
  const size_t cost = bytes + request.events.size() * kEventOverhead;
  if (in_flight_bytes > 0 && in_flight_bytes + cost > context->options.in_flight_bytes) {
    context->metrics.CountBackpressure("in_flight_bytes");
    return RequestError{Code::kResourceExhausted, "OVERLOADED",
                        "the gateway holds as many unanswered bytes as it may; send the same "
                        "numbers again after the delay bytes=" +
                            std::to_string(in_flight_bytes) +
                            " limit=" + std::to_string(context->options.in_flight_bytes),
                        "", context->options.retry_after};
  }
  return std::nullopt;
}

EventBatch Gateway::Core::Parse(Stream* stream, const Identity& identity,
                                const PublishRequest& request, PendingRequest* pending,
                                std::vector<uint32_t>* events) {
  const bool keep_raw = stream->spec->keep_raw;
  BatchBuilder parsed(*stream->spec);
  parsed.BeginRecord(Offset(0), 0);
  for (uint32_t i = 0; i < request.events.size(); ++i) {
    const Event& event = request.events[i];
    Refusal refusal;
    if (identity.known()) refusal = JudgeSequence(request.first_sequence, i, request.acked_below);
    if (!refusal) refusal = JudgePayload(*stream->spec, event, stream->parser.get(), &parsed);
    if (refusal) {
      pending->results[i].error = std::move(refusal);
      continue;
    }
    parsed.EndRow(identity.known() ? 0 : -1, identity.known() ? request.first_sequence + i : 0,
                  keep_raw ? event.payload : std::string_view());
    events->push_back(i);
  }
  return parsed.Build();
}

void Gateway::Core::Pack(Stream* stream, const Principal& principal, const PublishRequest& request,
                         const std::shared_ptr<PendingRequest>& pending) {
  const StreamSpec& spec = *stream->spec;
  const Identity identity{principal.name, request.producer_id, request.acked_below};
  std::vector<uint32_t> events;
  events.reserve(request.events.size());
  const EventBatch batch = Parse(stream, identity, request, pending.get(), &events);
  KeylessPartitions keyless(stream, identity);
  for (size_t row = 0; row < events.size(); ++row) {
    const uint32_t i = events[row];
    const Event& event = request.events[i];
    const bool keyed = spec.partition_key >= 0;
    std::string key;
    if (keyed) key = CanonicalText(batch.columns[static_cast<size_t>(spec.partition_key)], row);
    if (Refusal refusal = JudgeKey(spec, event, keyed ? &key : nullptr)) {
      pending->results[i].error = std::move(refusal);
      continue;
    }
    const int64_t sequence = identity.known() ? request.first_sequence + i : 0;
    const PartitionId partition = keyed ? PartitionOf(key, spec.partitions) : keyless.For(sequence);
    if (request.dry_run) {
      pending->results[i].partition = partition.value;
      continue;
    }
    PartitionWriter& writer = *stream->partitions[static_cast<size_t>(partition.value)];
    if (spec.format == RecordFormat::kJson) {
      writer.AddRecord(pending, i, JsonEntry(identity, sequence, std::move(key), event.payload));
    } else {
      writer.AddRow(pending, i, identity, batch, row);
    }
  }
}

Task<PublishReply> Gateway::Accept(Principal principal, PublishRequest request,
                                   std::shared_ptr<Lane> lane) {
  return AcceptOn(core_, std::move(principal), std::move(request), std::move(lane));
}

Task<PublishReply> Gateway::AcceptOn(std::shared_ptr<Core> core, Principal principal,
                                     PublishRequest request, std::shared_ptr<Lane> lane) {
  Executor& executor = Executor::Current();
  const Executor::Duration started = executor.Monotonic();
  const size_t bytes = PayloadBytes(request);
  const auto found = core->streams.find({request.name_space, request.stream});
  const auto stream = found == core->streams.end() ? nullptr : found->second;
  PublishReply reply;
  reply.error = core->Refuse(request, bytes, stream.get());
  if (reply.error) co_return reply;

  const InFlight<Core> in_flight(core, bytes + request.events.size() * kEventOverhead);
  const auto pending = std::make_shared<PendingRequest>();
  pending->lane = std::move(lane);
  pending->results.resize(request.events.size());
  core->Pack(stream.get(), principal, request, pending);
  pending->Release();
  co_await pending->done;

  reply.results = std::move(pending->results);
  if (request.dry_run) co_return reply;

  stream->metrics.bytes->Add(static_cast<double>(bytes));
  CountResults(stream->metrics, reply.results);
  const std::chrono::duration<double> took = executor.Monotonic() - started;
  stream->metrics.publish_seconds->Observe(took.count());
  co_return reply;
}

}  // namespace millrace::ingest
