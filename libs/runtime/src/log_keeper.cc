#include "millrace/runtime/log_keeper.h"

#include "millrace/base/log.h"

namespace millrace::runtime {

Task<> LogKeeper::Loop() {
  while (!stopped_) {
    SnapshotIfDue();
    co_await control_.changed().Wait();
  }
}

void LogKeeper::SnapshotIfDue() {
  if (snapshotting_ || stopped_ || !leadership_.leads() || control_.DueSnapshot() == nullptr ||
      Executor::Current().Monotonic() < snapshot_not_before_) {
    return;
  }
  snapshotting_ = true;
  Executor::Current().Spawn(WriteSnapshot(*control_.DueSnapshot()));
}

Task<> LogKeeper::WriteSnapshot(control::FoldImage image) {
  const auto written = co_await leadership_.WriteSnapshot(std::move(image));
  if (!written.ok() || *written != control::Verdict::kValid) {
    snapshot_not_before_ = Executor::Current().Monotonic() + options_.retry_last;
    LogWarn("a snapshot of the control log was not written, it is tried again",
            {{"error", written.ok() ? std::string(control::VerdictName(*written))
                                    : written.error().message}});
  } else {
    const Status trimmed = co_await writer_.Trim();
    if (!trimmed.ok())
      LogWarn("old records of the control log were not deleted, it is tried again",
              {{"error", trimmed.error().message}});
  }
  snapshotting_ = false;
}

}  // namespace millrace::runtime
