#include "args.h"

#include <map>

#include "cli_test_support.h"
#include "support/catch.h"

namespace millrace {
namespace {

using cli::test::FakeCluster;
using cli::test::Recorded;

/// Lets the verbs run on fakes and remembers which server they were meant for.
struct Ran {
  std::shared_ptr<FakeCluster> cluster = std::make_shared<FakeCluster>();
  cli::test::SentEvents sent;
  process::Start dev;
  config::Sources asked;
  Result<std::vector<config::Settings::Shown>> settings = std::vector<config::Settings::Shown>();
  Result<doctor::Findings> findings = doctor::Findings();
  std::string server;
  Recorded recorded;

  int operator()(std::vector<const char*> words, const char* environment_server = nullptr) {
    /// The command line owns its cluster; this one outlives it.
    struct Shared : FakeCluster {
      std::shared_ptr<FakeCluster> kept;
      explicit Shared(std::shared_ptr<FakeCluster> k) : FakeCluster(*k), kept(std::move(k)) {}
      ~Shared() override { *kept = *this; }
    };
    const Wiring wiring{
        [this](const std::vector<std::string>& to) {
          server.clear();
          for (const std::string& one : to) server += (server.empty() ? "" : " ") + one;
          return std::make_unique<Shared>(cluster);
        },
        [this](const std::vector<std::string>&) { return cli::test::SinkInto(&sent); },
        [this](const process::Start& options) {
          dev = options;
          return 0;
        },
        [this](const config::Sources& sources) {
          asked = sources;
          return settings;
        },
        [this](const config::Sources& sources) {
          asked = sources;
          return findings;
        }};
    words.insert(words.begin(), "millrace");
    return RunCommandLine(static_cast<int>(words.size()), words.data(), environment_server, wiring,
                          recorded.console);
  }
};

TEST_CASE(
    "the help of every verb names each of its options, its default and "
    "an example") {
  using Words = std::vector<const char*>;
  const std::map<Words, std::vector<std::string>> verbs{
      {{"dev"},
       {"--data-dir", "--listen", "127.0.0.1:7171", "--admin", "127.0.0.1:7172", "--config",
        "--set", "--adopt", "--check-config"}},
      {{"config", "show"}, {"--config", "--set", "--origin", "--format"}},
      {{"doctor"}, {"--data-dir", "--config", "--set", "--format", "FAIL"}},
      {{"apply"}, {"FILE", "--yes"}},
      {{"produce"},
       {"STREAM", "--input", ".zst or .gz", "--format", "--rate", "0 sets no limit",
        "--producer-id", "--end", "no later event", "default: produce"}},
      {{"stream", "list"}, {"--format", "default: table"}},
      {{"stream", "describe"}, {"NAME", "--format"}},
      {{"stream", "advance"}, {"NAME", "--to", "TIME|end"}},
      {{"pipeline", "list"}, {"--format"}},
      {{"pipeline", "describe"}, {"NAME", "--format"}},
      {{"pipeline", "drop"}, {"NAME"}},
      {{"shard", "list"}, {"--format"}},
      {{"shard", "retry"}, {"SHARD"}},
      {{"shard", "skip"}, {"SHARD", "--to", "OFFSET", "--reason", "TEXT"}},
      {{"results"},
       {"NAME", "--wait", "--key", "COLUMN=VALUE", "COLUMN= is NULL", "--from", "--to", "--meta",
        "--format"}},
      {{"late"}, {"NAME", "--wait", "--meta", "--format"}},
      {{"quarantine"}, {"NAME", "--wait", "--meta", "--format"}},
      {{"version"}, {}},
      {{"help"}, {"VERB"}},
  };
  for (const auto& [words, options] : verbs) {
    Ran run;
    Words asked = words;
    asked.push_back("--help");
    CHECK(run(asked) == 0);
    const std::string help = run.recorded.out.str();
    std::string example = "  millrace";
    for (const char* word : words) example += std::string(" ") + word;
    INFO(help);
    CHECK(help.find(example) != std::string::npos);
    for (const std::string& option : options) {
      INFO(option);
      CHECK(help.find(option) != std::string::npos);
    }
    CHECK(run.recorded.err.str().empty());

    Ran top;
    CHECK(top({"--help"}) == 0);
    CHECK(top.recorded.out.str().find(std::string("  ") + words[0]) != std::string::npos);
  }
}

TEST_CASE("the verb help says what the option --help says") {
  using Words = std::vector<const char*>;
  for (const Words& words : {Words{}, {"produce"}, {"stream"}, {"stream", "advance"}}) {
    Words verb = words;
    verb.insert(verb.begin(), "help");
    Words option = words;
    option.push_back("--help");
    Ran by_verb;
    CHECK(by_verb(verb) == 0);
    Ran by_option;
    CHECK(by_option(option) == 0);
    CHECK(by_verb.recorded.out.str() == by_option.recorded.out.str());
    CHECK(by_verb.recorded.err.str().empty());
  }
  Ran run;
  CHECK(run({"help", "frobnicate"}) == 2);
  CHECK(run.recorded.Said("no such verb: frobnicate; see `millrace --help`\n"));
  CHECK(run({"help", "stream", "drop"}) == 2);
  CHECK(run.recorded.Said("no such verb: drop; see `millrace stream --help`\n"));
}

TEST_CASE("the top help tells the server option, its variable and the exit codes") {
  Ran run;
  CHECK(run({"--help"}) == 0);
  const std::string help = run.recorded.out.str();
  for (const char* text : {"--server HOST:PORT", "MILLRACE_SERVER", "127.0.0.1:7171", "--version",
                           "namespace.name", "3 not found", "4 conflict", "78"}) {
    INFO(text);
    CHECK(help.find(text) != std::string::npos);
  }
}

TEST_CASE(
    "a command line that makes no sense is exit code 2 and one line that "
    "says whose help") {
  Ran run;
  CHECK(run({"results"}) == 2);
  CHECK(run.recorded.err.str() ==
        "millrace: error: NAME is required; see `millrace results --help`\n");
  CHECK(run({"stream", "advance", "flights"}) == 2);
  CHECK(run.recorded.Said("--to is required; see `millrace stream advance --help`\n"));
  CHECK(run({"results", "delays", "--format", "xml"}) == 2);
  CHECK(run.recorded.Said("xml"));
  CHECK(run({"results", "delays", "--nonsense"}) == 2);
  CHECK(run.recorded.Said("--nonsense"));
  CHECK(run({"frobnicate"}) == 2);
  CHECK(run.recorded.Said("no such verb: frobnicate; see `millrace --help`\n"));
  CHECK(run({"stream"}) == 2);
  CHECK(run.recorded.Said("a verb is missing; see `millrace stream --help`\n"));
  CHECK(run({"stream", "drop"}) == 2);
  CHECK(run.recorded.Said("no such verb: drop; see `millrace stream --help`\n"));
  CHECK(run({"dev", "--data-dir"}) == 2);
  CHECK(run({"dev", "--set", "log.kind"}) == 2);
  CHECK(run.recorded.Said("it has no =; see `millrace dev --help`: value=log.kind"));
  CHECK(run({"config", "show", "--config"}) == 2);
  CHECK(run({"dev", "--data-dir", "x", "--listen", "nonsense"}) == 2);
  CHECK(run.recorded.Said("not an address: it has no port; "));
  CHECK(run.recorded.Said("; see `millrace dev --help`: address=nonsense\n"));
  CHECK(run({"shard", "skip", "default/d@1/p0", "--to", "soon", "--reason", "x"}) == 2);
  CHECK(
      run.recorded.Said("--to takes a number; see `millrace shard skip --help` value=\"soon\"\n"));
  CHECK(run.cluster->calls.empty());
  CHECK(run.recorded.out.str().empty());
}

TEST_CASE("without a verb the help goes to standard error") {
  Ran run;
  CHECK(run({}) == 2);
  CHECK(run.recorded.Said("produce"));
  CHECK(run.recorded.out.str().empty());
}

TEST_CASE("the server is the option before the environment before the default") {
  Ran run;
  CHECK(run({"stream", "list"}) == 0);
  CHECK(run.server == "127.0.0.1:7171");
  CHECK(run({"stream", "list"}, "other:1") == 0);
  CHECK(run.server == "other:1");
  CHECK(run({"--server", "third:2", "stream", "list"}, "other:1") == 0);
  CHECK(run.server == "third:2");
  CHECK(run({"stream", "list", "--server", "fourth:3"}) == 0);
  CHECK(run.server == "fourth:3");
  CHECK(run({"--server", "a:1, b:2,c:3", "stream", "list"}) == 0);
  CHECK(run.server == "a:1 b:2 c:3");
  CHECK(run({"--server", "a:1,", "stream", "list"}) == 2);
  CHECK(run({"--server", "nonsense", "stream", "list"}) == 2);
  CHECK(run({"stream", "list"}, "nonsense") == 78);
  CHECK(run.recorded.Said("MILLRACE_SERVER in the environment: not an address"));
}

TEST_CASE("options reach their verbs") {
  Ran run;
  run.cluster->table = {{"a"}, {Type::kInt}, {}};
  CHECK(run({"results", "air.delays", "--wait", "--key", "a=1", "--key", "b=2", "--from",
             "1970-01-01", "--to", "1970-01-02", "--meta", "--format", "csv"}) == 0);
  CHECK(run.cluster->calls.at(0) == "wait delays");
  CHECK(run.cluster->query.name_space == "air");
  CHECK(run.cluster->query.keys.size() == 2);
  CHECK(run.cluster->query.meta);
  CHECK(run.recorded.out.str() == "a\n");
  CHECK(run({"late", "delays"}) == 0);
  CHECK(run.cluster->query.output == Output::kLate);
  CHECK(run({"quarantine", "delays"}) == 0);
  CHECK(run.cluster->query.output == Output::kQuarantine);
  CHECK(run({"stream", "advance", "flights", "--to", "end"}) == 0);
  CHECK(run({"pipeline", "drop", "delays"}) == 0);
  CHECK(run({"shard", "retry", "d"}) == 2);
  CHECK(run({"shard", "retry", "default/d@1/p0"}) == 0);
  CHECK(run({"shard", "skip", "default/d@1/p0", "--to", "7", "--reason", "two words"}) == 0);
  const std::vector<std::string>& calls = run.cluster->calls;
  CHECK(std::vector<std::string>(calls.end() - 4, calls.end()) ==
        std::vector<std::string>{"advance flights infinity", "drop delays", "retry default/d@1/p0",
                                 "skip default/d@1/p0 7 two words"});
}

TEST_CASE("produce takes its options; its format may differ from that of answers") {
  const cli::test::TempDir dir;
  const std::string file = cli::test::WriteFile(dir.Sub("a.txt"), "{\"a\":1}\n");
  Ran run;
  CHECK(run({"produce", "flights", "--input", file.c_str(), "--format", "json", "--rate", "1000",
             "--producer-id", "me", "--end"}) == 0);
  REQUIRE(run.sent.producers.size() == 1);
  CHECK(run.sent.producers[0].starts_with("me/"));
  CHECK(run.cluster->calls == std::vector<std::string>{"advance flights infinity"});
}

std::string Text(const config::Sources& sources) {
  std::string text = sources.file;
  for (const config::Given& g : sources.flags) text += " " + g.origin + " " + g.key + "=" + g.value;
  return text;
}

TEST_CASE("what dev is told are settings") {
  Ran run;
  CHECK(run({"dev", "--data-dir", "d", "--config", "a.yaml", "--listen", "127.0.0.1:0", "--admin",
             "[::1]:0", "--set", "log.kind=kafka", "--set", "a.b=c=d"}) == 0);
  CHECK(Text(run.dev.sources) ==
        "a.yaml --data-dir process.data_dir=d --listen listen.grpc=127.0.0.1:0 --admin "
        "listen.admin=[::1]:0 --set log.kind=kafka --set a.b=c=d");
  CHECK_FALSE(run.dev.check_only);
  CHECK_FALSE(run.dev.adopt);
  CHECK(run({"dev", "--check-config", "--adopt"}) == 0);
  CHECK(run.dev.adopt);
  CHECK(run.dev.check_only);
}

TEST_CASE("config show writes settings, and where each is from if asked") {
  Ran run;
  run.settings = std::vector<config::Settings::Shown>{
      {"log.kind", "kafka", "a.yaml:2", "where events are kept"},
      {"log.kafka.password", "(set)", "MILLRACE_LOG__KAFKA__PASSWORD", "of the user"}};
  CHECK(run({"config", "show", "--config", "a.yaml", "--format", "csv"}) == 0);
  CHECK(Text(run.asked) == "a.yaml");
  CHECK(run.recorded.out.str() ==
        "setting,value,help\nlog.kind,kafka,where events are kept\n"
        "log.kafka.password,(set),of the user\n");
  run.recorded.out.str("");
  CHECK(run({"config", "show", "--origin", "--format", "csv"}) == 0);
  CHECK(run.recorded.out.str().starts_with("setting,value,origin,help\nlog.kind,kafka,a.yaml:2,"));
  run.settings = InvalidArgument("there is no such setting");
  CHECK(run({"config", "show"}) == 78);
  CHECK(run.recorded.Said("there is no such setting"));
}

TEST_CASE("doctor writes a line for each check, and fails if one failed") {
  Ran run;
  using doctor::Grade;
  run.findings = doctor::Findings{{"log", "append", Grade::kOk, "works, in 3 ms"},
                                  {"objects", "versioning", Grade::kWarn, "versions", "a rule"}};
  CHECK(run({"doctor", "--config", "a.yaml", "--set", "log.kind=kafka", "--format", "csv"}) == 0);
  CHECK(Text(run.asked) == "a.yaml --set log.kind=kafka");
  CHECK(run.recorded.out.str() ==
        "result,part,check,found,advice\nok,log,append,\"works, in 3 ms\",\"\"\n"
        "warn,objects,versioning,versions,a rule\n");
  run.findings->push_back({"log", "read", Grade::kFail, "damaged", "bring it back"});
  run.recorded.out.str("");
  CHECK(run({"doctor"}) == 1);
  CHECK(run.recorded.out.str() ==
        "ok    log      append      works, in 3 ms\n"
        "warn  objects  versioning  versions; to do: a rule\n"
        "FAIL  log      read        damaged; to do: bring it back\n");
  CHECK(run({"doctor", "--format", "json"}) == 1);
  CHECK(run.recorded.out.str().find("{\"result\":\"FAIL\",\"part\":\"log\",\"check\":\"read\"") !=
        std::string::npos);
  run.findings = InvalidArgument("there is no such setting");
  CHECK(run({"doctor"}) == 78);
  CHECK(run.recorded.Said("there is no such setting"));
}

}  // namespace
}  // namespace millrace
