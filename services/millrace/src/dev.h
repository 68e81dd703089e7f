#pragma once

#include <string>

namespace millrace {

struct DevOptions {
  std::string data_dir;
  std::string listen = "127.0.0.1:7171";  ///< gRPC; port 0: any free one
  std::string admin = "127.0.0.1:7172";   ///< HTTP; port 0: any free one
};

/// `millrace dev`: every role in this process, until a signal. Gives the exit code.
int RunDev(const DevOptions& options);

}  // namespace millrace
