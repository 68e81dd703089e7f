#include "millrace/ingest/gateway.h"

#include <algorithm>
#include <list>
#include <map>

#include "judge.h"
#include "metrics.h"
#include "millrace/base/bytes.h"
#include "millrace/base/nearest.h"
#include "millrace/model/batch_builder.h"
#include "millrace/model/row.h"
#include "millrace/record/record_headers.h"
#include "partition_writer.h"
#include "producer_bound.h"

namespace millrace::ingest {
namespace {

/// What an event costs beside its bytes while it waits: the message it came in, the view of it and
/// its result.
constexpr size_t kEventOverhead = 200;
/// Sequences that share a partition in streams without partition_key
/// (docs/formats/partitioning.md).
constexpr int64_t kSequenceRun = 1'024;

/// Requests of a stream are packed one at a time, in the order in which they came.
class Line {
 public:
  /// A place in the line, from its construction until it is destroyed.
  class Place {
   public:
    explicit Place(std::shared_ptr<Line> line)
        : line_(std::move(line)), at_(line_->places_.emplace(line_->places_.end())) {
      if (at_ == line_->places_.begin()) at_->Set(true);
    }
    Place(const Place&) = delete;
    ~Place() {
      const bool first = at_ == line_->places_.begin();
      line_->places_.erase(at_);
      if (first && !line_->places_.empty()) line_->places_.front().Set(true);
    }
    /// Set when this is the first place.
    Completion<bool> turn() const { return *at_; }

   private:
    const std::shared_ptr<Line> line_;
    const std::list<Completion<bool>>::iterator at_;
  };

 private:
  std::list<Completion<bool>> places_;
};

struct Stream {
  Stream(const std::shared_ptr<const WriterContext>& context, StreamSpec s)
      : spec(std::make_shared<const StreamSpec>(std::move(s))),
        parser(context->ports.records->ForStream(*spec)),
        metrics(context->ports.metrics, *spec),
        producers({context->options.new_producers, context->options.new_producer_interval,
                   context->options.known_producers}) {
    for (int32_t p = 0; p < spec->partitions; ++p)
      partitions.push_back(std::make_shared<PartitionWriter>(context, spec, PartitionId(p)));
  }

  /// What is packed so far goes out under the old definition.
  void Redefine(const WriterContext& context, StreamSpec s) {
    spec = std::make_shared<const StreamSpec>(std::move(s));
    parser = context.ports.records->ForStream(*spec);
    metrics = StreamMetrics(context.ports.metrics, *spec);
    for (const auto& p : partitions) p->SetStream(spec);
  }
  bool idle() const {
    return std::ranges::all_of(partitions, [](const auto& p) { return p->idle(); });
  }

  void Close() {
    for (const auto& p : partitions) p->Close();
  }

  // A request reads them again after each suspension, because Redefine may have changed them.
  std::shared_ptr<const StreamSpec> spec;
  std::unique_ptr<RecordParser> parser;
  StreamMetrics metrics;
  ProducerBound producers;
  const std::shared_ptr<Line> line = std::make_shared<Line>();
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

/// What a request holds until it is answered. `bytes`: of its payloads and keys.
size_t CostOf(const PublishRequest& request, size_t bytes) {
  return bytes + request.producer_id.size() + request.events.size() * kEventOverhead;
}

size_t PayloadBytes(const PublishRequest& request) {
  size_t bytes = 0;
  for (const Event& e : request.events) bytes += e.payload.size() + (e.key ? e.key->size() : 0);
  return bytes;
}

}  // namespace

struct Gateway::Core {
  Core(Ports ports, Options options) {
    GatewayMetrics metrics(ports.metrics);
    auto in_flight = std::make_shared<InFlightBytes>(metrics.in_flight_bytes);
    context = std::make_shared<WriterContext>(WriterContext{
        ports, options, metrics, std::move(in_flight), std::make_shared<AppendFailures>()});
  }

  std::optional<RequestError> Refuse(const PublishRequest& request, size_t bytes) const;
  std::optional<RequestError> RefuseProducer(const Principal& principal,
                                             const PublishRequest& request, Stream* stream) const;
  RequestError UnknownStream(const PublishRequest& request) const;
  bool MayPack(const Stream& stream) const {
    return context->in_flight->packed() < context->options.packed_bytes || stream.idle();
  }

  std::shared_ptr<const WriterContext> context;
  using Name = std::pair<std::string, std::string>;

  std::shared_ptr<Stream> Find(const Name& name) const {
    const auto at = streams.find(name);
    return at == streams.end() ? nullptr : at->second;
  }
  /// A request to this stream is looking for it.
  bool LooksFor(const Name& name) const {
    const auto at = looked_for.find(name);
    return at != looked_for.end() && !at->second.expired();
  }
  std::shared_ptr<Line> LineOfLookers(const Name& name) {
    std::erase_if(looked_for, [](const auto& line) { return line.second.expired(); });
    std::shared_ptr<Line> line = looked_for[name].lock();
    if (!line) looked_for[name] = line = std::make_shared<Line>();
    return line;
  }

