#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config_show.h"
#include "doctor.h"
#include "millrace/cli/console.h"
#include "millrace/cli/event_sink.h"
#include "millrace/operations/operations.h"
#include "millrace/process/daemon.h"

namespace millrace {

/// What the verbs run on. `servers`: HOST:PORT of each, any of which may be asked. Tests put fakes
/// here.
struct Wiring {
  std::function<std::unique_ptr<operations::Operations>(const std::vector<std::string>& servers)>
      connect;
  std::function<cli::OpenEventSink(const std::vector<std::string>& servers)> sinks;
  std::function<int(const process::Start&)> dev;
  std::function<Result<std::vector<config::Settings::Shown>>(const config::Sources&)> settings;
  std::function<Result<doctor::Findings>(const config::Sources&)> examine;
};

/// Parses the command line, runs its verb and gives the exit code. `environment_server`: the value
/// of MILLRACE_SERVER, or null.
int RunCommandLine(int argc, const char* const* argv, const char* environment_server,
                   const Wiring& wiring, const cli::Console& console);

}  // namespace millrace
