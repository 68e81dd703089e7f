#pragma once

#include "millrace/runtime/worker.h"
#include "millrace/runtime/worker_link.h"

namespace millrace::runtime {

/// The link between a coordinator and the worker of its own process.
class LocalLink : public WorkerLink {
 public:
  /// `worker` outlives it and is on the same control executor.
  explicit LocalLink(Worker* worker) : worker_(*worker) {}

  Task<Result<std::vector<ShardInfo>>> ListShards() override { return worker_.ListShards(); }
  Task<Result<std::vector<ProducerInfo>>> FindProducers(std::string name_space, std::string stream,
                                                        Principal principal,
                                                        std::string prefix) override {
    return worker_.FindProducers(std::move(name_space), std::move(stream), std::move(principal),
                                 std::move(prefix));
  }
  Task<Status> WaitApplied(ShardId shard, Offset offset, Executor::Duration deadline,
                           Operations::Left left) override {
    return worker_.WaitApplied(std::move(shard), offset, deadline, std::move(left));
  }

 private:
  Worker& worker_;
};

}  // namespace millrace::runtime
