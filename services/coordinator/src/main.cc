// millrace-coordinator: leads, or stands by to lead, and answers operators and dashboards.

#include "millrace/adapters/adapters.h"
#include "millrace/base/log.h"
#include "millrace/driver/thread_driver.h"
#include "millrace/process/closing.h"
#include "millrace/process/daemon.h"
#include "millrace/process/failures.h"
#include "millrace/runtime/coordinator.h"
#include "millrace/runtime/store_marks.h"

namespace millrace {
namespace {

constexpr std::chrono::seconds kBeat(2);
constexpr std::chrono::milliseconds kTryAgain(200);

/// Waits for its turn to lead, which may never come.
Task<> Lead(runtime::Coordinator* coordinator, process::Daemon* daemon) {
  LogRateLimit once_a_minute(60);
  for (;;) {
    const Status leads = co_await coordinator->Start();
    if (leads.ok()) co_return;
    const Code code = leads.error().code;
    // Another one claimed first, or a store does not answer.
    if (code != Code::kUnavailable && code != Code::kConflict) {
      daemon->Fail(leads.error());
      co_return;
    }
    once_a_minute.Warn("the process cannot lead yet; it tries again",
                       {{"error", leads.error().message}});
    co_await Delay(kTryAgain);
  }
}

process::Front::Checks ChecksOf(Executor& control, runtime::Coordinator& coordinator) {
  process::Front::Checks checks;
  for (runtime::Condition& c : RunBlocking(control, coordinator.Conditions()))
    checks.push_back({c.name, c.trouble.empty(), std::move(c.trouble)});
  return checks;
}

/// The stores are of this cluster, as far as one can see now. Before the first claim there
/// is no cluster that they could be marked for, and a restore marks them anew.
Task<Status> CheckStores(runtime::Ports ports, control::ControlReader* reader, bool adopt) {
  const std::string cluster = reader->fold().cluster();
  if (cluster.empty() || adopt) co_return Status();
  auto checked = co_await runtime::CheckMarks(ports, cluster);
  co_return checked;
}

Task<bool> Leave(runtime::Coordinator* coordinator, control::ControlReader* reader) {
  coordinator->Stop();
  co_await coordinator->Leave();
  reader->Stop();
  co_return true;
}

Status RunCoordinator(process::Daemon& daemon) {
  const adapters::Options& stores = daemon.settings.stores;
  daemon.front.Recovering("the log and the stores are being opened");
  MILLRACE_ASSIGN(const auto log, adapters::OpenLog(stores, "", &daemon.metrics));
  MILLRACE_ASSIGN(const auto objects, adapters::OpenObjects(stores, "", &daemon.metrics));
  MILLRACE_ASSIGN(const auto serving, adapters::OpenServing(stores, ""));
  ThreadDriver driver({.cores = 1, .blocking_threads = 8, .on_failure = process::EndProcess});
  Executor& control = driver.core(0);

  runtime::Coordinator::Wiring wiring;
  wiring.self = {daemon.settings.name, control.Random()};
  wiring.ports.log = log.get();
  wiring.ports.objects = objects->port();
  wiring.ports.tables = serving.tables;
  wiring.ports.served = serving.reader;
  wiring.ports.metrics = &daemon.metrics;
  const runtime::Ports ports = wiring.ports;
  wiring.options.beat_interval = kBeat;
  wiring.stop_lost = []() -> Task<> { co_return; };
  wiring.own_stores = [ports, adopt = daemon.adopt](std::string cluster) {
    return runtime::OwnStores(ports, std::move(cluster), adopt);
  };
  wiring.predecessor = daemon.data_dir->predecessor();
  control::ControlReader reader(log.get(), wiring.options.snapshot_records);
  control::ControlWriter writer(log.get(), &reader);
  const uint64_t instance = wiring.self.instance;
  runtime::Coordinator coordinator(std::move(wiring), &reader, &writer);
  const process::Closing closing(&daemon.front, &driver);
  MILLRACE_TRY(daemon.data_dir->NameInstance(instance));

  MILLRACE_TRY(daemon.WaitFor("the log and the stores",
                              [&] { return RunBlocking(control, runtime::ProbeStores(ports)); }));
  MILLRACE_TRY(
      daemon.WaitFor("the control log", [&] { return RunBlocking(control, reader.Start()); }));
  control.Spawn(reader.Follow());
  MILLRACE_TRY(daemon.WaitFor("the stores", [&] {
    return RunBlocking(control, CheckStores(ports, &reader, daemon.adopt));
  }));
  control.Spawn(Lead(&coordinator, &daemon));
  daemon.front.Serve(
      {.control_executor = &control, .operations = &coordinator, .desk = &coordinator.desk()},
      [&] { return ChecksOf(control, coordinator); });
  MILLRACE_TRY(daemon.ServeUntilStopped());
  RunBlocking(control, Leave(&coordinator, &reader));
  daemon.front.StopCalls();
  return {};
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  const millrace::process::Program program{
      .name = "millrace-coordinator",
      .description = "Says which worker runs what, and answers operators and dashboards.",
      .needs = {.data_dir = true, .cluster = true},
      .calls = true,
      .may_adopt = true};
  return millrace::process::RunDaemon(argc, argv, program, millrace::RunCoordinator);
}
