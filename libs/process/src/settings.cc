#include "millrace/process/settings.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

#include "memory.h"
#include "millrace/base/facts.h"
#include "millrace/base/host_port.h"

namespace millrace::process {
namespace {

constexpr int kMostExecutors = 64;
constexpr int kMostExecutorsByDefault = 16;
constexpr int kMostMemoryMb = 1 << 24;

std::string HostName() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unnamed";
  return name.data();
}

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

Status CheckListen(const std::string& setting, const std::string& text, bool insecure) {
  const auto address = ParseHostPort(text);
  if (!address.ok()) return In(setting, address.error());
  if (IsLoopback(address->host) || insecure) return {};
  return InvalidArgument(
      "others than this machine reach this address, and the connections are not encrypted: keep "
      "the network to yourself and set listen.insecure to true, or listen at 127.0.0.1",
      {{"setting", setting}, {"value", text}});
}

/// What `settings` names stays where the other two are.
Status Load(config::Sources sources, Settings* out, std::string* coordinators,
            config::Settings* settings) {
  out->name = HostName();
  settings->Text("process.name", &out->name,
                 "who this process is, for people; the host's name if not given");
  settings->Text("process.data_dir", &out->data_dir,
                 "where everything is kept that no server keeps");
  settings->Text("listen.grpc", &out->grpc, "gRPC address; port 0 takes a free one");
  settings->Text("listen.admin", &out->admin, "HTTP address; port 0 takes a free one");
  settings->Switch("listen.insecure", &out->insecure,
                   "allow addresses that others than this machine reach, without encryption");
  settings->Text("worker.coordinators", coordinators,
                 "host:port of every coordinator, with commas between");
  settings->Number("worker.executors", &out->executors, 0, kMostExecutors,
                   "threads that run shards; 0: one for each core");
  settings->Number("worker.memory_mb", &out->memory_mb, 0, kMostMemoryMb,
                   "MiB of state that it takes; 0: three quarters of what the cgroup or the "
                   "machine has");
  settings->Switch("worker.standby", &out->standby, "take only shards that have no owner");
  adapters::AddSettings(&out->stores, settings);
  for (char** variable = environ; *variable != nullptr; ++variable)
    sources.environment.emplace_back(*variable);
  MILLRACE_TRY(settings->Load(sources));
  MILLRACE_TRY(CheckListen("listen.grpc", out->grpc, out->insecure));
  MILLRACE_TRY(CheckListen("listen.admin", out->admin, out->insecure));
  if (out->name.empty()) return InvalidArgument("process.name is empty");
  if (!coordinators->empty()) {
    auto parsed = ParseHostPorts(*coordinators);
    if (!parsed.ok()) return In("worker.coordinators", parsed.error());
    out->coordinators = std::move(*parsed);
  }
  return adapters::Check(out->stores);
}

Status Meet(const Needs& needs, const Settings& settings) {
  if (needs.data_dir && settings.data_dir.empty())
    return InvalidArgument(
        "no data directory is given: add --data-dir DIR, or process.data_dir to the configuration");
  if (needs.coordinators && settings.coordinators.empty())
    return InvalidArgument(
        "no coordinator is given: set worker.coordinators to the host:port of each");
  if (!needs.cluster) return {};
  const adapters::Options& stores = settings.stores;
  const auto alone = [](const std::string& setting, const std::string& only) {
    return InvalidArgument("other processes cannot reach this; set it to " + only +
                               ", or run `millrace dev`, which is one process",
                           {{"setting", setting}});
  };
  if (stores.log != adapters::LogKind::kKafka) return alone("log.kind", "kafka");
  if (stores.objects != adapters::ObjectsKind::kS3) return alone("objects.kind", "s3");
  if (stores.serving != adapters::ServingKind::kPostgres) return alone("serving.kind", "postgres");
  return {};
}

}  // namespace

int Settings::shard_executors() const {
  if (executors > 0) return executors;
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1,
                    kMostExecutorsByDefault);
}

int64_t Settings::memory_bytes() const {
  if (memory_mb > 0) return int64_t{memory_mb} << 20;
  return MemoryLimit() / 4 * 3;
}

Result<Settings> LoadSettings(config::Sources sources, const Needs& needs) {
  Settings out;
  std::string coordinators;
  config::Settings settings;
  MILLRACE_TRY(Load(std::move(sources), &out, &coordinators, &settings));
  MILLRACE_TRY(Meet(needs, out));
  return out;
}

Result<std::vector<config::Settings::Shown>> ShowSettings(config::Sources sources) {
  Settings out;
  std::string coordinators;
  config::Settings settings;
  MILLRACE_TRY(Load(std::move(sources), &out, &coordinators, &settings));
  return settings.Show();
}

}  // namespace millrace::process
