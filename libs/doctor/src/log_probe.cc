#include "millrace/doctor/log_probe.h"

#include <cstdlib>
#include <iterator>

#include "millrace/base/executor.h"
#include "millrace/base/facts.h"
#include "step.h"

namespace millrace::doctor {
namespace {

constexpr const char* kPart = "log";
constexpr int kRecords = 3;
const PartitionId kOnly(0);
constexpr size_t kReadBytes = 1 << 20;
/// For records that were appended just now.
constexpr auto kReadWithin = std::chrono::seconds(10);
constexpr auto kReadWait = std::chrono::milliseconds(500);
/// Clocks that are further apart make events of the future count as of the present.
constexpr Micros kClocksApart = 60'000'000;

std::string Value(int i) { return "record " + std::to_string(i); }
std::vector<LogHeader> Headers() { return {{"header", "value"}}; }

}  // namespace

Task<Findings> LogProbe::Run() {
  Findings findings;
  const auto identity = co_await log_.Identity();
  if (!identity.ok()) {
    findings.push_back(Failed(kPart, "reach", identity.error()));
    co_return findings;
  }
  findings.push_back({kPart, "reach", Grade::kOk, "it answers; log=" + *identity});
  TopicSpec spec{topic_, 1};
  auto creating = Step(kPart, "create topic", log_.CreateTopic(spec), &findings);
  const bool created = co_await std::move(creating);
  if (!created) {
    findings.back().advice =
        "allow the user to create topics; the log needs as many brokers as the setting "
        "log.kafka.replication says";
    co_return findings;
  }
  auto steps = RunOnTopic();
  Findings tried = co_await std::move(steps);
  std::move(tried.begin(), tried.end(), std::back_inserter(findings));
  auto removing = Step(kPart, "remove topic", RemoveTopic(), &findings);
  const bool removed = co_await std::move(removing);
  if (!removed)
    findings.back().advice = "allow the user to delete topics, and delete this one: " + topic_;
  co_return findings;
}

/// Each step needs the one before it.
Task<Findings> LogProbe::RunOnTopic() {
  Findings findings;
  auto appending = Step(kPart, "append", Append(), &findings);
  const bool appended = co_await std::move(appending);
  if (!appended) co_return findings;
  auto reading = Step(kPart, "read", Read(), &findings);
  const bool read = co_await std::move(reading);
  if (!read) co_return findings;
  findings.push_back(Clocks());
  auto finding = Step(kPart, "find by time", FindByTime(), &findings);
  co_await std::move(finding);
  auto deleting = Step(kPart, "delete records", DeleteRecords(), &findings);
  co_await std::move(deleting);
  co_return findings;
}

Task<Status> LogProbe::Append() {
  Offset last;
  for (int i = 0; i < kRecords; ++i) {
    LogEntry entry{"key", Value(i), Headers()};
    MILLRACE_CO_ASSIGN(const Offset at, co_await log_.Append(topic_, kOnly, std::move(entry)));
    if (i > 0 && at <= last)
      co_return Corruption("the log gave a later record a lower offset",
                           {{"before", last.value}, {"then", at.value}});
    if (i == 0) first_ = at;
    last = at;
  }
  co_return Status();
}

Task<Status> LogProbe::Read() {
  const auto reader = log_.OpenReader(topic_, kOnly, first_);
  const auto until = Executor::Current().Monotonic() + kReadWithin;
  for (int read = 0; read < kRecords;) {
    MILLRACE_CO_ASSIGN(const LogBatch batch, co_await reader->Next(kReadBytes, kReadWait));
    for (const LogRecord& record : batch.records) {
      if (record.key != "key" || record.value != Value(read) || record.headers != Headers())
        co_return Corruption("a record is read as another one than was appended",
                             {{"topic", topic_}, {"offset", record.offset.value}});
      if (read++ == 0) appended_ = record.append_time;
    }
    if (read < kRecords && Executor::Current().Monotonic() > until)
      co_return Unavailable("records that were acknowledged are not there to read",
                            {{"topic", topic_}, {"read", read}, {"appended", kRecords}});
  }
  co_return Status();
}

Finding LogProbe::Clocks() const {
  const Micros apart = std::abs(appended_ - Executor::Current().Wall());
  const bool near = apart < kClocksApart;
  return {kPart, "clock", near ? Grade::kOk : Grade::kWarn,
          "its clock and this machine's differ by " + std::to_string(apart / 1'000) + " ms at most",
          near ? "" : "set the clocks of the log's machines and of this one"};
}

Task<Status> LogProbe::FindByTime() {
  MILLRACE_CO_ASSIGN(const Offset at, co_await log_.OffsetForTime(topic_, kOnly, appended_));
  if (at != first_)
    co_return Corruption("the log finds another record at a time than was appended then",
                         {{"wanted", first_.value}, {"found", at.value}});
  co_return Status();
}

Task<Status> LogProbe::DeleteRecords() {
  const Offset before(first_.value + 1);
  MILLRACE_CO_TRY(co_await log_.DeleteBefore(topic_, kOnly, before));
  MILLRACE_CO_ASSIGN(const OffsetRange range, co_await log_.Range(topic_, kOnly));
  if (range.start != before)
    co_return Corruption("the log did not delete records",
                         {{"start", range.start.value}, {"wanted", before.value}});
  co_return Status();
}

Task<Status> LogProbe::RemoveTopic() {
  MILLRACE_CO_ASSIGN(TopicSpec topic, co_await log_.DescribeTopic(topic_));
  co_return co_await log_.RemoveTopic(std::move(topic));
}

}  // namespace millrace::doctor
