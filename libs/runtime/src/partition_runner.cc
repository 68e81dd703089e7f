#include "millrace/runtime/partition_runner.h"

#include <algorithm>

#include "backoff.h"
#include "millrace/base/crash_point.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"
#include "millrace/runtime/data_records.h"
#include "millrace/runtime/read_again.h"

namespace millrace::runtime {
namespace {

constexpr auto kTickCheck = std::chrono::milliseconds(100);
/// Most one-event records in a batch; each may name its own producer.
constexpr uint32_t kBatchRows = 4096;
/// Of a record that cannot be read, this much is shown.
constexpr size_t kShownBytes = 256;
/// Clocks of one installation differ by less.
constexpr Micros kAheadWarning = 60 * kSecond;
/// So many records after a damaged one are tried, to name one that can be read.
constexpr int64_t kProbes = 10'000;
/// One for the shards that are level, and some for those that catch up.
constexpr size_t kReaders = 3;
/// A process that stood still for so long, or a log that answers so late, may have missed that the
/// log lost its end and grew again.
constexpr auto kLatePass = std::chrono::seconds(2);
constexpr auto kLateAnswer = std::chrono::seconds(1);

/// An event that stands for a record which cannot be read: it counts as one, and goes to the
/// quarantine output.
EventBatch Unreadable(const StreamSpec& stream, const LogRecord& record, std::string_view detail) {
  BatchBuilder builder(stream);
  builder.BeginRecord(record.offset, record.append_time);
  const bool text = !record.value.empty() && record.value.front() == '{';
  const std::string_view head = record.value.substr(0, kShownBytes);
  builder.DefectRow(-1, 0, Reason::kUnreadable, detail,
                    text ? std::string(head) : "hex:" + Hex(head));
  return builder.Build();
}

Counter* SecondsIn(MetricRegistry* metrics, const StreamSpec& stream, PartitionId partition,
                   std::string_view state) {
  return &metrics->GetCounter("millrace_worker_partition_seconds_total",
                              "How the reader of a partition spends its time.",
                              {{"namespace", stream.name_space},
                               {"stream", stream.name},
                               {"partition", std::to_string(partition.value)},
                               {"state", std::string(state)}});
}

Offset Behind(const LogRecord& record) { return Offset(record.offset.value + 1); }

void AddSince(Executor::Duration begun, Counter* seconds) {
  const std::chrono::duration<double> took = Executor::Current().Monotonic() - begun;
  seconds->Add(took.count());
}

/// Of records that were read at once, what tells whether the log still has them.
std::vector<RecordIdentity> Newest(const std::vector<LogRecord>& records) {
  std::vector<RecordIdentity> newest;
  for (size_t i = records.size() - std::min(records.size(), checkpoint::kRememberedRecords);
       i < records.size(); ++i)
    newest.push_back(IdentityOf(records[i]));
  return newest;
}

}  // namespace

PartitionRunner::PartitionRunner(StreamSpec stream, PartitionId partition, Ports ports,
                                 Options options)
    : stream_(std::move(stream)),
      partition_(partition),
      ports_(ports),
      options_(options),
      parser_(ports.records->ForStream(stream_)),
      busy_(SecondsIn(ports.metrics, stream_, partition, "busy")),
      idle_(SecondsIn(ports.metrics, stream_, partition, "idle")),
      blocked_(SecondsIn(ports.metrics, stream_, partition, "blocked")) {}

void PartitionRunner::Start() {
  const auto keep = [](std::shared_ptr<PartitionRunner> self, Task<> task) -> Task<> {
    co_await std::move(task);
    self.reset();
  };
  Executor::Current().Spawn(keep(shared_from_this(), ReadLoop()));
  Executor::Current().Spawn(keep(shared_from_this(), TickLoop()));
}

void PartitionRunner::Attach(std::shared_ptr<Shard> shard) {
  // A follower that became the owner is there already.
  if (std::find(shards_.begin(), shards_.end(), shard) != shards_.end()) return;
  look_back_.insert(shard.get());
  shards_.push_back(std::move(shard));
  changed_.Notify();
}

void PartitionRunner::Detach(const Shard* shard) {
  std::erase_if(shards_, [&](const auto& s) { return s.get() == shard; });
  look_back_.erase(shard);
}

void PartitionRunner::Stop() {
  stopped_ = true;
  changed_.Notify();
}

Task<> PartitionRunner::ReadLoop() {
  Backoff backoff(options_.retry_first, options_.retry_last);
  while (!stopped_) {
    const auto now = Executor::Current().Monotonic();
    if (now - std::exchange(passed_, now) > kLatePass) Broke();
    std::erase_if(shards_, [this](const auto& s) {
      if (!s->folds()) look_back_.erase(s.get());
      return !s->folds();
    });
    if (shards_.empty()) {
      co_await changed_.Wait();
      continue;
    }
    const auto slow =
        std::find_if(shards_.begin(), shards_.end(), [](const auto& s) { return !s->can_read(); });
    if (slow != shards_.end()) {
      co_await WaitForRoom(*slow);
      continue;
    }
    const Status read = co_await ReadOnce();
    NoteLog("log_read", read);
    if (read.ok()) {
      backoff.Reset();
      continue;
    }
    co_await Delay(backoff.Next());
  }
}

Task<> PartitionRunner::WaitForRoom(std::shared_ptr<Shard> shard) {
  const auto begun = Executor::Current().Monotonic();
  co_await shard->outbox().changed().WaitFor(options_.read_wait);
  AddSince(begun, blocked_);
}

/// Where shards stand, each place once.
std::vector<Offset> PartitionRunner::Places() const {
  std::vector<Offset> places;
  for (const auto& shard : shards_) places.push_back(shard->next_offset());
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  return places;
}

Task<Status> PartitionRunner::ReadOnce() {
  const std::vector<Offset> places = Places();
  const Offset from = places[turn_++ % places.size()];
  // Who is behind has something to read, so nobody waits for whoever is at the end.
  const auto wait = places.size() == 1 ? options_.read_wait : Options::Duration(0);
  Cursor& cursor = CursorAt(from);
  const auto asked = Executor::Current().Monotonic();
  auto batch = co_await cursor.reader->Next(options_.read_bytes, wait);
  AddSince(asked, idle_);
  const bool late = Executor::Current().Monotonic() - asked > wait + kLateAnswer;
  const bool broke = late || !batch.ok() || batch->end < cursor.end;
  if (broke) {
    Broke();
  } else {
    cursor.at = batch->next;
    cursor.end = batch->end;
  }
  // Damage stays, and so does a place outside of the log. Everything else is tried again.
  const bool stays = !batch.ok() && (batch.error().code == Code::kCorruption ||
                                     batch.error().code == Code::kConflict);
  if (!batch.ok() && !stays) co_return batch.error();
  // After the read: what it gave is of the log that is compared, or of one before. Of one before it
  // may be if it came late.
  auto read = late && batch.ok() ? Newest(batch->records) : std::vector<RecordIdentity>();
  const auto same = co_await LookBack(std::move(read));
  // What was read is not fed, so it is read again.
  if (!same.ok() || !*same) cursors_.clear();
  MILLRACE_CO_TRY(same);
  if (!*same) co_return Status();
  if (stays) {
    auto halted = co_await HaltAt(from, batch.error());
    co_return halted;
  }
  end_ = batch->end;
  end_read_at_ = Executor::Current().Monotonic();
  if (!batch->records.empty()) WarnIfAhead(batch->records.back());
  co_await Feed(std::move(*batch), from);
  auto seen = co_await LookAtEnd(end_);
  co_return seen;
}

/// What readers hold already may be of the log before.
void PartitionRunner::Broke() {
  cursors_.clear();
  for (const auto& shard : shards_) look_back_.insert(shard.get());
}

/// Compares the last record of those that have to look back with what the log has in its place. A
/// shard that remembers another log ends this life of it. False: `read`, which was read just now,
/// is of another log than there is by now.
Task<Result<bool>> PartitionRunner::LookBack(std::vector<RecordIdentity> read) {
  if (look_back_.empty()) co_return true;
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await ports_.log->Range(stream_.topic, partition_));
  MILLRACE_CO_ASSIGN(const Recalled now, co_await ReadAgain(ports_.log, stream_.topic, partition_,
                                                            std::move(read), range));
  const std::vector<std::shared_ptr<Shard>> shards = shards_;
  // Shards that are level remember the same.
  std::vector<RecordIdentity> compared;
  Recalled recalled;
  for (const auto& shard : shards) {
    if (!look_back_.contains(shard.get())) continue;
    if (std::vector<RecordIdentity> all = shard->remembered().all(); all != compared) {
      compared = all;
      MILLRACE_CO_ASSIGN(recalled, co_await ReadAgain(ports_.log, stream_.topic, partition_,
                                                      std::move(all), range));
    }
    if (recalled.first_other && !Planted("no_look_back")) shard->LogChanged(recalled);
    look_back_.erase(shard.get());
  }
  co_return !now.first_other;
}

