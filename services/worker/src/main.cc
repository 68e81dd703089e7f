// millrace-worker: runs the shards that the control log gives it.

#include "millrace/driver/thread_driver.h"
#include "millrace/process/closing.h"
#include "millrace/process/daemon.h"
#include "millrace/process/failures.h"
#include "millrace/rpc/link_client.h"
#include "millrace/runtime/store_marks.h"
#include "millrace/runtime/worker.h"
#include "millrace/worker/worker_role.h"

namespace millrace {
namespace {

constexpr std::chrono::seconds kBeat(2);

Task<std::string> FailureOf(control::ControlReader* reader) { co_return reader->failure(); }

Task<Status> HasCluster(control::ControlReader* reader) {
  if (reader->fold().cluster().empty())
    co_return Unavailable("no coordinator has ever led this cluster; start one");
  co_return Status();
}

/// The stores are of this cluster, as far as one can see now.
Task<Status> CheckStores(runtime::Ports ports, control::ControlReader* reader) {
  auto checked = co_await runtime::CheckMarks(ports, reader->fold().cluster());
  co_return checked;
}

Task<bool> StartWorker(runtime::Worker* worker) {
  worker->Start();
  co_return true;
}

Task<bool> Drain(runtime::Worker* worker, control::ControlReader* reader) {
  co_await worker->Drain();
  reader->Stop();
  co_return true;
}

Status RunWorker(process::Daemon& daemon) {
  const process::Settings& settings = daemon.settings;
  const std::string& dir = daemon.data_dir->path();
  daemon.front.Recovering("the log and the stores are being opened");
  MILLRACE_ASSIGN(const auto log, adapters::OpenLog(settings.stores, dir, &daemon.metrics));
  MILLRACE_ASSIGN(const auto stores,
                  service::WorkerStores::Open(settings.stores, dir, &daemon.metrics));
  const int executors = settings.shard_executors();
  ThreadDriver driver(
      {.cores = 1 + executors, .blocking_threads = 8, .on_failure = process::EndProcess});
  Executor& control = driver.core(0);

  std::vector<std::unique_ptr<rpc::LinkClient>> links;
  runtime::Worker::Wiring wiring;
  wiring.self = {settings.name, control.Random()};
  const runtime::Ports ports = stores->ports(log.get());
  wiring.ports = ports;
  wiring.options.beat_interval = kBeat;
  wiring.control = &control;
  for (int i = 1; i <= executors; ++i) wiring.shards.push_back(&driver.core(i));
  for (const std::string& coordinator : settings.coordinators) {
    links.push_back(std::make_unique<rpc::LinkClient>(coordinator));
    wiring.coordinators.push_back(links.back().get());
  }
  wiring.predecessor = daemon.data_dir->predecessor();
  wiring.memory = settings.memory_bytes();
  wiring.standby = settings.standby;
  const uint64_t instance = wiring.self.instance;
  control::ControlReader reader(log.get(), wiring.options.snapshot_records);
  control::ControlWriter writer(log.get(), &reader);
  runtime::Worker worker(std::move(wiring), &reader, &writer);
  const process::Closing closing(&daemon.front, &driver, [&links] {
    for (const auto& link : links) link->Close();
  });
  MILLRACE_TRY(daemon.data_dir->NameInstance(instance));

  MILLRACE_TRY(daemon.WaitFor("the log and the stores",
                              [&] { return RunBlocking(control, runtime::ProbeStores(ports)); }));
  MILLRACE_TRY(
      daemon.WaitFor("the control log", [&] { return RunBlocking(control, reader.Start()); }));
  control.Spawn(reader.Follow());
  MILLRACE_TRY(
      daemon.WaitFor("a coordinator", [&] { return RunBlocking(control, HasCluster(&reader)); }));
  MILLRACE_TRY(daemon.WaitFor("the stores",
                              [&] { return RunBlocking(control, CheckStores(ports, &reader)); }));
  RunBlocking(control, StartWorker(&worker));
  daemon.front.Serve({}, [&]() -> process::Front::Checks {
    std::string folds = RunBlocking(control, FailureOf(&reader));
    return {{"control", folds.empty(), folds}};
  });
  MILLRACE_TRY(daemon.ServeUntilStopped());
  RunBlocking(control, Drain(&worker, &reader));
  return {};
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  const millrace::process::Program program{
      .name = "millrace-worker",
      .description = "Runs the shards that the cluster gives it.",
      .needs = {.data_dir = true, .coordinators = true, .cluster = true}};
  return millrace::process::RunDaemon(argc, argv, program, millrace::RunWorker);
}
