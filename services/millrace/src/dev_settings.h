#pragma once

#include <string>
#include <vector>

#include "millrace/adapters/adapters.h"
#include "millrace/config/settings.h"

namespace millrace {

/// What `millrace dev` runs with.
struct DevSettings {
  std::string data_dir;
  std::string listen = "127.0.0.1:7171";  ///< gRPC; port 0: the kernel picks
  std::string admin = "127.0.0.1:7172";   ///< HTTP; port 0: the kernel picks
  adapters::Options stores;
};

/// The settings as these sources and this process's environment give them, checked.
/// kInvalidArgument: the message says what to write instead.
Result<DevSettings> LoadDevSettings(config::Sources sources);

/// The same for people. Where no data directory is given that is no error here.
Result<std::vector<config::Settings::Shown>> ShowDevSettings(config::Sources sources);

}  // namespace millrace