/// An owner reckons with the end that it saw when it took its fence over. What a read tells of the
/// end may be old, so one that lies lower is asked for.
Task<Status> PartitionRunner::LookAtEnd(Offset end) {
  const std::vector<std::shared_ptr<Shard>> shards = shards_;
  const bool below = std::any_of(shards.begin(), shards.end(),
                                 [&](const auto& shard) { return shard->expects_beyond(end); });
  if (!below) co_return Status();
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await ports_.log->Range(stream_.topic, partition_));
  for (const auto& shard : shards) shard->SawEnd(range.end);
  co_return Status();
}

/// The reader that stands there. Past the bound the one that was used least lately makes room.
PartitionRunner::Cursor& PartitionRunner::CursorAt(Offset place) {
  auto at = std::find_if(cursors_.begin(), cursors_.end(),
                         [&](const Cursor& cursor) { return cursor.at == place; });
  if (at == cursors_.end()) {
    if (cursors_.size() == kReaders) cursors_.pop_front();
    cursors_.push_back({ports_.log->OpenReader(stream_.topic, partition_, place), place});
    for (const auto& shard : shards_)
      if (shard->next_offset() == place) look_back_.insert(shard.get());
  } else {
    std::rotate(at, std::next(at), cursors_.end());
  }
  return cursors_.back();
}

