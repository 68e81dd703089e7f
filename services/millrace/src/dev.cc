#include "dev.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <system_error>
#include <thread>

#include "crash_at.h"
#include "data_dir.h"
#include "dev_settings.h"
#include "millrace/admin/admin_server.h"
#include "millrace/base/descriptors.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/base/version.h"
#include "millrace/block_arrow/arrow_block_codec.h"
#include "millrace/coordinator/coordinator_role.h"
#include "millrace/driver/thread_driver.h"
#include "millrace/gateway/gateway_role.h"
#include "millrace/metrics_prometheus/prometheus_metrics.h"
#include "millrace/record_simdjson/json_record_parser.h"
#include "millrace/rpc/server.h"
#include "millrace/runtime/store_marks.h"
#include "millrace/worker/worker_role.h"
#include "stop_signals.h"

namespace millrace {
namespace {

/// One executor for the control log and one for the gateway; the rest run shards.
constexpr int kControlCore = 0;
constexpr int kGatewayCore = 1;
constexpr int kFirstShardCore = 2;
constexpr unsigned kMostShardCores = 16;

int Fail(const Error& error, int status = EXIT_FAILURE) {
  std::fprintf(stderr, "millrace dev: %s\n", error.message.c_str());
  return status;
}

/// Of a directory or a port that this process was told to use.
int FailConfig(const Error& error) {
  constexpr int kConfig = 78;
  const bool told = error.code == Code::kInvalidArgument || error.code == Code::kConflict ||
                    error.code == Code::kUnavailable;
  return Fail(error, told ? kConfig : EXIT_FAILURE);
}

/// Of what lies in the data directory. What passes by itself is no fault of the configuration.
int FailStore(const Error& error) {
  return error.code == Code::kUnavailable ? Fail(error) : FailConfig(error);
}

/// A shard holds a few files open, its log and state some more: as many as the system allows.
void RaiseOpenFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
    LogWarn("the limit of open files cannot be raised", {{"error", std::strerror(errno)}});
}

/// A task or thread that ended by an exception is a part of the process that is missing from now
/// on, and nobody can say which waits for it. A new start recovers everything.
[[noreturn]] void EndProcess(const std::string& what) {
  LogError(
      "a task or thread ended by an exception, so the process ends; start it again, and report "
      "this",
      {{"error", what}});
  std::abort();
}

/// For what nobody can catch, such as an exception in a thread of the HTTP server.
[[noreturn]] void EndWithLine() {
  std::string what = "unknown";
  if (const std::exception_ptr thrown = std::current_exception()) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      what = e.what();
    } catch (...) {
      what = "no std::exception";
    }
  }
  EndProcess(what);
}

/// What /readyz tells: what the recovery is at, then the checks of the roles.
class Readiness {
 public:
  void Recovering(const char* at) { recovering_at_ = at; }
  void Of(service::GatewayRole* gateway, service::CoordinatorRole* coordinator) {
    gateway_ = gateway;
    coordinator_ = coordinator;
  }

  std::vector<admin::ReadinessCheck> operator()(const rpc::Server& grpc) const {
    service::CoordinatorRole* coordinator = coordinator_;
    if (coordinator == nullptr)
      return {{"recovery", false, std::string("recovering: ") + recovering_at_.load()}};
    std::vector<admin::ReadinessCheck> checks = coordinator->Readiness();
    const auto add = [&](const char* name, std::string trouble) {
      checks.push_back({name, trouble.empty(), std::move(trouble)});
    };
    service::GatewayRole* gateway = gateway_;
    add("appends", RunBlocking(*gateway->executor(), gateway->AppendTrouble()));
    add("connections", grpc.ConnectionTrouble());
    return checks;
  }

 private:
  std::atomic<const char*> recovering_at_ = "starting";
  std::atomic<service::GatewayRole*> gateway_ = nullptr;
  std::atomic<service::CoordinatorRole*> coordinator_ = nullptr;  ///< set last
};

/// What others see of the process. It listens before anything is recovered, so that a port that it
/// cannot have is told at once and whoever looks can tell recovering from dead.
struct Front {
  Readiness readiness;
  std::unique_ptr<rpc::Server> grpc;
  std::unique_ptr<admin::AdminServer> http;

  Status Open(const DevSettings& dev, metrics_prometheus::PrometheusMetrics& metrics) {
    MILLRACE_ASSIGN(grpc, rpc::Server::Start({.listen = dev.listen, .metrics = &metrics}));
    MILLRACE_ASSIGN(http,
                    admin::AdminServer::Start(dev.admin, {[&metrics] { return metrics.Expose(); },
                                                          [this] { return readiness(*grpc); }}));
    return {};
  }
};

/// Closes the front before what stands behind it is gone.
struct Closing {
  Front& front;
  ThreadDriver& driver;

