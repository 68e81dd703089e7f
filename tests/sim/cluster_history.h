#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "sim/network.h"
#include "sim/step_faults.h"

namespace millrace::sim {

/// What came of one history of a cluster of several processes.
struct ClusterHistory {
  std::string differences;  ///< what must not be; empty: nothing
  uint64_t trace = 0;
  Executor::Duration time{0};             ///< that passed in it
  int64_t events = 0;                     ///< acknowledged
  int64_t commits = 0;                    ///< that count
  int64_t moves = 0;                      ///< shards that got another owner
  int64_t leaders = 0;                    ///< claims that count
  int64_t inexact = 0;                    ///< views that hold what the log lost
  int64_t fallbacks = 0;                  ///< restores from a checkpoint before the newest
  std::map<std::string, int64_t> faults;  ///< of processes and stores, by kind
  FaultCounts injected = {};              ///< of calls
  std::map<std::string, StepFaults::Happened> steps;  ///< by crash point
};

/// Coordinators, workers, gateways and producers over shared stores, under faults of every kind;
/// then the faults end, everything closes, and what is there is compared with what was
/// acknowledged and with a fold of the whole log.
ClusterHistory RunCluster(uint64_t seed);

}  // namespace millrace::sim
