#include "millrace/process/settings.h"

#include "support/catch.h"

namespace millrace::process {
namespace {

config::Sources Given(std::vector<std::pair<std::string, std::string>> values) {
  config::Sources sources;
  for (auto& [key, value] : values) sources.flags.push_back({key, value, "--set"});
  return sources;
}

std::string Refused(const config::Sources& sources, const Needs& needs = {}) {
  const auto settings = LoadSettings(sources, needs);
  return settings.ok() ? std::string() : settings.error().message;
}

bool Says(const std::string& message, const std::string& what) {
  CAPTURE(message);
  return message.find(what) != std::string::npos;
}

const std::vector<std::pair<std::string, std::string>> kServers = {
    {"log.kind", "kafka"},
    {"log.kafka.brokers", "k:1"},
    {"objects.kind", "s3"},
    {"objects.s3.bucket", "bucket"},
    {"objects.s3.credentials", "values"},
    {"objects.s3.endpoint", "http://s:1"},
    {"objects.s3.access_key", "a"},
    {"objects.s3.secret_key", "s"},
    {"serving.kind", "postgres"},
    {"serving.postgres.connection", "host=p"}};

TEST_CASE(
    "a process has the host's name, every core and most of the memory unless told otherwise") {
  const Settings settings = LoadSettings(Given({}), {}).value();
  CHECK_FALSE(settings.name.empty());
  CHECK(settings.shard_executors() >= 1);
  CHECK(settings.memory_bytes() > 0);
  CHECK(settings.coordinators.empty());
  CHECK_FALSE(settings.insecure);

  const Settings told = LoadSettings(Given({{"process.name", "w1"},
                                            {"worker.executors", "3"},
                                            {"worker.memory_mb", "2"},
                                            {"worker.standby", "true"},
                                            {"worker.coordinators", "a:1, [::1]:2"}}),
                                     {})
                            .value();
  CHECK(told.name == "w1");
  CHECK(told.shard_executors() == 3);
  CHECK(told.memory_bytes() == 2 << 20);
  CHECK(told.standby);
  CHECK(told.coordinators == std::vector<std::string>{"a:1", "[::1]:2"});
}

TEST_CASE("a program says what it needs and was not given") {
  CHECK(Says(Refused(Given({}), {.data_dir = true}), "process.data_dir"));
  CHECK(Says(Refused(Given({}), {.coordinators = true}), "worker.coordinators"));
  CHECK(Says(Refused(Given({{"worker.coordinators", "a"}})), "worker.coordinators"));
  auto servers = kServers;
  CHECK(Refused(Given(servers), {.cluster = true}).empty());
  for (const std::string setting : {"log.kind", "objects.kind", "serving.kind"}) {
    std::vector<std::pair<std::string, std::string>> without;
    for (const auto& given : kServers)
      if (given.first != setting) without.push_back(given);
    CHECK(Says(Refused(Given(without), {.cluster = true}), "setting=" + setting));
    CHECK(Refused(Given(without)).empty());
  }
}

TEST_CASE("an address that other machines reach needs a word, as nothing is encrypted") {
  for (const std::string setting : {"listen.grpc", "listen.admin"}) {
    for (const std::string open : {"0.0.0.0:1", "[::]:1", "10.1.2.3:1", "host:1"}) {
      CHECK(Says(Refused(Given({{setting, open}})), "setting=" + setting + " value=" + open));
      CHECK(Refused(Given({{setting, open}, {"listen.insecure", "true"}})).empty());
    }
    for (const std::string own : {"127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "localhost:1"})
      CHECK(Refused(Given({{setting, own}})).empty());
    CHECK(Says(Refused(Given({{setting, "nonsense"}})), setting));
  }
}

}  // namespace
}  // namespace millrace::process