  ~Closing() {
    front.grpc.reset();
    front.http.reset();
    driver.Stop();
  }
};

/// Leads, or says once a minute what it waits for: servers may start in any order.
Status Lead(service::CoordinatorRole& coordinator, bool remote) {
  constexpr std::chrono::seconds kBetween(1);
  LogRateLimit once_a_minute(60);
  for (;;) {
    Status started = coordinator.Start();
    if (started.ok() || !remote || started.error().code != Code::kUnavailable) return started;
    once_a_minute.Warn(
        "the process cannot lead yet, since the log or a store does not answer; it tries again",
        {{"error", started.error().message}});
    std::this_thread::sleep_for(kBetween);
  }
}

int Run(const DevSettings& dev, bool adopt, DataDir& data_dir, Front& front,
        metrics_prometheus::PrometheusMetrics& metrics, StopSignals& signals) {
  const std::string& dir = data_dir.path();
  front.readiness.Recovering("the log and the stores are being opened");
  const auto log = adapters::OpenLog(dev.stores, dir, &metrics);
  if (!log.ok()) return FailStore(log.error());
  const auto stores = service::WorkerStores::Open(dev.stores, dir, &metrics);
  if (!stores.ok()) return FailStore(stores.error());
  const block_arrow::ArrowBlockCodec blocks;
  const record_simdjson::JsonRecordParsers records;

  const auto shard_cores =
      static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, kMostShardCores));
  ThreadDriver driver(
      {.cores = kFirstShardCore + shard_cores, .blocking_threads = 8, .on_failure = EndProcess});
  service::GatewayRole gateway(&driver.core(kGatewayCore),
                               {log->get(), &blocks, &records, &metrics});
  runtime::AllRoles::Wiring wiring;
  wiring.name = "dev";
  wiring.predecessor = data_dir.predecessor();
  wiring.ports = (*stores)->ports(log->get());
  wiring.control = &driver.core(kControlCore);
  for (int i = 0; i < shard_cores; ++i) wiring.shards.push_back(&driver.core(kFirstShardCore + i));
  wiring.stop_appending = [&gateway] { return gateway.StopAppending(); };
  wiring.own_stores = [ports = wiring.ports, adopt](std::string cluster) {
    return runtime::OwnStores(ports, std::move(cluster), adopt);
  };
  service::CoordinatorRole coordinator(wiring.control, wiring);
  const Closing closing{front, driver};
  gateway.Follow(coordinator.executor(), coordinator.control());
  const Status named = data_dir.NameInstance(coordinator.instance());
  if (!named.ok()) return FailStore(named.error());

  front.readiness.Recovering("the control log is being read");
  const Status started = Lead(coordinator, dev.stores.remote());
  if (!started.ok()) return FailStore(started.error());
  front.readiness.Of(&gateway, &coordinator);
  front.grpc->Serve(
      {gateway.executor(), gateway.gateway(), coordinator.executor(), coordinator.operations()});
  signals.Ready();
  std::printf("ready grpc=%s admin=%s data_dir=%s\n", front.grpc->address().c_str(),
              front.http->address().c_str(), dir.c_str());
  std::fflush(stdout);

  LogInfo("stopping: requests end, shards are cut", {{"signal", signals.Wait()}});
  front.grpc->Stop();
  coordinator.Drain();
  return EXIT_SUCCESS;
}

}  // namespace

int RunDev(const DevOptions& options) try {
  const auto dev = LoadDevSettings(options.sources);
  if (!dev.ok()) return FailConfig(dev.error());
  if (options.check_only) {
    std::printf("the configuration is right\n");
    return EXIT_SUCCESS;
  }
  InstallCrashAtFromEnvironment();
  std::set_terminate(EndWithLine);
  RaiseOpenFileLimit();
  if (const int limit = descriptors::Limit(); limit < descriptors::kLeast)
    return FailConfig(Unavailable("the limit of open files is too low, raise it (ulimit -n)",
                                  {{"limit", limit}, {"least", descriptors::kLeast}}));
  StopSignals signals("millrace dev");
  const auto data_dir = DataDir::Open(dev->data_dir);
  if (!data_dir.ok()) return FailConfig(data_dir.error());
  metrics_prometheus::PrometheusMetrics metrics(Version());
  Front front;
  const Status opened = front.Open(*dev, metrics);
  if (!opened.ok()) return FailConfig(opened.error());
  return Run(*dev, options.adopt, **data_dir, front, metrics, signals);
} catch (const std::system_error& e) {
  return Fail(
      Unavailable("the system refused a thread; raise the limits of threads (ulimit -u, pids.max "
                  "of the cgroup) and of memory",
                  {{"error", e.what()}}));
}

}  // namespace millrace
