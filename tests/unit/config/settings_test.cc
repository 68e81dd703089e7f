#include "millrace/config/settings.h"

#include <filesystem>
#include <fstream>

#include "support/catch.h"
#include "support/temp_dir.h"

namespace millrace::config {
namespace {

enum class Kind { kEmbedded, kKafka };

/// What a program might have.
struct Program {
  Kind kind = Kind::kEmbedded;
  std::string brokers;
  std::string password;
  int replication = 3;
  bool tls = false;
  Settings settings;

  Program() {
    settings.Choice("log.kind", &kind, {{"embedded", Kind::kEmbedded}, {"kafka", Kind::kKafka}},
                    "where events are kept");
    settings.Text("log.kafka.brokers", &brokers, "host:port, several with commas between");
    settings.Secret("log.kafka.password", &password, "of the user");
    settings.Number("log.kafka.replication", &replication, 1, 9, "copies of a record");
    settings.Switch("log.kafka.tls", &tls, "whether connections are encrypted");
  }
};

struct Files {
  test::TempDir dir;

  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = dir.Sub(name);
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
};

std::string ErrorOf(const Sources& sources) {
  Program program;
  const Status loaded = program.settings.Load(sources);
  if (loaded.ok()) return "";
  CHECK(loaded.error().code == Code::kInvalidArgument);
  return loaded.error().message;
}

TEST_CASE("settings come from a file, the environment and flags, and the later wins") {
  const Files files;
  const std::string path = files.Write("a.yaml", R"(
# a comment
log:
  kind: kafka
  kafka:
    brokers: [one:9092, "two:9092"]
    replication: 1
    tls: true
)");
  Program program;
  const Status loaded = program.settings.Load(
      {path,
       {"PATH=/bin", "MILLRACE_SERVER=x:1", "MILLRACE_LOG__KAFKA__REPLICATION=2",
        "MILLRACE_LOG__KAFKA__TLS=false"},
       {{"log.kafka.replication", "5", "--set"}}});
  REQUIRE(loaded.ok());
  CHECK(program.kind == Kind::kKafka);
  CHECK(program.brokers == "one:9092,two:9092");
  CHECK(program.replication == 5);
  CHECK_FALSE(program.tls);

  std::string shown;
  for (const Settings::Shown& s : program.settings.Show())
    shown += s.key + " " + s.value + " " + s.origin + "\n";
  CHECK(shown == "log.kind kafka " + path + ":4\n" +                           //
                     "log.kafka.brokers one:9092,two:9092 " + path + ":6\n" +  //
                     "log.kafka.password (not set) default\n" +                //
                     "log.kafka.replication 5 --set\n" +                       //
                     "log.kafka.tls false MILLRACE_LOG__KAFKA__TLS\n");
}

TEST_CASE("without any source every setting keeps its default") {
  const Files files;
  Program program;
  REQUIRE(program.settings.Load({files.Write("empty.yaml", "# nothing yet\n"), {}, {}}).ok());
  CHECK(program.kind == Kind::kEmbedded);
  CHECK(program.replication == 3);
}

TEST_CASE("a secret can be kept in a file and is never shown") {
  const Files files;
  const std::string secret = files.Write("secret", "pa ss\n\n");
  Program program;
  REQUIRE(program.settings.Load({"", {"MILLRACE_LOG__KAFKA__PASSWORD_FILE=" + secret}, {}}).ok());
  CHECK(program.password == "pa ss\n");  // one line feed is the editor's
  for (const Settings::Shown& s : program.settings.Show()) {
    CHECK(s.value.find("pa ss") == std::string::npos);
    if (s.key == "log.kafka.password") CHECK(s.value == "(set)");
  }
}

TEST_CASE("what is wrong in a configuration is named with its line") {
  const Files files;
  const auto in_file = [&](const std::string& text) {
    const std::string path = files.Write("x.yaml", text);
    std::string error = ErrorOf({path, {}, {}});
    for (size_t at; (at = error.find(path)) != std::string::npos;)
      error.replace(at, path.size(), "F");
    return error;
  };
  CHECK(in_file("log:\n  kindd: kafka\n") ==
        "there is no such setting; did you mean log.kind?: setting=log.kindd at=F:2");
  CHECK(in_file("queue:\n  depth: 3\n") == "there is no such setting: setting=queue.depth at=F:2");
  CHECK(in_file("log:\n  kind: kafak\n") ==
        "a setting has a wrong value; it is one of embedded, kafka: setting=log.kind value=kafak "
        "at=F:2");
  CHECK(in_file("log:\n  kafka:\n    replication: 10\n") ==
        "a setting has a wrong value; it is a number from 1 to 9: setting=log.kafka.replication "
        "value=10 at=F:3");
  CHECK(
      in_file("log:\n  kafka:\n    replication: 3x\n").starts_with("a setting has a wrong value"));
  CHECK(in_file("log:\n  kafka:\n    tls: yes\n").starts_with("a setting has a wrong value"));
  CHECK(in_file("log:\n  kind: kafka\n  kind: embedded\n") ==
        "a setting is given twice in one place: leave one of them out: setting=log.kind at=F:3");
  CHECK(in_file("log:\n  kafka: one:9092\n") ==
        "this is a section and takes no value itself: section=log.kafka has=log.kafka.brokers "
        "at=F:2");
  CHECK(in_file("log:\n  kind:\n").starts_with("a setting has no value"));
  CHECK(in_file("log:\n  kind:\n    - a: b\n").starts_with("a list in a configuration"));
  CHECK(in_file("- log\n").starts_with("a configuration is a map of sections"));
  CHECK(in_file("log: {kind: kafka\n").starts_with("a configuration is no YAML: at=F:"));
  CHECK(in_file("log:\n  kind.file: x\n").starts_with("there is no such setting"));
}

TEST_CASE("files of a configuration that cannot be read are named") {
  const Files files;
  CHECK(ErrorOf({files.dir.Sub("none.yaml"), {}, {}}) ==
        "a file of the configuration cannot be read: path=" + files.dir.Sub("none.yaml"));
  CHECK(ErrorOf({std::filesystem::path(files.dir.Sub("x")).parent_path().string(), {}, {}})
            .starts_with("a file of the configuration cannot be read"));
  CHECK(ErrorOf({files.Write("large.yaml", std::string(2 << 20, '#')), {}, {}})
            .starts_with("a file of the configuration is larger than any can be"));
  CHECK(ErrorOf({"", {}, {{"log.kafka.password_file", "/no/such", "--set"}}}) ==
        "reading log.kafka.password_file of --set: a file of the configuration cannot be read: "
        "path=/no/such");
}

TEST_CASE("an unknown name in the environment or a flag is refused too") {
  CHECK(ErrorOf({"", {"MILLRACE_LOG__KIN=kafka"}, {}}) ==
        "there is no such setting; did you mean log.kind?: setting=log.kin at=MILLRACE_LOG__KIN");
  CHECK(ErrorOf({"", {}, {{"log.kafka.brokers_file", "x", "--set"}}})
            .starts_with("there is no such setting"));
}

}  // namespace
}  // namespace millrace::config
