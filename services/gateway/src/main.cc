// millrace-gateway: takes events from producers and writes them into the log.

#include "millrace/adapters/adapters.h"
#include "millrace/block_arrow/arrow_block_codec.h"
#include "millrace/control/control_reader.h"
#include "millrace/driver/thread_driver.h"
#include "millrace/gateway/gateway_role.h"
#include "millrace/process/closing.h"
#include "millrace/process/daemon.h"
#include "millrace/process/failures.h"
#include "millrace/record_simdjson/json_record_parser.h"

namespace millrace {
namespace {

constexpr int kControlCore = 0;
constexpr int kGatewayCore = 1;

Task<std::string> FailureOf(control::ControlReader* reader) { co_return reader->failure(); }

Status RunGateway(process::Daemon& daemon) {
  daemon.front.Recovering("the log is being opened");
  MILLRACE_ASSIGN(const auto log, adapters::OpenLog(daemon.settings.stores, "", &daemon.metrics));
  const block_arrow::ArrowBlockCodec blocks;
  const record_simdjson::JsonRecordParsers records;
  ThreadDriver driver({.cores = 2, .blocking_threads = 4, .on_failure = process::EndProcess});
  Executor& control = driver.core(kControlCore);
  service::GatewayRole gateway(&driver.core(kGatewayCore),
                               {log.get(), &blocks, &records, &daemon.metrics});
  control::ControlReader reader(log.get());
  const process::Closing closing(&daemon.front, &driver);

  MILLRACE_TRY(daemon.WaitFor("the log", [&] { return RunBlocking(control, log->Probe()); }));
  MILLRACE_TRY(
      daemon.WaitFor("the control log", [&] { return RunBlocking(control, reader.Start()); }));
  control.Spawn(reader.Follow());
  gateway.Follow(&control, &reader);
  daemon.front.Serve({gateway.executor(), gateway.gateway()}, [&]() -> process::Front::Checks {
    std::string folds = RunBlocking(control, FailureOf(&reader));
    std::string appends = RunBlocking(*gateway.executor(), gateway.AppendTrouble());
    return {{"control", folds.empty(), folds}, {"appends", appends.empty(), appends}};
  });
  MILLRACE_TRY(daemon.ServeUntilStopped());
  daemon.front.StopCalls();
  return {};
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  const millrace::process::Program program{
      .name = "millrace-gateway",
      .description = "Takes events from producers over gRPC and writes them into the log.",
      .needs = {.cluster = true},
      .calls = true};
  return millrace::process::RunDaemon(argc, argv, program, millrace::RunGateway);
}
