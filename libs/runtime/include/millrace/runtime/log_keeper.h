#pragma once

#include "millrace/control/control_writer.h"
#include "millrace/runtime/leadership.h"
#include "millrace/runtime/ports.h"

namespace millrace::runtime {

/// Writes snapshots of the control log's fold while this process leads, so that nobody has to read
/// the log from its first record; and deletes what lies before the last two.
///
/// Errors: logged; a snapshot that was not written is tried again after Options::retry_last, a
/// deletion after the next snapshot.
/// Threads: the control executor.
class LogKeeper {
 public:
  /// All outlive it.
  LogKeeper(control::ControlReader* control, control::ControlWriter* writer, Leadership* leadership,
            const Options& options)
      : control_(*control), writer_(*writer), leadership_(*leadership), options_(options) {}

  /// Begins a snapshot each time one is due, until Stop(). Spawn it once.
  Task<> Loop();
  void Stop() { stopped_ = true; }

 private:
  void SnapshotIfDue();
  Task<> WriteSnapshot(control::FoldImage image);

  control::ControlReader& control_;
  control::ControlWriter& writer_;
  Leadership& leadership_;
  const Options options_;
  bool snapshotting_ = false;
  Executor::Duration snapshot_not_before_{0};
  bool stopped_ = false;
};

}  // namespace millrace::runtime
