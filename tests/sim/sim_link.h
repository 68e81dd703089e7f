#pragma once

#include <functional>
#include <memory>

#include "millrace/runtime/coordinator.h"
#include "millrace/runtime/worker_link.h"
#include "sim/network.h"

namespace millrace::sim {

/// Where a coordinator is now.
struct CoordinatorAt {
  SimExecutor* executor = nullptr;  ///< nullptr: nowhere
  runtime::Coordinator* coordinator = nullptr;
};

/// The link from a worker to the coordinator of some name in another process, over a network that
/// may lose what either says.
class SimLink : public runtime::WorkerLink {
 public:
  /// `find`: who has the name now. It outlives the link's worker.
  SimLink(SimExecutor* worker, Network* network, const Faults* faults,
          std::function<CoordinatorAt()> find)
      : worker_(worker), way_(std::make_shared<Link>(network, faults)), find_(std::move(find)) {}

  Link& way() { return *way_; }

  Task<Status> Open(runtime::Hello hello,
                    std::shared_ptr<runtime::WorkerQuestions> worker) override;
  Task<Result<runtime::Answer>> Send(runtime::Report report) override;
  Task<> Bye() override;
  /// The worker died: its operating system resets the stream.
  void Reset();

 private:
  class Questions;

  SimExecutor* const worker_;
  const std::shared_ptr<Link> way_;  ///< with whoever asks the worker
  const std::function<CoordinatorAt()> find_;
  CoordinatorAt at_;
  uint64_t instance_ = 0;
  std::shared_ptr<Questions> questions_;
};

}  // namespace millrace::sim
