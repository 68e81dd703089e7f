#pragma once

#include <string>
#include <vector>

#include "millrace/model/ids.h"
#include "millrace/runtime/operations.h"

namespace millrace::runtime {

/// What a coordinator asks of the workers. Nothing that decides goes this way: who owns a shard,
/// and which checkpoints count, stands in the control log alone. A link that breaks loses
/// knowledge, never correctness.
///
/// Threads: the control executor. Errors: kUnavailable, a worker does not answer.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;

  /// The shards that workers run or try to run, in no order, without the ends of their partitions.
  virtual Task<Result<std::vector<ShardInfo>>> ListShards() = 0;
  /// Producers of the shards that read the stream; a producer comes once for each shard. At most
  /// Operations::kMostProducers of a shard.
  virtual Task<Result<std::vector<ProducerInfo>>> FindProducers(std::string name_space,
                                                                std::string stream,
                                                                Principal principal,
                                                                std::string prefix) = 0;
  /// Waits until the owner of the shard has read to `offset`, and until the serving store holds all
  /// that this made. kUnavailable: it does not run, or has not come so far by `deadline`
  /// (monotonic), or the caller left.
  virtual Task<Status> WaitApplied(ShardId shard, Offset offset, Executor::Duration deadline,
                                   Operations::Left left) = 0;
};

}  // namespace millrace::runtime
