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

size_t Width(Type type) {
  switch (type) {
    case Type::kInt:
    case Type::kText:
      return 4;
    case Type::kBool:
      return 1;
    case Type::kBigint:
    case Type::kDouble:
    case Type::kTimestamp:
      return 8;
    case Type::kNumeric:
      return 16;
  }
  return 0;
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
  text_columns_.clear();
  fixed_row_bytes_ = sizeof(int16_t) + sizeof(int64_t);
  for (size_t i = 0; i < stream_->columns.size(); ++i) {
    fixed_row_bytes_ += Width(stream_->columns[i].type);
    if (stream_->columns[i].type == Type::kText) text_columns_.push_back(i);
  }
}

size_t PartitionWriter::RowBytes(const EventBatch& from, size_t row) const {
  size_t bytes = fixed_row_bytes_;
  for (const size_t i : text_columns_) bytes += from.columns[i].Text(row).size();
  if (from.payload != nullptr) bytes += from.payload[row].size();
  return bytes;
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
                             const Identity& identity, const EventBatch& from, size_t row) {
  if (open_.events.empty()) {
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
  builder_.AppendRow(from, row, member.producer);
  open_bytes_ += RowBytes(from, row);
  if (open_bytes_ >= context_->options.block_bytes) Seal();
}

void PartitionWriter::AddRecord(const std::shared_ptr<PendingRequest>& request, uint32_t event,
                                LogEntry entry) {
  Pack pack;
  pack.entry = std::move(entry);
  Join(request, event, &pack);
  Enqueue(std::move(pack));
}

void PartitionWriter::Seal() {
  ++open_number_;
  if (open_.events.empty()) return;
  Pack pack = std::exchange(open_, {});
  open_bytes_ = 0;
  pack.batch = builder_.Build();
  Enqueue(std::move(pack));
}

void PartitionWriter::Enqueue(Pack pack) {
  pack.stream = stream_;
  sealed_.push_back(std::move(pack));
  StartAppends();
}

void PartitionWriter::StartAppends() {
  // Tasks start in the order in which they are spawned, and the log keeps the order of starts.
  while (!sealed_.empty() && in_flight_ < context_->options.appends_in_flight) {
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
  Pack rest{pack.stream, std::nullopt, {}, {}, {}};
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
      kept.AppendRow(*pack.batch, row, moved.producer);
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
  }
  pack->entry.chain = chain_;
  return true;
}

Task<void> PartitionWriter::Append(std::shared_ptr<PartitionWriter> self, Pack pack) {
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
  if (chain == self->chain_ && chain->broken && !appended.ok())
    self->chain_ = std::make_shared<AppendChain>();
  if (!Planted("ack_before_append")) self->Finish(pack, appended);
  self->StartAppends();
}

void PartitionWriter::Finish(const Pack& pack, const Result<Offset>& appended) {
  std::shared_ptr<const EventError> error;
  if (!appended.ok()) {
    context_->metrics.CountLogError(appended.error().code);
    static LogRateLimit limit(10);
    limit.Warn("an append failed", {{"topic", stream_->topic},
                                    {"partition", partition_.value},
                                    {"events", pack.events.size()},
                                    {"error", appended.error().ToString()}});
    error = std::make_shared<EventError>(AppendError(appended.error(), stream_->topic, partition_));
  }
  for (size_t m = 0; m < pack.members.size(); ++m) {
    PendingRequest& request = *pack.members[m].request;
    if (error && error->retryable && request.lane) request.lane->broken = true;
    for (size_t row = pack.members[m].first_row; row < pack.EndOf(m); ++row) {
      EventResult& result = request.results[pack.events[row]];
      if (error) {
        result = {-1, -1, -1, error};
      } else {
        result.offset = appended->value;
      }
    }
    request.Release();
  }
}

}  // namespace millrace::ingest
