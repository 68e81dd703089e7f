#pragma once

#include <string>

#include "millrace/cli/console.h"

namespace millrace {

struct HealthcheckOptions {
  std::string admin = "127.0.0.1:7172";
  bool live = false;  ///< only whether the process answers
};

/// Whether a process of Millrace is well, by its exit code: kExitOk, kExitRuntime with the checks
/// that fail on standard error, or kExitUnavailable if nobody answers. Waits a few seconds at most.
int RunHealthcheck(const HealthcheckOptions& options, const cli::Console& console);

}  // namespace millrace