  /// A request under way shares its stream, which may be removed at any time.
  std::map<Name, std::shared_ptr<Stream>> streams;
  StreamSource* source = nullptr;
  /// Requests to streams that are looked for, in the order in which they came. There are no more
  /// than requests under way.
  std::map<Name, std::weak_ptr<Line>> looked_for;
};

namespace {

/// Lets the executor do what others have posted.
Task<> Yield() {
  const Completion<bool> later;
  Executor::Current().Post([later] { later.Set(true); });
  co_await later;
}

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

std::string Gateway::AppendTrouble() const { return core_->context->append_failures->Text(); }

Gateway::Gateway(Ports ports, Options options) : core_(std::make_shared<Core>(ports, options)) {}
Gateway::~Gateway() = default;

void Gateway::SetStream(StreamSpec stream) {
  std::shared_ptr<Stream>& known = core_->streams[{stream.name_space, stream.name}];
  if (known && *known->spec == stream) return;
  const bool same = known && known->spec->generation == stream.generation;
  if (known && !same) known->Close();
  // The writers stay, so that what was packed before stays before what comes.
  if (same && known->spec->topic == stream.topic && known->spec->partitions == stream.partitions) {
    known->Redefine(*core_->context, std::move(stream));
  } else {
    known = std::make_shared<Stream>(core_->context, std::move(stream));
  }
}

void Gateway::RemoveStream(const StreamSpec& stream) {
  const auto at = core_->streams.find({stream.name_space, stream.name});
  if (at == core_->streams.end() || at->second->spec->generation != stream.generation) return;
  at->second->Close();
  core_->streams.erase(at);
}

void Gateway::LookIn(StreamSource* source) { core_->source = source; }

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

std::optional<RequestError> Gateway::Core::Refuse(const PublishRequest& request,
                                                  size_t bytes) const {
  if (request.producer_id.size() > kMaxProducerIdBytes)
    return RequestError{Code::kInvalidArgument, "PRODUCER_ID_TOO_LONG",
                        "the producer_id is too long; it goes into every block bytes=" +
                            std::to_string(request.producer_id.size()) +
                            " limit=" + std::to_string(kMaxProducerIdBytes),
                        "producer_id"};
  if (request.events.size() > kMaxRequestEvents)
    return RequestError{Code::kInvalidArgument, "BATCH_TOO_LARGE",
                        "the request holds too many events; send them in several requests events=" +
                            std::to_string(request.events.size()) +
                            " limit=" + std::to_string(kMaxRequestEvents),
                        "events"};
  if (bytes > kMaxRequestBytes)
    return RequestError{Code::kInvalidArgument, "BATCH_TOO_LARGE",
                        "the request's payloads and keys are too large; send them in several "
                        "requests bytes=" +
                            std::to_string(bytes) + " limit=" + std::to_string(kMaxRequestBytes),
                        "events"};
  const InFlightBytes& in_flight = *context->in_flight;
  const size_t limit = context->options.in_flight_bytes;
  if (in_flight.total() > 0 && in_flight.total() + CostOf(request, bytes) > limit) {
    context->metrics.backpressure_in_flight_bytes->Add();
    return RequestError{Code::kResourceExhausted, "OVERLOADED",
                        "the gateway holds as many unanswered bytes as it may; send the same "
                        "numbers again after the delay bytes=" +
                            std::to_string(in_flight.total()) + " limit=" + std::to_string(limit),
                        "", context->options.retry_after};
  }
  return std::nullopt;
}

std::optional<RequestError> Gateway::Core::RefuseProducer(const Principal& principal,
                                                          const PublishRequest& request,
                                                          Stream* stream) const {
  // Without an event nothing comes into the log, and no shard hears of the producer.
  if (request.producer_id.empty() || request.events.empty() || request.dry_run) return std::nullopt;
  const std::optional<std::chrono::milliseconds> wait =
      stream->producers.Take(principal.name, request.producer_id, Executor::Current().Monotonic());
  if (!wait) return std::nullopt;
  context->metrics.backpressure_producers->Add();
  return RequestError{
      Code::kResourceExhausted, "PRODUCERS",
      "the stream gets more new producer_ids than it may, and each is remembered for seven days; "
      "keep one id for each producer, or send the same numbers again after the delay at_once=" +
          std::to_string(context->options.new_producers) +
          " then_one_each_ms=" + std::to_string(context->options.new_producer_interval.count()),
      "producer_id", *wait};
}

/// Packs a request slice by slice.
class Packer {
 public:
  Packer(Stream* stream, const Principal& principal, const PublishRequest& request,
         std::shared_ptr<PendingRequest> pending)
      : stream_(stream),
        request_(request),
        identity_{principal.name, request.producer_id, request.acked_below},
        keyless_(stream, identity_),
        pending_(std::move(pending)) {}

