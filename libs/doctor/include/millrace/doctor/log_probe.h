#pragma once

#include "millrace/doctor/probe.h"
#include "millrace/log/log.h"

namespace millrace::doctor {

/// Makes a topic of its own in a log, tries there what the port promises, and removes it.
class LogProbe : public Probe {
 public:
  /// The log outlives it. `mark` belongs to this run alone: letters and digits.
  LogProbe(EventLog* log, const std::string& mark)
      : log_(*log), topic_("__millrace_doctor_" + mark) {}

  Task<Findings> Run() override;

 private:
  Task<Findings> RunOnTopic();
  Task<Status> Append();
  Task<Status> Read();
  Finding Clocks() const;
  Task<Status> FindByTime();
  Task<Status> DeleteRecords();
  Task<Status> RemoveTopic();

  EventLog& log_;
  const std::string topic_;
  Offset first_;
  Micros appended_ = 0;  ///< when the first record was appended, as the log says
};

}  // namespace millrace::doctor
