#pragma once

#include <memory>
#include <string>

#include "millrace/control/control_reader.h"
#include "millrace/runtime/ports.h"
#include "millrace/runtime/worker_desk.h"

namespace millrace::runtime {

/// Reads results, and waits for them. Any coordinator can, whether it leads or not.
///
/// Errors: those of operations::Operations. Threads: the control executor.
class ResultReader {
 public:
  /// `control` and `workers` outlive it.
  ResultReader(Ports ports, const control::ControlReader* control, WorkerDesk* workers)
      : ports_(ports), control_(*control), workers_(*workers) {}

  /// As in operations::Operations.
  Task<Status> WaitApplied(std::string name_space, std::string name,
                           operations::Operations::Left left);
  Task<Result<std::shared_ptr<RowCursor>>> OpenQuery(ServingQuery query);

 private:
  const Ports ports_;
  const control::ControlReader& control_;
  WorkerDesk& workers_;
};

}  // namespace millrace::runtime
