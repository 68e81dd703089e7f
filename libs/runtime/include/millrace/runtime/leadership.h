#pragma once

#include <string>

#include "millrace/control/control_log.h"

namespace millrace::runtime {

/// Whether this process leads, and under which number. Every record of a leader carries the number
/// of its own claim, never the one that the fold shows: a leader that was overtaken reads the other
/// claim before it knows, and its records would count as the other one's.
///
/// Threads: the control executor.
class Leadership {
 public:
  /// `log` outlives it. `name` is for people.
  Leadership(control::ControlLog* log, std::string name) : log_(log), name_(std::move(name)) {}

  /// Takes the number above the fold's. kConflict: another claim came first.
  Task<Status> Claim();
  /// As far as this process has read.
  bool leads() const { return number_ > 0 && log_->fold().leader_number() == number_; }
  /// The number of the last claim that took effect, or 0 before there is one.
  int64_t number() const { return number_; }
  /// Appends a record of the leader. kConflict: it did not take effect; `what` says what it was to
  /// do.
  Task<Status> Write(control::Record record, std::string what);

 private:
  control::ControlLog* log_;
  const std::string name_;
  int64_t number_ = 0;
};

}  // namespace millrace::runtime
