#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "millrace/config/settings.h"
#include "millrace/metrics_prometheus/prometheus_metrics.h"
#include "millrace/process/data_dir.h"
#include "millrace/process/front.h"
#include "millrace/process/settings.h"
#include "millrace/process/stop_signals.h"

namespace millrace::process {

/// A process of Millrace that is being started: its settings are right, its directory is its own,
/// its ports are open, and it is not ready.
class Daemon {
 public:
  Daemon(const Settings& with, DataDir* directory, metrics_prometheus::PrometheusMetrics* counters,
         Front* pages, StopSignals* stops, bool adopts)
      : settings(with),
        data_dir(directory),
        metrics(*counters),
        front(*pages),
        signals(*stops),
        adopt(adopts) {}

  const Settings& settings;
  DataDir* const data_dir;  ///< null: the program has none
  metrics_prometheus::PrometheusMetrics& metrics;
  Front& front;
  StopSignals& signals;
  const bool adopt;

  /// Tries until it is done, or fails with something that does not pass. Servers may start in any
  /// order, so the log says once a minute what this waits for. `what`: for people.
  Status WaitFor(const std::string& what, const std::function<Status()>& attempt);
  /// Says on standard output and to the service manager that the process is ready, and blocks until
  /// it is to stop. An error: somebody called Fail.
  Status ServeUntilStopped();
  /// Ends the process for an error that does not pass. On any thread.
  void Fail(Error error);

 private:
  std::mutex mutex_;
  std::optional<Error> failed_;
};

/// What a program is, for its command line.
struct Program {
  const char* name;
  const char* description;
  Needs needs;
  bool calls = false;      ///< it answers gRPC
  bool may_adopt = false;  ///< it has --adopt
};

/// What to start with, as a command line says it.
struct Start {
  config::Sources sources;
  bool adopt = false;
  bool check_only = false;
};

/// Starts a process and gives its exit code. `run` gives kOk when it was stopped in order.
int Run(const Program& program, const Start& start, const std::function<Status(Daemon&)>& run);

/// The same with the options of a daemon's command line: --config, --set, --check-config.
int RunDaemon(int argc, char** argv, const Program& program,
              const std::function<Status(Daemon&)>& run);

}  // namespace millrace::process
