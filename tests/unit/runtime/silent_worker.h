#pragma once

#include <string>
#include <vector>

#include "millrace/runtime/worker_link.h"

namespace millrace::runtime {

/// One that is asked in vain: what is known of it is what it reported.
class SilentWorker : public WorkerQuestions {
 public:
  Task<Result<Report>> ReportNow() override { co_return Unavailable("busy"); }
  Task<Result<std::vector<operations::ProducerInfo>>> FindProducers(std::string, std::string,
                                                                    Principal,
                                                                    std::string) override {
    co_return Unavailable("busy");
  }
  Task<Status> WaitApplied(ShardId, Offset, Executor::Duration,
                           operations::Operations::Left) override {
    co_return Unavailable("busy");
  }
  void Wake() override {}
};

}  // namespace millrace::runtime