  bool done() const { return next_ == request_.events.size(); }
  void PackSlice();

 private:
  /// The next events that are sound, as a batch.
  struct Slice {
    EventBatch batch;
    std::vector<uint32_t> filled;  ///< columns that are not NULL in every row
    std::vector<uint32_t> events;  ///< by row: index in the request
  };
  Slice Parse();

  Stream* const stream_;
  const PublishRequest& request_;
  const Identity identity_;
  KeylessPartitions keyless_;
  const std::shared_ptr<PendingRequest> pending_;
  uint32_t next_ = 0;
};

Packer::Slice Packer::Parse() {
  const StreamSpec& spec = *stream_->spec;
  Slice slice;
  BatchBuilder parsed(spec);
  parsed.BeginRecord(Offset(0), 0);
  const size_t end = std::min(request_.events.size(), next_ + kSliceEvents);
  for (size_t bytes = 0; next_ < end && bytes < kSliceBytes; ++next_) {
    const Event& event = request_.events[next_];
    bytes += event.payload.size();
    Refusal refusal;
    if (identity_.known())
      refusal = JudgeSequence(request_.first_sequence, next_, request_.acked_below);
    if (!refusal) refusal = JudgePayload(spec, event, stream_->parser.get(), &parsed);
    if (refusal) {
      pending_->results[next_].error = std::move(refusal);
      continue;
    }
    parsed.EndRow(identity_.known() ? 0 : -1,
                  identity_.known() ? request_.first_sequence + next_ : 0,
                  spec.keep_raw ? event.payload : std::string_view());
    slice.events.push_back(next_);
  }
  slice.filled = parsed.filled();
  slice.batch = parsed.Build();
  return slice;
}

void Packer::PackSlice() {
  const StreamSpec& spec = *stream_->spec;
  const Slice slice = Parse();
  for (size_t row = 0; row < slice.events.size(); ++row) {
    const uint32_t i = slice.events[row];
    const Event& event = request_.events[i];
    const bool keyed = spec.partition_key >= 0;
    std::string key;
    if (keyed)
      key = CanonicalText(slice.batch.columns[static_cast<size_t>(spec.partition_key)], row);
    if (Refusal refusal = JudgeKey(spec, event, keyed ? &key : nullptr)) {
      pending_->results[i].error = std::move(refusal);
      continue;
    }
    const int64_t sequence = identity_.known() ? request_.first_sequence + i : 0;
    const PartitionId partition =
        keyed ? PartitionOf(key, spec.partitions) : keyless_.For(sequence);
    if (request_.dry_run) {
      pending_->results[i].partition = partition.value;
      continue;
    }
    PartitionWriter& writer = *stream_->partitions[static_cast<size_t>(partition.value)];
    if (spec.format == RecordFormat::kJson) {
      writer.AddRecord(pending_, i, JsonEntry(identity_, sequence, std::move(key), event.payload));
    } else {
      writer.AddRow(pending_, i, identity_, slice.batch, slice.filled, row);
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
  PublishReply reply;
  reply.error = core->Refuse(request, bytes);
  if (reply.error) co_return reply;

  InFlightBytes::Share held(core->context->in_flight, InFlightBytes::Part::kRequest);
  held.Set(CostOf(request, bytes));
  const Core::Name name(request.name_space, request.stream);
  std::shared_ptr<Stream> stream = core->Find(name);
  // Who comes behind a request that looks for the stream stays behind it.
  std::optional<Line::Place> looker;
  if (core->source != nullptr && (stream == nullptr || core->LooksFor(name))) {
    looker.emplace(core->LineOfLookers(name));
    Status read;
    if (stream == nullptr) {
      auto reading = core->source->CatchUp();
      read = co_await std::move(reading);
    }
    const Completion<bool> turn = looker->turn();
    co_await turn;
    stream = core->Find(name);
    if (stream == nullptr && !read.ok()) {
      reply.error = RequestError{
          Code::kUnavailable, "RECOVERING",
          "whether the stream exists cannot be told: " + read.error().message, "stream"};
      co_return reply;
    }
  }
  if (stream == nullptr) {
    reply.error = core->UnknownStream(request);
  } else {
    reply.error = core->RefuseProducer(principal, request, stream.get());
  }
  if (reply.error) co_return reply;
  const auto pending = std::make_shared<PendingRequest>();
  pending->lane = std::move(lane);
  pending->results.resize(request.events.size());
  {
    const Line::Place place(stream->line);
    looker.reset();
    const Completion<bool> turn = place.turn();
    co_await turn;
    Packer packer(stream.get(), principal, request, pending);
    while (!packer.done()) {
      while (!core->MayPack(*stream)) {
        auto freed = core->context->in_flight->freed().Wait();
        co_await std::move(freed);
      }
      packer.PackSlice();
      if (packer.done()) break;
      auto yield = Yield();
      co_await std::move(yield);
    }
  }
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
