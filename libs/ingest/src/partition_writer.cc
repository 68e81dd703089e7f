#include "partition_writer.h"

#include <algorithm>
#include <exception>

#include "millrace/base/crash_point.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"

namespace millrace::ingest {
namespace {

/// The empty key marks control records, so a block has some other.
constexpr char kBlockKey[] = "block";

/// What a record of its own costs beside its bytes while the log has it not.
constexpr size_t kRecordOverhead = 256;

size_t TextBytes(const EventBatch& from, std::span<const uint32_t> filled, size_t row) {
  size_t bytes = from.payload == nullptr ? 0 : from.payload[row].size();
  for (const uint32_t i : filled) {
    if (from.columns[i].type == Type::kText) bytes += from.columns[i].Text(row).size();
  }
  return bytes;
}

size_t BytesOf(const LogEntry& entry) {
  size_t bytes = kRecordOverhead + entry.key.size() + entry.value.size();
  for (const auto& [name, value] : entry.headers) bytes += name.size() + value.size();
  return bytes;
}

std::shared_ptr<const EventError> StreamGone(const StreamSpec& stream) {
  return std::make_shared<const EventError>(EventError{
      Code::kNotFound, "UNKNOWN_STREAM",
      "the stream was dropped before the event was written stream=" + stream.name, false});
}

EventError AppendError(const Error& error, const std::string& topic, PartitionId partition) {
  const std::string where =
      " topic=" + topic + " partition=" + std::to_string(partition.value) + ": " + error.message;
  // The size is a property of the event. Everything else is one of the log's moment, however final
  // it sounds: a producer that takes it for final drops events that the next try would have saved.
  if (error.code == Code::kInvalidArgument)
    return {error.code, "LOG_REFUSED", "the event is larger than the log takes" + where, false};
  const char* const what =
      error.code == Code::kResourceExhausted
          ? "the log did not take the event; send the same numbers again"
          : "the log did not say whether it has the event; send the same numbers again";
  return {Code::kUnavailable, "UNAVAILABLE", what + where, true};
}

}  // namespace

PartitionWriter::PartitionWriter(std::shared_ptr<const WriterContext> context,
                                 std::shared_ptr<const StreamSpec> stream, PartitionId partition)
    : context_(std::move(context)), partition_(partition), builder_(*stream) {
  SetStream(std::move(stream));
}

void PartitionWriter::SetStream(std::shared_ptr<const StreamSpec> stream) {
  Seal();
  stream_ = std::move(stream);
  builder_ = BatchBuilder(*stream_);
}

void PartitionWriter::Close() {
  closed_ = true;
  Seal();
  // A later stream may have the topic by the time that an append would begin.
  for (const Pack& pack : std::exchange(sealed_, {})) Refuse(pack, StreamGone(*stream_));
}

void PartitionWriter::Join(const std::shared_ptr<PendingRequest>& request, uint32_t event,
                           Pack* pack) {
  if (pack->members.empty() || pack->members.back().request != request) {
    ++request->open;
    pack->members.push_back({request, static_cast<uint32_t>(pack->events.size()), -1});
  }
  EventResult& result = request->results[event];
  result.partition = partition_.value;
  result.row = static_cast<int32_t>(pack->events.size());
  pack->events.push_back(event);
}

void PartitionWriter::AddRow(const std::shared_ptr<PendingRequest>& request, uint32_t event,
                             const Identity& identity, const EventBatch& from,
                             std::span<const uint32_t> filled, size_t row) {
  if (open_.events.empty()) {
    open_.held = {context_->in_flight, InFlightBytes::Part::kPacked};
    builder_.BeginRecord(Offset(0), 0);
    Executor::Current().PostAfter(
        context_->options.linger, [weak = weak_from_this(), number = open_number_] {
          if (const auto self = weak.lock(); self && self->open_number_ == number) self->Seal();
        });
  }
  const size_t members = open_.members.size();
  Join(request, event, &open_);
  Member& member = open_.members.back();
  // The block carries each producer's largest acked_below, which counts from its first row on,
  // though the events of an earlier request stand in it too. That is right: a producer raises it
  // past an event only when that event is settled. Acknowledged or refused, it does not wait here
  // any more, unless as a superfluous copy; given up, its outcome is unknown for good and it may as
  // well be dropped. A request that waits long carries a bound that has become too low, which only
  // makes shards remember more.
  if (identity.known() && open_.members.size() != members)
    member.producer =
        builder_.AddProducer(identity.principal, identity.producer, identity.acked_below);
  builder_.AppendRow(from, filled, row, member.producer);
  open_text_bytes_ += TextBytes(from, filled, row);
  const size_t bytes = builder_.packed_bytes() + open_text_bytes_;
  open_.held.Set(bytes);
  if (bytes >= context_->options.block_bytes) Seal();
}

void PartitionWriter::AddRecord(const std::shared_ptr<PendingRequest>& request, uint32_t event,
                                LogEntry entry) {
  Pack pack;
  pack.held = {context_->in_flight, InFlightBytes::Part::kPacked};
  pack.held.Set(BytesOf(entry));
  pack.entry = std::move(entry);
  Join(request, event, &pack);
  Enqueue(std::move(pack));
}

void PartitionWriter::Seal() {
  ++open_number_;
  if (open_.events.empty()) return;
  Pack pack = std::exchange(open_, {});
  open_text_bytes_ = 0;
  pack.filled = builder_.filled();
  pack.batch = builder_.Build();
  Enqueue(std::move(pack));
}

void PartitionWriter::Enqueue(Pack pack) {
  pack.stream = stream_;
  // A request is packed in slices, so the stream may have been dropped since its first one.
  if (closed_) return Refuse(pack, StreamGone(*stream_));
  sealed_.push_back(std::move(pack));
  StartAppends();
}

void PartitionWriter::StartAppends() {
  // Tasks start in the order in which they are spawned, and the log keeps the order of starts.
  while (!closed_ && !sealed_.empty() && in_flight_ < context_->options.appends_in_flight) {
    Pack pack = WithoutBrokenLanes(std::move(sealed_.front()));
    sealed_.pop_front();
    if (pack.events.empty() || !MakeEntry(&pack)) continue;
    ++in_flight_;
    Executor::Current().Spawn(Append(shared_from_this(), std::move(pack)));
  }
}

/// Answers the events of broken lanes and gives the pack of the others. A lane mostly breaks
/// between the packing of an event and this moment.
PartitionWriter::Pack PartitionWriter::WithoutBrokenLanes(Pack pack) {
  const auto broken = [](const Member& m) { return m.request->lane && m.request->lane->broken; };
  if (std::none_of(pack.members.begin(), pack.members.end(), broken)) return pack;
  if (Planted("order_forgotten")) return pack;
  static const auto kBehind = std::make_shared<const EventError>(EventError{
      Code::kUnavailable, "UNAVAILABLE",
      "an earlier event of the same stream is not in the log, so this one was not appended; send "
      "again from the first number without an acknowledgement",
      true});
  BatchBuilder kept(*pack.stream);
  kept.BeginRecord(Offset(0), 0);
  Pack rest;
  rest.stream = pack.stream;
  rest.held = std::move(pack.held);
  for (size_t m = 0; m < pack.members.size(); ++m) {
    const Member& member = pack.members[m];
    std::vector<EventResult>& results = member.request->results;
    if (broken(member)) {
      for (size_t row = member.first_row; row < pack.EndOf(m); ++row)
        results[pack.events[row]] = {-1, -1, -1, kBehind};
      member.request->Release();
      continue;
    }
    Member& moved = rest.members.emplace_back(member);
    moved.first_row = static_cast<uint32_t>(rest.events.size());
    if (member.producer >= 0) {
      const Producer& producer = pack.batch->producers[static_cast<size_t>(member.producer)];
      moved.producer = kept.AddProducer(producer.principal, producer.id, producer.acked_below);
    }
    for (size_t row = member.first_row; row < pack.EndOf(m); ++row) {
      results[pack.events[row]].row = static_cast<int32_t>(rest.events.size());
      rest.events.push_back(pack.events[row]);
      kept.AppendRow(*pack.batch, pack.filled, row, moved.producer);
    }
  }
  if (pack.batch) rest.batch = kept.Build();
  return rest;
}

/// False: the events cannot become an entry, and are answered.
bool PartitionWriter::MakeEntry(Pack* pack) {
  if (pack->batch) {
    Result<std::string> block = context_->ports.blocks->Encode(*pack->stream, *pack->batch);
    pack->batch.reset();
    if (!block.ok()) {
      Finish(*pack, block.error());
      return false;
    }
    pack->entry.key = kBlockKey;
    pack->entry.value = std::move(block).value();
    pack->held.Set(BytesOf(pack->entry));
  }
  if (!Planted("chain_forgotten")) pack->entry.chain = chain_;
  return true;
}

Task<void> PartitionWriter::Append(std::shared_ptr<PartitionWriter> self, Pack pack) {
  // The stream may have been dropped between the start of this task and now.
  if (self->closed_) {
    --self->in_flight_;
    pack.held.Set(0);
    self->Refuse(pack, StreamGone(*self->stream_));
    co_return;
  }
  CrashPoint("ingest.before_append");
  if (Planted("ack_before_append")) self->Finish(pack, Offset(0));
  Result<Offset> appended = Unavailable("the append ended without an answer");
  const std::shared_ptr<AppendChain> chain = pack.entry.chain;
  try {
    auto append = self->context_->ports.log->Append(self->stream_->topic, self->partition_,
                                                    std::move(pack.entry));
    appended = co_await std::move(append);
  } catch (const std::exception& e) {
    appended = Internal(std::string("the append failed: ") + e.what());
    chain->broken = true;
  }
  CrashPoint("ingest.after_append");
  --self->in_flight_;
  pack.held.Set(0);
  if (chain == self->chain_ && chain->broken && !appended.ok())
    self->chain_ = std::make_shared<AppendChain>();
  if (!Planted("ack_before_append")) self->Finish(pack, appended);
  self->StartAppends();
}

void PartitionWriter::Finish(const Pack& pack, const Result<Offset>& appended) {
  context_->append_failures->Note(stream_->topic, partition_,
                                  appended.ok() ? Status() : Status(appended.error()));
  if (!appended.ok()) {
    context_->metrics.log_errors.at(appended.error().code)->Add();
    static LogRateLimit limit(10);
    limit.Warn("an append failed", {{"topic", stream_->topic},
                                    {"partition", partition_.value},
                                    {"events", pack.events.size()},
                                    {"error", appended.error().ToString()}});
    return Refuse(pack, std::make_shared<EventError>(
                            AppendError(appended.error(), stream_->topic, partition_)));
  }
  for (size_t m = 0; m < pack.members.size(); ++m) {
    PendingRequest& request = *pack.members[m].request;
    for (size_t row = pack.members[m].first_row; row < pack.EndOf(m); ++row)
      request.results[pack.events[row]].offset = appended->value;
    request.Release();
  }
}

void PartitionWriter::Refuse(const Pack& pack, const std::shared_ptr<const EventError>& error) {
  for (size_t m = 0; m < pack.members.size(); ++m) {
    PendingRequest& request = *pack.members[m].request;
    if (error->retryable && request.lane) request.lane->broken = true;
    for (size_t row = pack.members[m].first_row; row < pack.EndOf(m); ++row)
      request.results[pack.events[row]] = {-1, -1, -1, error};
    request.Release();
  }
}

}  // namespace millrace::ingest
