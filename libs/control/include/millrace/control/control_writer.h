#pragma once

#include "millrace/control/control_reader.h"

namespace millrace::control {

/// Appends to the control topic. A verdict is that of the fold of `reader`, which must be followed.
/// One executor, the reader's; the log and the reader outlive it.
class ControlWriter {
 public:
  ControlWriter(EventLog* log, ControlReader* reader) : log_(log), reader_(*reader) {}

  /// Appends a record and gives the fold's verdict on it. On doubt the same bytes are appended
  /// again; if any of them took effect the verdict is kValid. kUnavailable: whether it took effect
  /// was not known within ControlReader::kDeadline, and it may do so later.
  Task<Result<Verdict>> Write(Record record);

  /// Deletes what lies before the last whole snapshot but one, once it was seen that a reader can
  /// begin there. Does nothing while there are not two. For the leader; one at a time.
  Task<Status> Trim();

 private:
  EventLog* const log_;
  ControlReader& reader_;
};

}  // namespace millrace::control
