#include "dev_settings.h"

#include <unistd.h>

#include "millrace/base/facts.h"
#include "millrace/base/host_port.h"

namespace millrace {
namespace {

Status CheckAddress(const std::string& setting, const std::string& text) {
  const auto address = ParseHostPort(text);
  if (!address.ok()) return In(setting, address.error());
  return {};
}

/// What `settings` names stays where `dev` is.
Status Load(config::Sources sources, DevSettings* dev, config::Settings* settings) {
  settings->Text("process.data_dir", &dev->data_dir,
                 "where everything is kept that no server keeps");
  settings->Text("listen.grpc", &dev->listen, "gRPC address; port 0 takes a free one");
  settings->Text("listen.admin", &dev->admin, "HTTP address; port 0 takes a free one");
  adapters::AddSettings(&dev->stores, settings);
  for (char** variable = environ; *variable != nullptr; ++variable)
    sources.environment.emplace_back(*variable);
  MILLRACE_TRY(settings->Load(sources));
  MILLRACE_TRY(CheckAddress("listen.grpc", dev->listen));
  MILLRACE_TRY(CheckAddress("listen.admin", dev->admin));
  return adapters::Check(dev->stores);
}

}  // namespace

Result<DevSettings> LoadDevSettings(config::Sources sources) {
  DevSettings dev;
  config::Settings settings;
  MILLRACE_TRY(Load(std::move(sources), &dev, &settings));
  if (dev.data_dir.empty())
    return InvalidArgument(
        "no data directory is given: add --data-dir DIR, or process.data_dir to the configuration");
  return dev;
}

Result<std::vector<config::Settings::Shown>> ShowDevSettings(config::Sources sources) {
  DevSettings dev;
  config::Settings settings;
  MILLRACE_TRY(Load(std::move(sources), &dev, &settings));
  return settings.Show();
}

}  // namespace millrace
