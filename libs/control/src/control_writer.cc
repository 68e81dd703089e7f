#include "millrace/control/control_writer.h"

#include <algorithm>

#include "millrace/base/crash_point.h"
#include "millrace/base/facts.h"
#include "snapshot_reader.h"

namespace millrace::control {
namespace {

constexpr auto kRetry = std::chrono::milliseconds(100);
constexpr auto kLongestRetry = std::chrono::seconds(1);

}  // namespace

Task<Status> ControlWriter::Trim() {
  const auto at = reader_.TrimPlace();
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

Task<Result<Verdict>> ControlWriter::Write(Record record) {
  const LogEntry entry{{}, Encode(record), {}};
  const auto deadline = Executor::Current().Monotonic() + ControlReader::kDeadline;
  const auto left = [&] { return deadline - Executor::Current().Monotonic(); };
  AwaitedRecord written(&reader_, entry.value);
  Error error = Unavailable("the control log gives no answer");
  for (int tries = 1; left() > Executor::Duration(0); ++tries) {
    const auto offset = co_await log_->Append(std::string(kControlTopic), PartitionId(0), entry);
    if (offset.ok()) {
      while (reader_.fold().next_offset() <= *offset && left() > Executor::Duration(0))
        co_await written.next().WaitFor(left());
      if (written.valid()) co_return Verdict::kValid;
      if (const std::optional<Verdict> verdict = written.At(*offset)) co_return *verdict;
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
