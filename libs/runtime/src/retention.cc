#include "millrace/runtime/retention.h"

#include <algorithm>

#include "millrace/base/crash_point.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"

namespace millrace::runtime {
namespace {

/// What is needed lies in danger so close behind the log's start.
constexpr Micros kNear = kDay;

Incarnation NameOf(const StreamSpec& stream) {
  return {stream.name_space, stream.name, stream.generation};
}

}  // namespace

Retention::Retention(Wiring wiring, const control::ControlReader* control, Leadership* leadership)
    : wiring_(std::move(wiring)),
      control_(*control),
      leadership_(*leadership),
      trimmed_(&wiring_.ports.metrics->GetCounter(
          "millrace_coordinator_trimmed_records_total",
          "Records of streams that keep_for or keep_bytes let go, given up for deletion.", {})),
      held_(&wiring_.ports.metrics->GetGauge(
          "millrace_coordinator_held_records",
          "Records that keep_for or keep_bytes let go and a shard may still need.", {})),
      endangered_(&wiring_.ports.metrics->GetGauge("millrace_coordinator_endangered_partitions",
                                                   "Partitions that others trim, where a pipeline "
                                                   "still needs what begins less than 24 hours "
                                                   "behind the log's start.",
                                                   {})) {}

Task<> Retention::Loop() {
  co_await Delay(wiring_.options.retention_first);
  while (!stopped_) {
    const int64_t trimmed = co_await RunOnce();
    if (trimmed > 0) LogInfo("records of streams were given up", {{"records", trimmed}});
    co_await Delay(wiring_.options.retention_interval);
  }
}

Task<int64_t> Retention::RunOnce() {
  int64_t trimmed = 0;
  held_now_ = endangered_now_ = 0;
  // Copies: the fold goes on while this waits.
  const auto streams = control_.fold().streams();
  const auto places = co_await ReadPlaces();
  for (const auto& [name, stream] : streams) {
    if (!Leads()) co_return trimmed;
    Status done;
    const control::Keep keep = control::KeepOf(control_.fold(), NameOf(stream));
    if (keep.time || keep.bytes) {
      const auto one = co_await TrimStream(stream, keep, places);
      if (one.ok()) trimmed += *one;
      if (!one.ok()) done = one.error();
    }
    CrashPoint("retention.before_delete");
    const Status deleted = co_await DeleteTrimmed(stream);
    if (done.ok()) done = deleted;
    const Status noted = co_await NoteEndangered(stream);
    if (done.ok()) done = noted;
    if (done.ok()) continue;
    LogWarn("records of a stream that are kept no longer are deleted later",
            {{"stream", stream.name_space + "." + stream.name}, {"error", done.error().message}});
  }
  trimmed_->Add(static_cast<double>(trimmed));
  held_->Set(static_cast<double>(held_now_));
  endangered_->Set(static_cast<double>(endangered_now_));
  co_return trimmed;
}

Task<Retention::Places> Retention::ReadPlaces() {
  const auto reports = co_await wiring_.reports();
  const control::Fold& fold = control_.fold();
  Places places;
  for (const auto& [instance, report] : reports) {
    for (const ShardReport& shard : report.shards) {
      const ShardId& id = shard.info.shard;
      const auto view = fold.pipelines().find(id.incarnation);
      if (view == fold.pipelines().end()) continue;
      const StreamSpec* stream =
          fold.FindStream(id.incarnation.name_space, view->second.spec.stream);
      const auto [at, first] =
          places.try_emplace({stream->topic, id.partition}, shard.info.next_offset);
      at->second = std::min(at->second, shard.info.next_offset);
    }
  }
  co_return places;
}

Task<Result<int64_t>> Retention::TrimStream(StreamSpec stream, control::Keep keep, Places places) {
  control::Trim trim{{}, NameOf(stream), {}};
  int64_t above = 0;
  bool worthwhile = false;
  for (int32_t p = 0; p < stream.partitions; ++p) {
    const PartitionId partition(p);
    MILLRACE_CO_ASSIGN(const OffsetRange range,
                       co_await wiring_.ports.log->Range(stream.topic, partition));
    MILLRACE_CO_ASSIGN(const Offset kept, co_await FirstKept(stream, partition, range, keep));
    const control::Fold& fold = control_.fold();
    if (fold.FindStream(NameOf(stream)) == nullptr) co_return 0;
    const Offset present = fold.TrimOf(stream.generation, partition);
    const Offset floor = control::RetentionFloor(fold, stream, partition);
    if (kept > floor) held_now_ += kept.value - std::max(floor, range.start).value;
    const auto place = places.find({stream.topic, partition});
    // A shard that lags behind its own checkpoints has not read what it needs.
    const bool behind = place != places.end() && place->second < floor;
    const Offset to = behind ? present : std::max(present, std::min(kept, floor));
    trim.to.push_back(to);
    const Offset from = std::max(present, range.start);
    above += std::max<int64_t>(0, to.value - from.value);
    // Small steps would only fill the control log.
    worthwhile |= (to.value - from.value) * 100 > range.end.value - from.value;
  }
  if (!worthwhile || !Leads()) co_return 0;
  CrashPoint("retention.before_trim");
  if (!Planted("delete_without_trim")) {
    MILLRACE_CO_TRY(co_await leadership_.Write(
        std::move(trim), "trim stream " + stream.name_space + "." + stream.name));
  } else {
    for (int32_t p = 0; p < stream.partitions; ++p)
      MILLRACE_CO_TRY(co_await wiring_.ports.log->DeleteBefore(stream.topic, PartitionId(p),
                                                               trim.to[static_cast<size_t>(p)]));
  }
  CrashPoint("retention.trimmed");
  co_return above;
}

Task<Result<Offset>> Retention::FirstKept(StreamSpec stream, PartitionId partition,
                                          OffsetRange range, control::Keep keep) {
  Offset first = range.start;
  if (keep.time) {
    const Micros since = Executor::Current().Wall() - *keep.time;
    MILLRACE_CO_ASSIGN(first,
                       co_await wiring_.ports.log->OffsetForTime(stream.topic, partition, since));
  }
  if (!keep.bytes) co_return first;
  // The least offset from which on the share of the partition is not exceeded.
  const int64_t share = std::max<int64_t>(1, *keep.bytes / stream.partitions);
  Offset low = range.start;
  Offset high = range.end;
  while (low < high) {
    const Offset middle(low.value + (high.value - low.value) / 2);
    MILLRACE_CO_ASSIGN(const int64_t bytes,
                       co_await wiring_.ports.log->Bytes(stream.topic, partition, middle));
    if (bytes > share) low = Offset(middle.value + 1);
    if (bytes <= share) high = middle;
  }
  co_return std::max(first, low);
}

/// A log that begins above our trim was trimmed by others, and they may go on.
Task<Status> Retention::NoteEndangered(StreamSpec stream) {
  for (int32_t p = 0; p < stream.partitions; ++p) {
    const PartitionId partition(p);
    MILLRACE_CO_ASSIGN(const OffsetRange range,
                       co_await wiring_.ports.log->Range(stream.topic, partition));
    const control::Fold& fold = control_.fold();
    if (fold.FindStream(NameOf(stream)) == nullptr) co_return Status();
    const Offset floor = control::RetentionFloor(fold, stream, partition);
    // What was read to its end is not in danger.
    if (range.start <= fold.TrimOf(stream.generation, partition) || floor >= range.end) continue;
    const auto reader = wiring_.ports.log->OpenReader(stream.topic, partition, range.start);
    MILLRACE_CO_ASSIGN(const LogBatch first,
                       co_await reader->Next(1, std::chrono::microseconds(0)));
    if (first.records.empty()) continue;
    const Micros near = first.records.front().append_time + kNear;
    MILLRACE_CO_ASSIGN(const Offset end_of_near,
                       co_await wiring_.ports.log->OffsetForTime(stream.topic, partition, near));
    if (floor >= end_of_near) continue;
    ++endangered_now_;
    LogWarn(
        "the log's start comes close to what a pipeline still needs: see to it that the "
        "pipeline reads on, or that the topic keeps its records for longer",
        {{"topic", stream.topic},
         {"partition", partition.value},
         {"start", range.start.value},
         {"needed", floor.value}});
  }
  co_return Status();
}

/// As the fold's Trim says, never as something that was computed says.
Task<Status> Retention::DeleteTrimmed(StreamSpec stream) {
  const Turns::Turn turn = co_await wiring_.take_topic(stream.topic);
  for (int32_t p = 0; p < stream.partitions; ++p) {
    const PartitionId partition(p);
    const control::Fold& fold = control_.fold();
    if (!Leads() || fold.FindStream(NameOf(stream)) == nullptr) co_return Status();
    const Offset trim = fold.TrimOf(stream.generation, partition);
    if (trim == Offset(0)) continue;
    MILLRACE_CO_TRY(co_await wiring_.ports.log->DeleteBefore(stream.topic, partition, trim));
    CrashPoint("retention.deleted");
  }
  co_return Status();
}

}  // namespace millrace::runtime
