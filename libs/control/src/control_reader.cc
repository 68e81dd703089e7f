#include "millrace/control/control_reader.h"

#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/base/time.h"
#include "snapshot_reader.h"

namespace millrace::control {
namespace {

constexpr size_t kReadBytes = 1 << 20;
constexpr auto kRetry = std::chrono::milliseconds(100);

}  // namespace

Task<Status> ControlReader::Start() {
  auto read = co_await ReadToEnd(&now_);
  if (!read.ok() && read.error().code == Code::kConflict)
    co_return Unavailable("the control log was trimmed while it was read: " + read.error().message);
  co_return read;
}

Task<Status> ControlReader::ReadToEnd(Reading* reading) {
  TopicSpec topic{std::string(kControlTopic), 1};
  MILLRACE_CO_TRY(co_await log_->CreateTopic(std::move(topic)));
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await log_->Range(std::string(kControlTopic), PartitionId(0)));
  MILLRACE_CO_TRY(co_await BeginAt(reading, range));
  for (Offset at = reading->read_to; at < range.end;) {
    MILLRACE_CO_ASSIGN(const Offset next, co_await ReadOnce(reading, std::chrono::microseconds(0)));
    if (next == at) {
      co_return Unavailable("the control log ends before its own end", {{"offset", at.value}});
    }
    at = next;
  }
  // To begin again would give the same once more.
  if (reading->differs)
    LogWarn("a snapshot of the control log is not what its records give; it is told once", {});
  reading->differs = false;
  co_return Status();
}

/// Where the fold stands, or with a snapshot if the log begins behind that.
Task<Status> ControlReader::BeginAt(Reading* reading, OffsetRange range) {
  Fold& fold = reading->fold;
  if (fold.next_offset() < range.start) {
    MILLRACE_CO_ASSIGN(fold, co_await FoldFromSnapshot(log_, range));
    // Who looked before the first reading has taken an empty fold for all there is.
    if (reading == &now_) NoteChanges(Changes::Everything());
    reading->snapshots = WholeSnapshots();
    LogInfo("the control log is folded from a snapshot",
            {{"start", range.start.value}, {"next_offset", fold.next_offset().value}});
  }
  reading->reader =
      log_->OpenReader(std::string(kControlTopic), PartitionId(0), fold.next_offset());
  reading->read_to = fold.next_offset();
  co_return Status();
}

/// Gives where the reader stands then.
Task<Result<Offset>> ControlReader::ReadOnce(Reading* reading, std::chrono::microseconds wait) {
  MILLRACE_CO_ASSIGN(const LogBatch batch, co_await reading->reader->Next(kReadBytes, wait));
  Fold& fold = reading->fold;
  for (const LogRecord& record : batch.records) {
    const Offset before = fold.next_offset();
    Verdict verdict = Verdict::kUnreadable;
    const auto decoded = Decode(record.value);
    if (decoded.ok()) {
      const Changes changes = ChangesOf(fold, record.offset, *decoded);
      verdict = fold.Apply(record.offset, record.append_time, *decoded);
      if (verdict == Verdict::kValid && reading == &now_) NoteChanges(changes);
      reading->snapshots.Note(verdict, *decoded);
      // Valid or not: this fold may lack the claim of the leader that wrote it.
      if (const auto* chunk = std::get_if<Snapshot>(&*decoded))
        reading->differs |= !reading->images.Agrees(*chunk);
    } else {
      LogWarn("a control record was skipped",
              {{"offset", record.offset.value}, {"error", decoded.error().message}});
      fold.ApplyUnreadable(record.offset);
    }
    reading->images.Note(before, fold);
    if (verdict != Verdict::kValid) ++skipped_[verdict];
    NoteFolded(record, verdict);
  }
  const bool moved = batch.next > std::exchange(reading->read_to, batch.next);
  if (moved) changed_.Notify();
  co_return batch.next;
}

