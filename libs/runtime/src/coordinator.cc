#include "millrace/runtime/coordinator.h"

namespace millrace::runtime {
namespace {

constexpr auto kRetry = std::chrono::milliseconds(200);

}  // namespace

Coordinator::Coordinator(Wiring wiring, control::ControlLog* control, WorkerLink* workers)
    : wiring_(std::move(wiring)),
      control_(*control),
      workers_(*workers),
      leadership_(control, wiring_.self, wiring_.options.beat_interval),
      definitions_({wiring_.ports, wiring_.options, wiring_.on_stream, wiring_.on_stream_dropped,
                    wiring_.stop_lost},
                   control, &leadership_),
      balancer_(control, &leadership_, wiring_.self, wiring_.executors),
      keeper_(control, &leadership_, wiring_.options),
      housekeeping_(
          wiring_.ports, wiring_.options, [this] { return leadership_.leads(); }, &control->fold()),
      results_(wiring_.ports, control, workers) {}

Task<Status> Coordinator::Start() {
  MILLRACE_CO_TRY(co_await leadership_.WaitForTurn());
  MILLRACE_CO_TRY(co_await leadership_.Claim());
  MILLRACE_CO_TRY(co_await balancer_.AssignOrphans());
  MILLRACE_CO_TRY(co_await FollowOnce());
  Executor::Current().Spawn(Follow());
  Executor::Current().Spawn(leadership_.Beat());
  Executor::Current().Spawn(housekeeping_.Loop());
  Executor::Current().Spawn(MetricsLoop());
  co_return Status();
}

void Coordinator::Stop() {
  stopped_ = true;
  keeper_.Stop();
  housekeeping_.Stop();
}

Task<> Coordinator::Follow() {
  while (!stopped_) {
    const Offset seen = control_.fold().next_offset();
    const int64_t changes = control_.ownership_changes();
    Status status;
    if (changes != followed_ || definitions_.waits()) status = co_await FollowOnce();
    if (status.ok()) followed_ = changes;
    keeper_.SnapshotIfDue();
    if (status.ok()) definitions_.troubles().Worked("reconcile");
    if (!status.ok()) {
      definitions_.troubles().Failed("reconcile", "see to the log and its disk", status.error());
      co_await Delay(kRetry);
    } else if (control_.fold().next_offset() == seen) {
      if (!definitions_.waits()) {
        co_await control_.changed().Wait();
      } else {
        co_await control_.changed().WaitFor(definitions_.UntilNextTry());
      }
    }
  }
}

/// Does what the fold asks of a coordinator now.
Task<Status> Coordinator::FollowOnce() {
  MILLRACE_CO_TRY(co_await definitions_.Follow());
  co_await definitions_.RemoveDroppedTopics();
  auto assigned = co_await balancer_.AssignOrphans();
  co_return assigned;
}

}  // namespace millrace::runtime
