#include "args.h"

#include <sstream>

#include "command_line.h"
#include "millrace/base/host_port.h"
#include "millrace/base/version.h"
#include "usage.h"

namespace millrace {

using cli::Console;
using cli::Format;
namespace {

constexpr const char* kDefaultServer = "127.0.0.1:7171";
constexpr size_t kOptionColumn = 34;

}  // namespace

CommandLine::CommandLine(const Wiring& wiring, const Console& console)
    : wiring_(wiring),
      console_(console),
      app_("Windowed results from streams, exactly once.", "millrace") {
  app_.require_subcommand(1);
  app_.fallthrough();
  app_.set_help_flag("-h,--help", "show this help and exit");
  app_.set_version_flag("--version", "millrace " + std::string(Version()),
                        "show the version and exit");
  app_.get_formatter()->column_width(kOptionColumn);
  app_.get_formatter()->label("REQUIRED", "(required)");
  app_.get_formatter()->label("SUBCOMMAND", "VERB");
  server_option_ =
      app_.add_option("--server", server_,
                      "gRPC address that the verbs talk to, or several with commas between: each "
                      "verb asks one that can answer [default: MILLRACE_SERVER from the "
                      "environment, else 127.0.0.1:7171]")
          ->type_name("HOST:PORT");
  AddLocalVerbs();
  AddClusterVerbs();
  AddAnswers();
  app_.footer(kMoreHelp);
}

int CommandLine::Run(int argc, const char* const* argv, const char* environment_server) {
  if (argc < 2) {
    console_.err << app_.help();
    return cli::kExitUsage;
  }
  try {
    app_.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return ShowHelp(e);
    return console_.FailUsage(Explain(e));
  }
  const bool given = server_option_->count() > 0;
  if (!given)
    server_ = environment_server != nullptr && *environment_server != '\0' ? environment_server
                                                                           : kDefaultServer;
  auto servers = ParseHostPorts(server_);
  if (!servers.ok() && given) return console_.FailUsage("--server: " + servers.error().message);
  if (!servers.ok()) {
    console_.Note("error: MILLRACE_SERVER in the environment: " + servers.error().message);
    return cli::kExitConfig;
  }
  servers_ = std::move(*servers);
  return run_();
}

CLI::App* CommandLine::Verb(CLI::App* parent, const std::string& name,
                            const std::string& description, const std::string& example,
                            std::function<int()> run) {
  CLI::App* verb = parent->add_subcommand(name, description);
  verb->footer("Example:\n" + example);
  verb->callback([this, run = std::move(run)] { run_ = run; });
  return verb;
}

CLI::App* CommandLine::ClusterVerbOf(CLI::App* parent, const std::string& name,
                                     const std::string& description, const std::string& example,
                                     ClusterVerb run) {
  return Verb(parent, name, description, example + kTalksTo,
              [this, run = std::move(run)] { return run(*wiring_.connect(servers_)); });
}

CLI::App* CommandLine::Group(const std::string& name, const std::string& description) {
  CLI::App* group = app_.add_subcommand(name, description);
  group->require_subcommand(1);
  group->footer("`millrace " + name + " VERB --help` tells more of each verb.");
  return group;
}

void CommandLine::AddWord(CLI::App* verb, const std::string& name, std::string* to,
                          const std::string& help) {
  verb->add_option(name, *to, help)->required()->type_name("");
}

void CommandLine::AddName(CLI::App* verb, const std::string& what) {
  AddWord(verb, "NAME", &name_, what);
}

void CommandLine::AddFormat(CLI::App* verb) {
  verb->add_option_function<std::string>(
          "--format", [this](const std::string& name) { format_ = *cli::ParseFormat(name); },
          "table, csv or json (one object a line) [default: table]")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"table", "csv", "json"}));
}

CLI::Option* CommandLine::AddSetting(CLI::App* verb, const std::string& option,
                                     const std::string& key, const std::string& help,
                                     config::Sources* sources) {
  return verb->add_option_function<std::string>(
      option, [=](const std::string& value) { sources->flags.push_back({key, value, option}); },
      help);
}

void CommandLine::AddSources(CLI::App* verb, config::Sources* sources) {
  verb->add_option("--config", sources->file, "YAML file of settings (docs/configuration.md)")
      ->type_name("FILE");
  verb->add_option_function<std::vector<std::string>>(
          "--set",
          [sources](const std::vector<std::string>& texts) {
            for (const std::string& text : texts)
              sources->flags.push_back(config::ParseAssignment(text, "--set").value());
          },
          "one setting, which wins over the environment and the file; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->check(CLI::Validator(
          [](std::string& text) {
            const auto given = config::ParseAssignment(text, "--set");
            return given.ok() ? std::string() : given.error().message;
          },
          ""));
}

int CommandLine::Help(const std::vector<std::string>& words) {
  const CLI::App* at = &app_;
  std::string path;
  for (const std::string& word : words) {
    path += (path.empty() ? "" : " ") + at->get_name();
    const auto verbs =
        at->get_subcommands([&](const CLI::App* verb) { return verb->get_name() == word; });
    if (verbs.empty())
      return console_.FailUsage("no such verb: " + word + "; see `" + path + " --help`");
    at = verbs.front();
  }
  console_.out << at->help(path);
  return console_.Finish();
}

int CommandLine::ShowHelp(const CLI::ParseError& e) {
  std::ostringstream unused;
  app_.exit(e, console_.out, unused);
  return console_.Finish();
}

std::string CommandLine::Explain(const CLI::ParseError& e) const {
  std::string command = "millrace";
  const CLI::App* at = &app_;
  for (;;) {
    const auto parsed = at->get_subcommands();
    if (parsed.empty()) break;
    at = parsed.front();
    command += " " + at->get_name();
  }
  std::string message = e.what();
  const std::vector<std::string> unknown = app_.remaining(true);
  const bool lacks_verb = at->get_require_subcommand_min() > 0;
  if (lacks_verb && !unknown.empty()) {
    message = "no such verb: " + unknown.front();
  } else if (lacks_verb) {
    message = "a verb is missing";
  } else if (message.starts_with("The ")) {
    message[0] = 't';
  }
  return Reworded(std::move(message), command);
}

int RunCommandLine(int argc, const char* const* argv, const char* environment_server,
                   const Wiring& wiring, const cli::Console& console) {
  return CommandLine(wiring, console).Run(argc, argv, environment_server);
}

}  // namespace millrace
