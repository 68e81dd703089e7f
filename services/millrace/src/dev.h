#pragma once

#include "millrace/config/settings.h"

namespace millrace {

struct DevOptions {
  config::Sources sources;  ///< besides the environment of the process
  bool adopt = false;       ///< the stores belong to this cluster from now on
  bool check_only = false;  ///< says whether the configuration is right, and runs nothing
};

/// Runs every role in this process until SIGINT or SIGTERM, then cuts and leaves; a second signal
/// stops at once. Prints one line on stdout when ready. Gives the exit status.
int RunDev(const DevOptions& options);

}  // namespace millrace
