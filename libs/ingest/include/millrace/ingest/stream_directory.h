#pragma once

#include <map>
#include <vector>

#include "millrace/control/control_reader.h"
#include "millrace/ingest/gateway.h"

namespace millrace::ingest {

/// The streams in the fold of the control log, for the gateway of a process: it gets each one that
/// is defined, and loses each one that is dropped. It reads the control log only.
///
/// Threads: the reader's executor, but for CatchUp.
class StreamDirectory : public StreamSource {
 public:
  /// `reader` is followed on `control`, and `gateway` runs on `executor`. All outlive it.
  StreamDirectory(Executor* control, control::ControlReader* reader, Executor* executor,
                  Gateway* gateway)
      : control_(*control),
        reader_(*reader),
        executor_(*executor),
        gateway_(*gateway),
        changes_(reader) {}

  /// Tells the gateway what the fold has, for as long as the executor runs. Spawn it once.
  Task<> Follow();

  /// Ends when the gateway appends to no stream that the fold of now does not have.
  Task<> Settle();

  /// From any executor. Those who ask at the same time share one reading of the log's end.
  Task<Status> CatchUp() override;

 private:
  void Tell();
  Task<Status> CatchUpHere();
  Task<> ReadOn();

  Executor& control_;
  control::ControlReader& reader_;
  Executor& executor_;
  Gateway& gateway_;
  control::ChangeFeed changes_;
  std::map<Incarnation, StreamSpec> told_;
  std::vector<Completion<Status>> waiting_;  ///< for the next reading of the log's end
  bool reading_ = false;
};

}  // namespace millrace::ingest
