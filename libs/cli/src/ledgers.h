#pragma once

#include <vector>

#include "millrace/cli/console.h"
#include "millrace/cli/names.h"
#include "millrace/operations/operations.h"

namespace millrace::cli {

/// The pipelines that read a stream, least watermark of what was read first.
Result<std::vector<operations::PipelineInfo>> ReachedBy(operations::Operations& cluster,
                                                        const QualifiedName& stream);

/// What the pipelines of a stream had counted at one moment. A gateway acknowledges events that
/// pipelines then find late or unusable; the difference tells how many, though not whose they were.
class Ledgers {
 public:
  /// `before`: those that read the stream, as they are at that moment. The cluster outlives it.
  Ledgers(operations::Operations* cluster, QualifiedName stream,
          std::vector<operations::PipelineInfo> before)
      : cluster_(cluster), stream_(std::move(stream)), before_(std::move(before)) {}

  /// A line for each pipeline in which events were late or quarantined since. Waits until what the
  /// stream holds now is read, but not for long.
  void TellWhatDidNotCount(const Console& console) const;

 private:
  bool WaitUntilRead() const;
  bool HasRead(const operations::ShardInfo& shard,
               const std::vector<operations::PartitionInfo>& partitions) const;

  operations::Operations* cluster_;
  QualifiedName stream_;
  std::vector<operations::PipelineInfo> before_;
};

}  // namespace millrace::cli
