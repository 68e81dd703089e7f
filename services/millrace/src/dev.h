#pragma once

#include <string>

namespace millrace {

struct DevOptions {
  std::string data_dir;
  std::string listen = "127.0.0.1:7171";  ///< gRPC; port 0: the kernel picks
  std::string admin = "127.0.0.1:7172";   ///< HTTP; port 0: the kernel picks
};

/// Runs every role in this process over a data directory until SIGINT or SIGTERM, then cuts and
/// leaves; a second signal stops at once. Prints one line on stdout when ready. Gives the exit
/// status.
int RunDev(const DevOptions& options);

}  // namespace millrace