Task<Status> PartitionRunner::HaltAt(Offset place, Error error) {
  const bool outside = error.code == Code::kConflict;
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await ports_.log->Range(stream_.topic, partition_));
  // A log that begins above the place is the same one as before.
  const bool other = outside && range.start <= place;
  const Offset readable = co_await ReadableAfter(place);
  for (const auto& shard : shards_) {
    if (shard->next_offset() != place) continue;
    // Nothing that it remembers said so.
    if (other) {
      shard->LogChanged({});
      continue;
    }
    HaltCause cause;
    cause.what = outside ? "the log has no such place: it begins above it"
                         : "a record of the log cannot be read";
    cause.what += "; restore the log from a copy";
    cause.facts = "next_offset=" + std::to_string(place.value) + " error=\"" + error.message + "\"";
    cause.readable = readable;
    cause.below_start = outside;
    shard->Halt(std::move(cause));
  }
  co_return Status();
}

/// While append times are ahead of the clock, events of the future count as being of the present.
void PartitionRunner::WarnIfAhead(const LogRecord& last) const {
  const Micros ahead = last.append_time - Executor::Current().Wall();
  if (ahead <= kAheadWarning) return;
  static LogRateLimit limit(60);
  limit.Warn(
      "the log's append times are ahead of this process's clock: one of the two clocks was wrong, "
      "set it right",
      {{"topic", stream_.topic},
       {"partition", partition_.value},
       {"offset", last.offset.value},
       {"ahead_seconds", ahead / kSecond}});
}

/// The next offset after a damaged record that can be read, if it is near; the log's end will do.
Task<Offset> PartitionRunner::ReadableAfter(Offset damaged) {
  const auto range = co_await ports_.log->Range(stream_.topic, partition_);
  Offset at(damaged.value + 1);
  if (!range.ok()) co_return at;
  at = std::max(at, range->start);
  const Offset last = std::min(range->end, Offset(at.value + kProbes));
  for (; at < last; at = Offset(at.value + 1)) {
    const auto reader = ports_.log->OpenReader(stream_.topic, partition_, at);
    const auto read = co_await reader->Next(1, std::chrono::microseconds(0));
    if (read.ok() || read.error().code != Code::kCorruption) break;
  }
  co_return at;
}

/// A shard that was attached during the read and begins before it waits for the next one, and so
/// does one that is attached while this goes on.
Task<> PartitionRunner::Feed(LogBatch batch, Offset from) {
  const std::vector<std::shared_ptr<Shard>> shards = shards_;
  auto begun = Executor::Current().Monotonic();
  for (const Decoded& decoded : Decode(batch.records, from)) {
    for (const auto& shard : shards) {
      if (shard->next_offset() < decoded.after) continue;
      shard->Step(decoded.item, &batch.records[decoded.first], decoded.count);
      while (shard->emitting() && shard->folds()) {
        AddSince(begun, busy_);
        // The sinks take what there is, and others of this executor have their turn.
        co_await Delay(Options::Duration(0));
        while (shard->outbox().full() && shard->folds()) co_await WaitForRoom(shard);
        begun = Executor::Current().Monotonic();
        shard->GoOn();
      }
    }
    if (stopped_) break;
  }
  AddSince(begun, busy_);
  if (stopped_) co_return;
  const Offset after = batch.records.empty() ? from : Behind(batch.records.back());
  for (const auto& shard : shards)
    if (shard->next_offset() >= after) shard->PassTo(batch.next);
}

