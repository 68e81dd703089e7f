#include "append_failures.h"

#include "millrace/base/facts.h"
#include "millrace/base/time.h"

namespace millrace::ingest {

void AppendFailures::Note(const std::string& topic, PartitionId partition, const Status& appended) {
  // Too large is the event's fault.
  if (!appended.ok() && appended.error().code == Code::kInvalidArgument) return;
  if (appended.ok()) {
    if (!failing_.empty()) failing_.erase({topic, partition});
    return;
  }
  Forget();
  const Executor& executor = Executor::Current();
  const auto [at, first] = failing_.try_emplace({topic, partition});
  if (first) at->second.since = executor.Wall();
  at->second.last = executor.Monotonic();
  at->second.error = appended.error().message;
}

void AppendFailures::Forget() {
  const auto now = Executor::Current().Monotonic();
  std::erase_if(failing_, [&](const auto& f) { return now - f.second.last >= kCounts; });
}

std::string AppendFailures::Text() {
  Forget();
  if (failing_.empty()) return {};
  const auto& [place, failure] = *failing_.begin();
  return WithFacts(Code::kUnavailable,
                   "the log takes no events, and producers send them again; see to the log and its "
                   "disk",
                   {{"since", FormatTimestamp(failure.since)},
                    {"partitions", failing_.size()},
                    {"topic", place.first},
                    {"partition", place.second.value},
                    {"error", failure.error}})
      .message;
}

}  // namespace millrace::ingest
