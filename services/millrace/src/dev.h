#pragma once

#include "millrace/process/daemon.h"

namespace millrace {

/// Runs every role in this process until SIGINT or SIGTERM, then cuts and leaves; a second signal
/// stops at once. Prints one line on stdout when ready. Gives the exit status.
int RunDev(const process::Start& start);

}  // namespace millrace