/// Whether some shard begins or jumps in (after, offset]: no batch may reach over that place.
bool PartitionRunner::Breaks(Offset after, Offset offset) const {
  return std::any_of(shards_.begin(), shards_.end(),
                     [&](const auto& s) { return s->BreaksIn(after, offset); });
}

/// `from`: where the read of these records began.
std::vector<PartitionRunner::Decoded> PartitionRunner::Decode(const std::vector<LogRecord>& records,
                                                              Offset from) const {
  std::vector<Decoded> out;
  BatchBuilder builder(stream_);
  size_t json_from = 0;
  const auto after = [&](size_t first) { return first == 0 ? from : Behind(records[first - 1]); };
  const auto flush = [&](size_t end) {
    if (builder.rows() > 0)
      out.push_back({builder.Build(), json_from, end - json_from, after(json_from)});
  };
  for (size_t i = 0; i < records.size(); ++i) {
    const LogRecord& record = records[i];
    if (builder.rows() > 0 &&
        (builder.rows() >= kBatchRows || Breaks(records[i - 1].offset, record.offset)))
      flush(i);
    if (stream_.format == RecordFormat::kJson && !IsControl(record)) {
      if (builder.rows() == 0) json_from = i;
      if (AddJson(record, &builder)) continue;
    }
    flush(i);
    out.push_back({DecodeRecord(record), i, 1, after(i)});
  }
  flush(records.size());
  return out;
}

/// False: the record's sender cannot be told, so it is unreadable as a whole.
bool PartitionRunner::AddJson(const LogRecord& record, BatchBuilder* builder) const {
  const auto sender = SenderOf(record);
  if (!sender.ok()) return false;
  builder->BeginRecord(record.offset, record.append_time);
  int16_t producer = -1;
  int64_t sequence = 0;
  if (*sender) {
    producer =
        builder->AddProducer((*sender)->principal, (*sender)->producer, (*sender)->acked_below);
    sequence = (*sender)->sequence;
  }
  const RecordParser::Verdict verdict = parser_->Parse(record.value, builder);
  if (verdict.reason == Reason::kNone) {
    builder->EndRow(producer, sequence, record.value);
  } else {
    builder->DefectRow(producer, sequence, verdict.reason, verdict.detail, record.value);
  }
  return true;
}

LogItem PartitionRunner::DecodeRecord(const LogRecord& record) const {
  if (IsControl(record)) {
    auto control = DecodeControl(record);
    if (control.ok()) return std::move(*control);
    return Unreadable(stream_, record, control.error().message);
  }
  if (stream_.format == RecordFormat::kJson)
    return Unreadable(stream_, record, SenderOf(record).error().message);
  auto block = ports_.blocks->Decode(stream_, {record.owner, record.value}, record.offset,
                                     record.append_time);
  if (block.ok()) return std::move(*block);
  return Unreadable(stream_, record, block.error().message);
}

Task<> PartitionRunner::TickLoop() {
  while (!stopped_) {
    co_await Delay(std::min<Executor::Duration>(kTickCheck, options_.tick_interval));
    const auto appended = co_await AppendDueTicks();
    if (appended) NoteLog("log_append", *appended);
  }
}

/// All shards of a partition stand on the same log.
void PartitionRunner::NoteLog(std::string_view part, const Status& status) {
  for (const auto& shard : shards_) {
    if (status.ok()) {
      shard->troubles().Worked(part);
    } else {
      shard->troubles().Failed(part, "see to the log and its disk", status.error());
    }
  }
}

/// One record serves all shards that have read the same last valid tick. Nothing: none was due.
Task<std::optional<Status>> PartitionRunner::AppendDueTicks() {
  const auto now = Executor::Current().Monotonic();
  struct Due {
    Tick tick;
    std::vector<std::shared_ptr<Shard>> shards;
  };
  std::vector<Due> all;
  for (const auto& shard : shards_) {
    const auto tick = shard->DueTick(now);
    if (!tick) continue;
    shard->NoteTickSent(now);
    const auto shared = std::find_if(all.begin(), all.end(), [&](const Due& due) {
      return due.tick.previous == tick->previous;
    });
    (shared != all.end() ? *shared : all.emplace_back(Due{*tick, {}})).shards.push_back(shard);
  }
  for (const Due& due : all) {
    CrashPoint("tick.before_append");
    const auto offset =
        co_await ports_.log->Append(stream_.topic, partition_, EncodeTick(due.tick));
    if (!offset.ok()) co_return Status(offset.error());
    for (const auto& shard : due.shards) shard->NoteTickAppended(*offset);
  }
  if (all.empty()) co_return std::nullopt;
  co_return Status();
}

}  // namespace millrace::runtime
