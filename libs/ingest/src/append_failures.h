#pragma once

#include <map>
#include <string>
#include <utility>

#include "millrace/base/executor.h"
#include "millrace/base/result.h"
#include "millrace/model/ids.h"

namespace millrace::ingest {

/// Partitions whose log takes no events at present: since when, and why. One executor. Bound: the
/// partitions there are.
class AppendFailures {
 public:
  /// How long a failure counts that no later append has contradicted. If nobody sends because the
  /// process is not ready, no append would ever show that the log works again.
  static constexpr std::chrono::seconds kCounts{30};

  void Note(const std::string& topic, PartitionId partition, const Status& appended);
  /// For people; empty if nothing fails.
  std::string Text();

 private:
  struct Failure {
    Micros since;
    Executor::Duration last;
    std::string error;
  };
  void Forget();

  std::map<std::pair<std::string, PartitionId>, Failure> failing_;
};

}  // namespace millrace::ingest
