#include "millrace/process/daemon.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <thread>

#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/base/version.h"
#include "millrace/process/crash_at.h"
#include "millrace/process/failures.h"
#include "millrace/process/notify.h"

namespace millrace::process {

Status Daemon::WaitFor(const std::string& what, const std::function<Status()>& attempt) {
  constexpr std::chrono::milliseconds kBetween(500);
  LogRateLimit once_a_minute(60);
  front.Recovering("it waits for " + what);
  NotifyManager("STATUS=waits for " + what);
  for (;;) {
    Status done = attempt();
    if (done.ok() || done.error().code != Code::kUnavailable) return done;
    once_a_minute.Warn("the process is not ready yet; it tries again",
                       {{"waits_for", what}, {"error", done.error().message}});
    std::this_thread::sleep_for(kBetween);
  }
}

Status Daemon::ServeUntilStopped() {
  signals.Ready();
  std::string line = "ready";
  if (!front.grpc().empty()) line += " grpc=" + front.grpc();
  line += " admin=" + front.admin();
  if (data_dir != nullptr) line += " data_dir=" + data_dir->path();
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
  NotifyManager("READY=1\nSTATUS=" + line);
  const int signal = signals.Wait();
  NotifyManager("STOPPING=1\nSTATUS=stops");
  {
    const std::lock_guard lock(mutex_);
    if (failed_) return *failed_;
  }
  LogInfo("stopping", {{"signal", signal}});
  return {};
}

void Daemon::Fail(Error error) {
  {
    const std::lock_guard lock(mutex_);
    failed_ = std::move(error);
  }
  signals.Stop();
}

int Run(const Program& program, const Start& start, const std::function<Status(Daemon&)>& run) try {
  const std::string name = program.name;
  const auto settings = LoadSettings(start.sources, program.needs);
  if (!settings.ok()) return FailConfig(name, settings.error());
  if (start.check_only) {
    std::printf("the configuration is right\n");
    return EXIT_SUCCESS;
  }
  InstallCrashAtFromEnvironment();
  const Status prepared = PrepareProcess();
  if (!prepared.ok()) return FailConfig(name, prepared.error());
  StopSignals signals(program.name);
  std::unique_ptr<DataDir> data_dir;
  if (program.needs.data_dir) {
    auto opened = DataDir::Open(settings->data_dir);
    if (!opened.ok()) return FailConfig(name, opened.error());
    data_dir = std::move(*opened);
  }
  metrics_prometheus::PrometheusMetrics metrics(Version());
  const auto front =
      Front::Open({program.calls ? settings->grpc : std::string(), settings->admin, &metrics});
  if (!front.ok()) return FailConfig(name, front.error());
  Daemon daemon(*settings, data_dir.get(), &metrics, front->get(), &signals, start.adopt);
  const Status ran = run(daemon);
  return ran.ok() ? EXIT_SUCCESS : FailStart(name, ran.error());
} catch (const std::system_error& e) {
  return FailStart(
      program.name,
      Unavailable("the system refused a thread; raise the limits of threads (ulimit -u, pids.max "
                  "of the cgroup) and of memory",
                  {{"error", e.what()}}));
}

}  // namespace millrace::process
