#include "millrace/runtime/all_roles.h"

#include "millrace/runtime/store_marks.h"

namespace millrace::runtime {
namespace {

std::vector<WorkerLink*> With(WorkerLink* own, std::vector<WorkerLink*> others) {
  others.insert(others.begin(), own);
  return others;
}

}  // namespace

AllRoles::AllRoles(Wiring wiring)
    : self_{wiring.name, wiring.control->Random()},
      ports_(wiring.ports),
      control_(wiring.ports.log, wiring.options.snapshot_records),
      writer_(wiring.ports.log, &control_),
      coordinator_({self_, wiring.ports, wiring.options, wiring.stop_appending,
                    [this] { return worker_.StopLost(); }, wiring.own_stores, wiring.predecessor},
                   &control_, &writer_),
      link_(&coordinator_.desk()),
      worker_({self_, wiring.ports, wiring.options, wiring.control, wiring.shards,
               With(&link_, wiring.coordinators), wiring.predecessor},
              &control_, &writer_) {}

Task<Status> AllRoles::Start() {
  if (!following_) {
    // A server that answers and refuses this process is told, whichever others are still away.
    MILLRACE_CO_TRY(co_await ProbeStores(ports_));
    MILLRACE_CO_TRY(co_await control_.Start());
    following_ = true;
    Executor::Current().Spawn(control_.Follow());
    worker_.Start();
  }
  auto started = co_await coordinator_.Start();
  co_return started;
}

Task<> AllRoles::Drain() {
  coordinator_.Stop();
  // Before the worker: the next leader gives its shards away.
  co_await coordinator_.Leave();
  co_await worker_.Drain();
  control_.Stop();
}

}  // namespace millrace::runtime
