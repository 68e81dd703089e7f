#include "dev.h"

#include <string>

#include "millrace/block_arrow/arrow_block_codec.h"
#include "millrace/driver/thread_driver.h"
#include "millrace/gateway/gateway_role.h"
#include "millrace/process/closing.h"
#include "millrace/process/failures.h"
#include "millrace/record_simdjson/json_record_parser.h"
#include "millrace/runtime/store_marks.h"
#include "millrace/worker/worker_role.h"
#include "roles.h"

namespace millrace {
namespace {

/// One executor for the control log and one for the gateway; the rest run shards.
constexpr int kControlCore = 0;
constexpr int kGatewayCore = 1;
constexpr int kFirstShardCore = 2;

/// Leads. Servers may start later than the process; what lies in its own directory may not.
Status Lead(process::Daemon& daemon, Roles& roles) {
  if (!daemon.settings.stores.remote()) return roles.Start();
  return daemon.WaitFor("the log and the stores", [&] { return roles.Start(); });
}

Status RunRoles(process::Daemon& daemon) {
  const process::Settings& settings = daemon.settings;
  const std::string& dir = daemon.data_dir->path();
  daemon.front.Recovering("the log and the stores are being opened");
  MILLRACE_ASSIGN(const auto log, adapters::OpenLog(settings.stores, dir, &daemon.metrics));
  MILLRACE_ASSIGN(const auto stores,
                  service::WorkerStores::Open(settings.stores, dir, &daemon.metrics));
  const block_arrow::ArrowBlockCodec blocks;
  const record_simdjson::JsonRecordParsers records;

  const int executors = settings.shard_executors();
  ThreadDriver driver({.cores = kFirstShardCore + executors,
                       .blocking_threads = 8,
                       .on_failure = process::EndProcess});
  service::GatewayRole gateway(&driver.core(kGatewayCore),
                               {log.get(), &blocks, &records, &daemon.metrics});
  runtime::AllRoles::Wiring wiring;
  wiring.name = "dev";
  wiring.predecessor = daemon.data_dir->predecessor();
  wiring.ports = stores->ports(log.get());
  wiring.control = &driver.core(kControlCore);
  for (int i = 0; i < executors; ++i) wiring.shards.push_back(&driver.core(kFirstShardCore + i));
  wiring.stop_appending = [&gateway] { return gateway.StopAppending(); };
  wiring.own_stores = [ports = wiring.ports, adopt = daemon.adopt](std::string cluster) {
    return runtime::OwnStores(ports, std::move(cluster), adopt);
  };
  Roles roles(wiring.control, wiring);
  const process::Closing closing(&daemon.front, &driver);
  gateway.Follow(roles.executor(), roles.control());
  MILLRACE_TRY(daemon.data_dir->NameInstance(roles.instance()));

  daemon.front.Recovering("the control log is being read");
  MILLRACE_TRY(Lead(daemon, roles));
  const rpc::Services services{gateway.executor(), gateway.gateway(), roles.executor(),
                               roles.operations()};
  daemon.front.Serve(services, [&] {
    process::Front::Checks checks = roles.Readiness();
    std::string appends = RunBlocking(*gateway.executor(), gateway.AppendTrouble());
    checks.push_back({"appends", appends.empty(), std::move(appends)});
    return checks;
  });
  MILLRACE_TRY(daemon.ServeUntilStopped());
  daemon.front.StopCalls();
  roles.Drain();
  return {};
}

}  // namespace

int RunDev(const process::Start& start) {
  const process::Program program{.name = "millrace dev",
                                 .description = "",
                                 .needs = {.data_dir = true},
                                 .calls = true,
                                 .may_adopt = true};
  return process::Run(program, start, RunRoles);
}

}  // namespace millrace
