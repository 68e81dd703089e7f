#pragma once

#include <cstdint>
#include <string>

#include "sim/network.h"

namespace millrace::sim {

/// What came of one history of a cluster.
struct History {
  std::string differences;  ///< from a fold of the whole log; empty: none
  uint64_t trace = 0;
  int kills = 0;
  int trims = 0;  ///< starts that begin with a snapshot of the control log
  int64_t events = 0;
  int64_t cleaned = 0;  ///< state objects that housekeeping deleted
  int64_t deleted = 0;  ///< records of the stream that retention deleted
};

inline constexpr Faults kTroubled = {std::chrono::milliseconds(20), 0.03, 0.03, 0.01, 0.01, 0.5};

/// Two pipelines over a stream with resends, disorder and (json) broken records, while the node is
/// killed now and then and every dependency fails; in the end all heals and everything closes. Even
/// seeds use blocks, odd ones json records.
History Run(uint64_t seed, double kills_per_second, Faults faults = kTroubled);

/// One producer through the gateway: every acknowledged event must be counted exactly once.
History RunThroughGateway(uint64_t seed, double kills_per_request);

}  // namespace millrace::sim
