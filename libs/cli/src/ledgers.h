#pragma once

#include <vector>

#include "millrace/cli/cluster.h"
#include "millrace/cli/console.h"

namespace millrace::cli {

/// What the pipelines of a stream had counted at one moment. A gateway acknowledges events that
/// pipelines then find late or unusable; the difference tells how many, though not whose they were.
class Ledgers {
 public:
  /// `before`: those that read the stream, as they are at that moment. The cluster outlives it.
  Ledgers(Cluster* cluster, QualifiedName stream, std::vector<PipelineDescription> before)
      : cluster_(cluster), stream_(std::move(stream)), before_(std::move(before)) {}

  /// A line for each pipeline in which events were late or quarantined since. Waits until what the
  /// stream holds now is read, but not for long.
  void TellWhatDidNotCount(const Console& console) const;

 private:
  bool WaitUntilRead() const;
  bool HasRead(const ShardDescription& shard, const std::vector<int64_t>& ends) const;

  Cluster* cluster_;
  QualifiedName stream_;
  std::vector<PipelineDescription> before_;
};

}  // namespace millrace::cli
