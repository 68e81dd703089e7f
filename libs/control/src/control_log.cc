#include "millrace/control/control_log.h"

#include "millrace/base/crash_point.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/base/time.h"
#include "snapshot_reader.h"

namespace millrace::control {
namespace {

constexpr size_t kReadBytes = 1 << 20;
constexpr auto kRetry = std::chrono::milliseconds(100);
constexpr auto kLongestRetry = std::chrono::seconds(1);

}  // namespace

Task<Status> ControlLog::Start() {
  auto read = co_await ReadToEnd();
  if (!read.ok() && read.error().code == Code::kConflict)
    co_return Unavailable("the control log was trimmed while it was read: " + read.error().message);
  co_return read;
}

Task<Status> ControlLog::ReadToEnd() {
  TopicSpec topic{std::string(kControlTopic), 1};
  MILLRACE_CO_TRY(co_await log_->CreateTopic(std::move(topic)));
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await log_->Range(std::string(kControlTopic), PartitionId(0)));
  MILLRACE_CO_TRY(co_await BeginAt(range));
  for (Offset at = read_to_; at < range.end;) {
    MILLRACE_CO_ASSIGN(const Offset next, co_await ReadOnce(std::chrono::microseconds(0)));
    if (next == at) {
      co_return Unavailable("the control log ends before its own end", {{"offset", at.value}});
    }
    at = next;
  }
  co_return Status();
}

/// Where the fold stands, or with a snapshot if the log begins behind that.
Task<Status> ControlLog::BeginAt(OffsetRange range) {
  if (fold_.next_offset() < range.start) {
    MILLRACE_CO_ASSIGN(fold_, co_await FoldFromSnapshot(log_, range));
    snapshots_ = SnapshotCounter();
    LogInfo("the control log is folded from a snapshot",
            {{"start", range.start.value}, {"next_offset", fold_.next_offset().value}});
  }
  reader_ = log_->OpenReader(std::string(kControlTopic), PartitionId(0), fold_.next_offset());
  read_to_ = fold_.next_offset();
  co_return Status();
}

/// `outside`: what the reader got for a place outside of the log.
Task<Status> ControlLog::BeginAgain(Error outside) {
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await log_->Range(std::string(kControlTopic), PartitionId(0)));
  // Past its end: the topic lost records, which no snapshot brings back.
  if (fold_.next_offset() >= range.start) co_return outside;
  MILLRACE_CO_TRY(co_await BeginAt(range));
  ++ownership_changes_;
  changed_.Notify();
  co_return Status();
}

/// Gives where the reader stands then.
Task<Result<Offset>> ControlLog::ReadOnce(std::chrono::microseconds wait) {
  MILLRACE_CO_ASSIGN(const LogBatch batch, co_await reader_->Next(kReadBytes, wait));
  for (const LogRecord& record : batch.records) {
    Verdict verdict = Verdict::kUnreadable;
    const auto decoded = Decode(record.value);
    if (decoded.ok()) {
      verdict = fold_.Apply(record.offset, record.append_time, *decoded);
      snapshots_.Note(verdict, *decoded);
    } else {
      LogWarn("a control record was skipped",
              {{"offset", record.offset.value}, {"error", decoded.error().message}});
      fold_.ApplyUnreadable(record.offset);
    }
    if (verdict != Verdict::kValid) ++skipped_[verdict];
    if (!decoded.ok() ||
        !(std::holds_alternative<Commit>(*decoded) || std::holds_alternative<Snapshot>(*decoded) ||
          std::holds_alternative<Beat>(*decoded)))
      ++ownership_changes_;
    NoteFolded(record, verdict);
  }
  const bool moved = batch.next > std::exchange(read_to_, batch.next);
  if (moved) changed_.Notify();
  co_return batch.next;
}

void ControlLog::NoteFolded(const LogRecord& record, Verdict verdict) {
  if (awaited_.empty()) return;
  const auto [begin, end] = awaited_.equal_range(Hash(record.value).lo);
  for (auto at = begin; at != end; ++at) {
    Awaited& awaited = *at->second;
    awaited.valid |= verdict == Verdict::kValid;
    awaited.verdicts[record.offset] = verdict;
    awaited.next.Notify();
  }
}

/// Awaits one record for as long as it lives.
class ControlLog::Writer {
 public:
  Writer(ControlLog* log, const std::string& bytes)
      : log_(log), at_(log->awaited_.emplace(Hash(bytes).lo, &awaited)) {}
  Writer(const Writer&) = delete;
  ~Writer() { log_->awaited_.erase(at_); }

  Awaited awaited;

 private:
  ControlLog* const log_;
  const std::multimap<uint64_t, Awaited*>::iterator at_;
};

Task<> ControlLog::Follow() {
  static LogRateLimit limit(60);
  std::string since;
  while (!stopped_) {
    const auto once = co_await ReadOnce(std::chrono::milliseconds(500));
    Status read = once.ok() ? Status() : Status(once.error());
    if (!read.ok() && read.error().code == Code::kConflict)
      read = co_await BeginAgain(read.error());
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

Task<Status> ControlLog::CatchUp() {
  const auto deadline = Executor::Current().Monotonic() + kWriteDeadline;
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await log_->Range(std::string(kControlTopic), PartitionId(0)));
  while (read_to_ < range.end) {
    const auto left = deadline - Executor::Current().Monotonic();
    if (stopped_ || left <= Executor::Duration(0)) {
      co_return Unavailable("the control log was not read to its end in time",
                            {{"read_to", read_to_.value}, {"end", range.end.value}});
    }
    co_await changed_.WaitFor(left);
  }
  co_return Status();
}

Task<Status> ControlLog::Trim() {
  const auto at = snapshots_.last_but_one();
  if (!at) co_return Status();
  MILLRACE_CO_ASSIGN(const OffsetRange range,
                     co_await log_->Range(std::string(kControlTopic), PartitionId(0)));
  const OffsetRange rest{Offset(at->value + 1), range.end};
  if (rest.start <= range.start) co_return Status();
  const auto begun = co_await FoldFromSnapshot(log_, rest);
  if (!begun.ok()) co_return begun.error();
  CrashPoint("control.trim.before_delete");
  auto deleted =
      co_await log_->DeleteBefore(std::string(kControlTopic), PartitionId(0), rest.start);
  CrashPoint("control.trim.deleted");
  co_return deleted;
}

Task<Result<Verdict>> ControlLog::Write(Record record) {
  const LogEntry entry{{}, Encode(record), {}};
  const auto deadline = Executor::Current().Monotonic() + kWriteDeadline;
  const auto left = [&] { return deadline - Executor::Current().Monotonic(); };
  Writer writer(this, entry.value);
  Error error = Unavailable("the control log gives no answer");
  for (int tries = 1; left() > Executor::Duration(0); ++tries) {
    const auto offset = co_await log_->Append(std::string(kControlTopic), PartitionId(0), entry);
    if (offset.ok()) {
      while (fold_.next_offset() <= *offset && left() > Executor::Duration(0))
        co_await writer.awaited.next.WaitFor(left());
      if (writer.awaited.valid) co_return Verdict::kValid;
      const auto at = writer.awaited.verdicts.find(*offset);
      if (at != writer.awaited.verdicts.end()) co_return at->second;
      co_return Unavailable("a record was appended to the control log and not read back in time",
                            {{"offset", offset->value}});
    }
    error = offset.error();
    if (error.code == Code::kInvalidArgument) co_return error;
    co_await Delay(std::min<Executor::Duration>(kRetry * tries, kLongestRetry));
  }
  co_return Unavailable(error.message);
}

}  // namespace millrace::control