const FoldImage* ControlReader::DueSnapshot() const {
  const FoldImage* image = now_.images.last();
  return image != nullptr && now_.snapshots.last() < image->at ? image : nullptr;
}

void ControlReader::NoteFolded(const LogRecord& record, Verdict verdict) {
  if (awaited_.empty()) return;
  const auto [begin, end] = awaited_.equal_range(Hash(record.value).lo);
  for (auto at = begin; at != end; ++at) {
    AwaitedRecord& awaited = *at->second;
    awaited.valid_ |= verdict == Verdict::kValid;
    awaited.verdicts_[record.offset] = verdict;
    awaited.next_.Notify();
  }
}

AwaitedRecord::AwaitedRecord(ControlReader* reader, const std::string& bytes)
    : reader_(reader), place_(reader->awaited_.emplace(Hash(bytes).lo, this)) {}
AwaitedRecord::~AwaitedRecord() { reader_->awaited_.erase(place_); }

std::optional<Verdict> AwaitedRecord::At(Offset offset) const {
  const auto at = verdicts_.find(offset);
  if (at == verdicts_.end()) return std::nullopt;
  return at->second;
}

void ControlReader::NoteChanges(const Changes& changes) {
  for (ChangeFeed* feed : *feeds_) feed->Add(changes);
}

Task<> ControlReader::Follow() {
  static LogRateLimit limit(60);
  std::string since;
  while (!stopped_) {
    const Status read = co_await FollowOnce();
    if (read.ok()) {
      failure_.clear();
      continue;
    }
    if (failure_.empty()) since = FormatTimestamp(Executor::Current().Wall());
    failure_ = "the control log cannot be read since " + since +
               ", it is tried again; see to the log and its disk error=\"" + read.error().message +
               "\"";
    limit.Warn("cannot read the control log", {{"since", since}, {"error", read.error().message}});
    co_await Delay(kRetry);
  }
}

Task<Status> ControlReader::FollowOnce() {
  if (now_.reader) {
    const auto read = co_await ReadOnce(&now_, std::chrono::milliseconds(500));
    if (!read.ok() && read.error().code != Code::kConflict) co_return read.error();
    if (read.ok() && !now_.differs) co_return Status();
    if (read.ok()) Forget("the leader's snapshot differs from what was read");
    if (!read.ok()) MILLRACE_CO_TRY(co_await NoteOutside(read.error()));
  }
  Reading again(snapshot_interval_);
  MILLRACE_CO_TRY(co_await ReadToEnd(&again));
  now_ = std::move(again);
  NoteChanges(Changes::Everything());
  changed_.Notify();
  co_return Status();
}

/// The log has no record any more where the reader stands. If the topic was trimmed, what was read
/// is old, but not wrong: it stays until more is known.
Task<Status> ControlReader::NoteOutside(Error outside) {
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await log_->Range(std::string(kControlTopic), PartitionId(0)));
  if (now_.read_to >= range.start) Forget(outside.message);
  co_return Status();
}

/// Nothing that was read may be acted upon: another process may have another view of it.
void ControlReader::Forget(const std::string& why) {
  LogError(
      "the control log lost records that were read; this process knows nothing until it has "
      "read the log again",
      {{"read_to", now_.read_to.value}, {"error", why}});
  now_ = Reading(snapshot_interval_);
  NoteChanges(Changes::Everything());
  changed_.Notify();
}

Task<Status> ControlReader::CatchUp() {
  const auto deadline = Executor::Current().Monotonic() + kDeadline;
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await log_->Range(std::string(kControlTopic), PartitionId(0)));
  while (now_.read_to < range.end) {
    const auto left = deadline - Executor::Current().Monotonic();
    if (stopped_ || left <= Executor::Duration(0)) {
      co_return Unavailable("the control log was not read to its end in time",
                            {{"read_to", now_.read_to.value}, {"end", range.end.value}});
    }
    co_await changed_.WaitFor(left);
  }
  co_return Status();
}

}  // namespace millrace::control
