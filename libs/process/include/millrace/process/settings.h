#pragma once

#include <string>
#include <vector>

#include "millrace/adapters/adapters.h"
#include "millrace/config/settings.h"

namespace millrace::process {

/// What a process of Millrace runs with. All of them take the same settings, so that one file can
/// serve a cluster; each uses what it needs.
struct Settings {
  std::string name;  ///< for people
  std::string data_dir;
  std::string grpc = "127.0.0.1:7171";    ///< port 0: the kernel picks
  std::string admin = "127.0.0.1:7172";   ///< HTTP; port 0: the kernel picks
  bool insecure = false;                  ///< others than this machine may reach it, unencrypted
  std::vector<std::string> coordinators;  ///< HOST:PORT, for a worker
  int executors = 0;                      ///< that run shards; 0: one for each core
  int memory_mb = 0;                      ///< for state; 0: three quarters of what there is
  bool standby = false;
  adapters::Options stores;

  int shard_executors() const;
  int64_t memory_bytes() const;
};

/// What a program needs of the settings.
struct Needs {
  bool data_dir = false;
  bool coordinators = false;
  bool cluster = false;  ///< log and stores that other processes reach
};

/// The settings as these sources and this process's environment give them, checked.
/// kInvalidArgument: the message says what to write instead.
Result<Settings> LoadSettings(config::Sources sources, const Needs& needs);

/// The same for people. What a program would need and is not given is no error here.
Result<std::vector<config::Settings::Shown>> ShowSettings(config::Sources sources);

}  // namespace millrace::process
