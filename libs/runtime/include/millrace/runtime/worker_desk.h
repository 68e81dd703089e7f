#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "millrace/control/control_reader.h"
#include "millrace/runtime/roster.h"
#include "millrace/runtime/worker_link.h"

namespace millrace::runtime {

/// Where the links of workers end in a coordinator: keeps its Roster, answers reports, and asks the
/// workers.
///
/// Threads: the control executor.
class WorkerDesk {
 public:
  struct Wiring {
    bool alone = false;  ///< as in Roster
    /// The answer to a report of this instance.
    std::function<Answer(uint64_t)> answer;
    /// Called when a plan may have something new to decide.
    std::function<void()> news;
  };

  /// `control` outlives it.
  WorkerDesk(Wiring wiring, control::ControlReader* control)
      : wiring_(std::move(wiring)), control_(*control), roster_(wiring_.alone) {}

  /// What a link says: see WorkerLink. kUnavailable: this coordinator does not know the instance,
  /// so it has to open the link again.
  Status Open(Hello hello, std::shared_ptr<WorkerQuestions> worker);
  Result<Answer> Take(uint64_t instance, Report report);
  void Bye(uint64_t instance);
  /// A link of the instance broke, through which `worker` was asked.
  void Broke(uint64_t instance, const WorkerQuestions* worker);

  /// Counts rounds until Stop(). Spawn it once.
  Task<> Rounds();
  void Stop() { stopped_ = true; }

  const Roster& roster() const { return roster_; }
  /// Has every worker report at once.
  void WakeAll();

  /// The reports of all workers that answer, as of now, by instance. One that takes too long is
  /// taken by its last report.
  Task<std::map<uint64_t, Report>> Reports();
  /// As in WorkerQuestions, of all workers that answer.
  Task<std::vector<operations::ProducerInfo>> FindProducers(std::string name_space,
                                                            std::string stream, Principal principal,
                                                            std::string prefix);
  /// As in WorkerQuestions, of the shard's owner. An answer counts if the shard has no new owner
  /// since. kUnavailable too: nobody who owns the shard answered by `deadline` (monotonic).
  Task<Status> WaitApplied(ShardId shard, Offset offset, Executor::Duration deadline,
                           operations::Operations::Left left);

 private:
  /// Those that answer, by instance.
  std::map<uint64_t, std::shared_ptr<WorkerQuestions>> Answering() const;

  const Wiring wiring_;
  control::ControlReader& control_;
  Roster roster_;
  std::map<uint64_t, std::shared_ptr<WorkerQuestions>> links_;
  bool stopped_ = false;
};

}  // namespace millrace::runtime
