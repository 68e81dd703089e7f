#pragma once

#include <memory>

namespace millrace::process {

/// SIGINT and SIGTERM. The first one asks for a drain, or ends the process where there is nothing
/// to drain yet; a second one does not wait for the drain.
class StopSignals {
 public:
  /// Before any other thread is started, so that all of them leave the signals alone. `program`:
  /// for messages; it lives as long as the process.
  explicit StopSignals(const char* program);

  /// From now on there is something to drain.
  void Ready();
  /// Blocks until the first signal after Ready, which it gives. 0: Stop came first.
  int Wait();
  /// Ends a Wait without a signal.
  void Stop();

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace millrace::process
