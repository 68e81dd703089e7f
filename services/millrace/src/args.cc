#include "args.h"

#include <CLI/CLI.hpp>
#include <sstream>

#include "millrace/base/host_port.h"
#include "millrace/base/version.h"
#include "millrace/cli/commands.h"
#include "millrace/cli/produce.h"
#include "usage.h"

namespace millrace {
namespace {

using cli::Console;
using cli::Format;

constexpr const char* kDefaultServer = "127.0.0.1:7171";
constexpr size_t kOptionColumn = 34;
constexpr const char* kTalksTo =
    "\n\nTalks to --server HOST:PORT, which may stand anywhere (see `millrace --help`).";

/// The command line: its options, where their values go, and what to run.
class CommandLine {
 public:
  CommandLine(const Wiring& wiring, const Console& console)
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
                        "gRPC address that the verbs talk to [default: MILLRACE_SERVER from the "
                        "environment, else 127.0.0.1:7171]")
            ->type_name("HOST:PORT");
    AddDev();
    AddConfig();
    AddApply();
    AddProduce();
    AddStream();
    AddPipeline();
    AddCluster();
    AddShard();
    AddQueries();
    Verb(&app_, "version", "Show the version.", "  millrace version",
         [this] { return cli::RunVersion(console_); });
    AddHelp();
    app_.footer(kMoreHelp);
  }

  int Run(int argc, const char* const* argv, const char* environment_server) {
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
    if (server_option_->count() > 0) {
      const auto given = ParseHostPort(server_);
      if (!given.ok()) return console_.FailUsage("--server: " + given.error().message);
    } else {
      server_ = environment_server != nullptr && *environment_server != '\0' ? environment_server
                                                                             : kDefaultServer;
      const auto configured = ParseHostPort(server_);
      if (!configured.ok()) {
        console_.Note("error: MILLRACE_SERVER in the environment: " + configured.error().message);
        return cli::kExitConfig;
      }
    }
    return run_();
  }

 private:
  using ClusterVerb = std::function<int(operations::Operations&)>;

  CLI::App* Verb(CLI::App* parent, const std::string& name, const std::string& description,
                 const std::string& example, std::function<int()> run) {
    CLI::App* verb = parent->add_subcommand(name, description);
    verb->footer("Example:\n" + example);
    verb->callback([this, run = std::move(run)] { run_ = run; });
    return verb;
  }

  CLI::App* ClusterVerbOf(CLI::App* parent, const std::string& name, const std::string& description,
                          const std::string& example, ClusterVerb run) {
    return Verb(parent, name, description, example + kTalksTo,
                [this, run = std::move(run)] { return run(*wiring_.connect(server_)); });
  }

  CLI::App* Group(const std::string& name, const std::string& description) {
    CLI::App* group = app_.add_subcommand(name, description);
    group->require_subcommand(1);
    group->footer("`millrace " + name + " VERB --help` tells more of each verb.");
    return group;
  }

  static void AddWord(CLI::App* verb, const std::string& name, std::string* to,
                      const std::string& help) {
    verb->add_option(name, *to, help)->required()->type_name("");
  }

  void AddName(CLI::App* verb, const std::string& what) { AddWord(verb, "NAME", &name_, what); }

  void AddFormat(CLI::App* verb) {
    verb->add_option_function<std::string>(
            "--format", [this](const std::string& name) { format_ = *cli::ParseFormat(name); },
            "table, csv or json (one object a line) [default: table]")
        ->type_name("FORMAT")
        ->check(CLI::IsMember({"table", "csv", "json"}));
  }

  /// An option that is a setting of its own.
  static CLI::Option* AddSetting(CLI::App* verb, const std::string& option, const std::string& key,
                                 const std::string& help, config::Sources* sources) {
    return verb->add_option_function<std::string>(
        option, [=](const std::string& value) { sources->flags.push_back({key, value, option}); },
        help);
  }

  static void AddSources(CLI::App* verb, config::Sources* sources) {
    verb->add_option("--config", sources->file, "YAML file of settings (docs/configuration.md)")
        ->type_name("FILE");
    verb->add_option_function<std::vector<std::string>>(
            "--set",
            [sources](const std::vector<std::string>& texts) {
              for (const std::string& text : texts) {
                const size_t equals = text.find('=');
                sources->flags.push_back(
                    {text.substr(0, equals), text.substr(equals + 1), "--set"});
              }
            },
            "one setting, which wins over the environment and the file; may be repeated")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false)
        ->check(CLI::Validator(
            [](std::string& text) {
              return text.find('=') == std::string::npos ? "it has no =: value=" + text
                                                         : std::string();
            },
            ""));
  }

  void AddDev() {
    config::Sources* const sources = &dev_.sources;
    CLI::App* dev = Verb(
        &app_, "dev", "Run every role in this process, on embedded defaults or on servers.",
        "  millrace dev --data-dir ./data\n  millrace dev --data-dir ./data --config kafka.yaml\n\n"
        "Prints `ready grpc=HOST:PORT admin=HOST:PORT data_dir=DIR` when it is ready; SIGINT or\n"
        "SIGTERM stops it. `millrace config show` lists every setting.",
        [this] { return wiring_.dev(dev_); });
    AddSetting(dev, "--data-dir", "process.data_dir",
               "where everything is kept: log/, state/, objects/, serving.db; made if missing",
               sources)
        ->type_name("DIR");
    AddSetting(dev, "--listen", "listen.grpc",
               "gRPC address; port 0 takes a free one [default: 127.0.0.1:7171]", sources)
        ->type_name("HOST:PORT")
        ->check(IsAddress());
    AddSetting(dev, "--admin", "listen.admin",
               "HTTP address of /metrics /livez /readyz /version; port 0 takes a free one "
               "[default: 127.0.0.1:7172]",
               sources)
        ->type_name("HOST:PORT")
        ->check(IsAddress());
    AddSources(dev, sources);
    dev->add_flag("--adopt", dev_.adopt, "take over stores of another cluster: after a restore");
    dev->add_flag("--check-config", dev_.check_only, "say whether the settings fit; run nothing");
  }

  void AddConfig() {
    CLI::App* config = Group("config", "Look at the settings of `millrace dev`.");
    CLI::App* show =
        Verb(config, "show", "Show every setting and its value; secrets are hidden.",
             "  millrace config show --config kafka.yaml --origin", [this] {
               config_.format = format_;
               return RunConfigShow(wiring_.settings(config_.sources), config_, console_);
             });
    AddSources(show, &config_.sources);
    show->add_flag("--origin", config_.origin, "also where each value is from");
    AddFormat(show);
  }

  void AddApply() {
    CLI::App* apply = ClusterVerbOf(
        &app_, "apply", "Create and drop the streams and pipelines of a SQL script.",
        "  millrace apply flights.sql\n\n"
        "What is there already with the same definition stays as it is. A script with an error in\n"
        "its SQL creates nothing. A changed definition is a conflict (exit code 4); statements\n"
        "before it stay applied, and the error names them.",
        [this](operations::Operations& c) { return cli::RunApply(c, apply_, console_); });
    apply->add_option("FILE", apply_.file, "SQL script; - is standard input")
        ->required()
        ->type_name("");
    apply->add_flag("--yes", apply_.yes, "drop what the script drops, without a question");
  }

  void AddProduce() {
    CLI::App* produce = Verb(
        &app_, "produce", "Send the records of a file as events.",
        "  millrace produce flights --input flights.csv.zst --end\n"
        "  tail -n +1 -f till-7.jsonl | millrace produce orders --input - --producer-id till-7\n\n"
        "CSV has a header line with column names; an unquoted empty field is NULL, \"\" is empty\n"
        "text. JSON is one object a line. A rerun after a crash sends the same events under the\n"
        "same numbers, so none counts twice: the producer is named after --producer-id and the\n"
        "content of the file, decompressed. A corrected file has other content and counts all of\n"
        "its records: send those that were refused alone (--rejects). Standard input is named by "
        "--producer-id alone: to resume, send the\n"
        "same input again from its first record, as `tail -n +1 -f` of a growing file does. Other\n"
        "records under that id are taken for repeats and dropped. Exit code 1 if an event was\n"
        "refused." +
            std::string(kTalksTo),
        [this] {
          return cli::RunProduce(*wiring_.connect(server_), wiring_.sinks(server_), produce_,
                                 console_);
        });
    produce->add_option("STREAM", produce_.stream, "name or namespace.name")
        ->required()
        ->type_name("");
    produce
        ->add_option("--input", produce_.input,
                     "file, decompressed if it ends in .zst or .gz; - is standard input")
        ->required()
        ->type_name("FILE");
    produce
        ->add_option("--format", produce_.format,
                     "csv or json [default: by the file's name, else by its first byte]")
        ->type_name("FORMAT")
        ->check(CLI::IsMember({"csv", "json"}));
    produce
        ->add_option(
            "--rate", produce_.rate,
            "at most so many events a second; 0 sets no limit, like the default: as fast as "
            "they are taken")
        ->type_name("N");
    produce
        ->add_option("--producer-id", produce_.producer_id,
                     "who sends; needed to resume from standard input, and another for other input "
                     "[default: produce]")
        ->type_name("ID");
    produce
        ->add_option("--rejects", produce_.rejects,
                     "write refused records to FILE, as they were, and why to FILE.reasons")
        ->type_name("FILE");
    produce->add_flag("--dry-run", produce_.dry_run,
                      "judge every record as the server would, and send none");
    produce->add_flag("--end", produce_.end,
                      "if every record was acknowledged bring the stream to its end: every window "
                      "closes, and the stream counts no later event");
  }

  void AddStream() {
    CLI::App* stream = Group("stream", "Look at streams; advance their time.");
    AddFormat(ClusterVerbOf(
        stream, "list", "List the streams.", "  millrace stream list",
        [this](operations::Operations& c) { return cli::RunStreamList(c, format_, console_); }));
    CLI::App* describe = ClusterVerbOf(
        stream, "describe", "Show columns, options and end offsets of a stream.",
        "  millrace stream describe flights --format json", [this](operations::Operations& c) {
          return cli::RunStreamDescribe(c, name_, format_, console_);
        });
    AddName(describe, "of the stream");
    AddFormat(describe);
    CLI::App* advance = ClusterVerbOf(
        stream, "advance", "Say that no event before a time will come: windows up to it close.",
        "  millrace stream advance flights --to 2001-02-01T00:00:00Z\n"
        "  millrace stream advance flights --to end",
        [this](operations::Operations& c) {
          return cli::RunStreamAdvance(c, {name_, advance_to_}, console_);
        });
    AddName(advance, "of the stream");
    advance
        ->add_option("--to", advance_to_,
                     "RFC 3339 time or date (UTC), or end: then everything closes for good")
        ->required()
        ->type_name("TIME|end");
  }

  void AddPipeline() {
    CLI::App* pipeline = Group("pipeline", "Look at pipelines; pause, resume or drop one.");
    AddFormat(ClusterVerbOf(pipeline, "list", "List the pipelines with state and watermark.",
                            "  millrace pipeline list", [this](operations::Operations& c) {
                              return cli::RunPipelineList(c, format_, console_);
                            }));
    CLI::App* describe = ClusterVerbOf(
        pipeline, "describe", "Show window, options, columns and plan of a pipeline.",
        "  millrace pipeline describe delays_hourly", [this](operations::Operations& c) {
          return cli::RunPipelineDescribe(c, name_, format_, console_);
        });
    AddName(describe, "of the pipeline");
    AddFormat(describe);
    CLI::App* pause =
        ClusterVerbOf(pipeline, "pause", "Let a pipeline read nothing until it is resumed.",
                      "  millrace pipeline pause delays_hourly", [this](operations::Operations& c) {
                        return cli::RunPipelinePause(c, name_, true, console_);
                      });
    AddName(pause, "of the pipeline");
    CLI::App* resume = ClusterVerbOf(
        pipeline, "resume", "Let a paused pipeline read on where it stands.",
        "  millrace pipeline resume delays_hourly", [this](operations::Operations& c) {
          return cli::RunPipelinePause(c, name_, false, console_);
        });
    AddName(resume, "of the pipeline");
    CLI::App* drop = ClusterVerbOf(
        pipeline, "drop", "Remove the view and the state of a pipeline; its table and files stay.",
        "  millrace pipeline drop delays_hourly",
        [this](operations::Operations& c) { return cli::RunPipelineDrop(c, name_, console_); });
    AddName(drop, "of the pipeline");
  }

  void AddCluster() {
    CLI::App* cluster = Group("cluster", "Look at settings; set what holds for all workers.");
    AddFormat(ClusterVerbOf(cluster, "settings", "List what is set of streams, pipelines and all.",
                            "  millrace cluster settings", [this](operations::Operations& c) {
                              return cli::RunClusterSettings(c, format_, console_);
                            }));
    CLI::App* set = ClusterVerbOf(
        cluster, "set", "Set balance (on, off) or expected_workers (0 to 1,000).",
        "  millrace cluster set balance off\n"
        "  millrace cluster set expected_workers 5",
        [this](operations::Operations& c) { return cli::RunClusterSet(c, set_, console_); });
    AddWord(set, "SETTING", &set_.key, "balance or expected_workers");
    AddWord(set, "VALUE", &set_.value, "its value");
  }

  void AddShard() {
    CLI::App* shard = Group(
        "shard", "Look at shards; try a halted one again, or bring it past what it cannot read.");
    AddFormat(ClusterVerbOf(
        shard, "list", "List the shards with state, offsets and why they halted.",
        "  millrace shard list",
        [this](operations::Operations& c) { return cli::RunShardList(c, format_, console_); }));
    CLI::App* release = ClusterVerbOf(
        shard, "release",
        "Let workers have a shard again that was held because workers died with it.",
        "  millrace shard release default/delays_hourly@17/p2",
        [this](operations::Operations& c) { return cli::RunShardRelease(c, released_, console_); });
    AddWord(release, "SHARD", &released_, "as `millrace shard list` shows it");
    CLI::App* retry = ClusterVerbOf(
        shard, "retry", "Open a halted shard again, when what halted it was seen to.",
        "  millrace shard retry default/delays_hourly@17/p2",
        [this](operations::Operations& c) { return cli::RunShardRetry(c, name_, console_); });
    AddWord(retry, "SHARD", &name_, "as `millrace shard list` shows it");
    CLI::App* skip = ClusterVerbOf(
        shard, "skip", "Let a halted shard go on at an offset; records before it are left out.",
        "  millrace shard skip default/delays_hourly@17/p2 --to 4711 --reason 'disk lost'",
        [this](operations::Operations& c) { return cli::RunShardSkip(c, skip_, console_); });
    AddWord(skip, "SHARD", &skip_.shard, "as `millrace shard list` shows it");
    skip->add_option("--to", skip_.to, "offset of the first record to read")
        ->required()
        ->type_name("OFFSET");
    skip->add_option("--reason", skip_.reason, "why; not empty, kept in the control log")
        ->required()
        ->type_name("TEXT");
  }

  CLI::App* AddQuery(const std::string& name, Output output, const std::string& description,
                     const std::string& example) {
    CLI::App* verb =
        ClusterVerbOf(&app_, name, description, example, [this, output](operations::Operations& c) {
          query_.name = name_;
          query_.output = output;
          query_.format = format_;
          return cli::RunQuery(c, query_, console_);
        });
    AddName(verb, "of the pipeline");
    verb->add_flag("--wait", query_.wait,
                   "first until everything appended before the call has been applied");
    verb->add_flag("--meta", query_.meta, "also the columns that begin with _");
    AddFormat(verb);
    return verb;
  }

  void AddQueries() {
    CLI::App* results =
        AddQuery("results", Output::kResults,
                 "Show the results of a pipeline, by window and group.", kResultsExample);
    results
        ->add_option(
            "--key", query_.keys,
            "only rows with this value in a group column, written as in CSV: COLUMN= is NULL, "
            "COLUMN=\"\" (the quotes reach millrace) is empty text; may be repeated")
        ->type_name("COLUMN=VALUE")
        ->allow_extra_args(false);
    results->add_option("--from", query_.from, "only windows that start at this time or later")
        ->type_name("TIME");
    results->add_option("--to", query_.to, "only windows that start before this time")
        ->type_name("TIME");
    results->add_flag("--quiet", query_.quiet,
                      "without the line on standard error that counts what the rows do not show: "
                      "late and quarantined events, open windows");
    AddQuery("late", Output::kLate, "Show the events that came too late for a window.",
             "  millrace late delays_hourly --format csv");
    AddQuery("quarantine", Output::kQuarantine,
             "Show the events and rows that could not be used, and why.",
             "  millrace quarantine delays_hourly --format json");
  }

  void AddHelp() {
    Verb(&app_, "help", "Show the help of a verb.",
         "  millrace help stream advance\n\n"
         "The same as `millrace stream advance --help`; without a verb, as `millrace --help`.",
         // This one has parsed a verb already, whose help it would give.
         [this] { return CommandLine(wiring_, console_).Help(help_of_); })
        ->add_option("VERB", help_of_, "the words of the verb")
        ->type_name("");
  }

  int Help(const std::vector<std::string>& words) {
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

  static CLI::Validator IsAddress() {
    return {[](std::string& text) {
              const auto address = ParseHostPort(text);
              return address.ok() ? std::string() : address.error().message;
            },
            ""};
  }

  int ShowHelp(const CLI::ParseError& e) {
    std::ostringstream unused;
    app_.exit(e, console_.out, unused);
    return console_.Finish();
  }

  /// What is wrong, and whose help tells more.
  std::string Explain(const CLI::ParseError& e) const {
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

  const Wiring& wiring_;
  const Console& console_;
  CLI::App app_;
  CLI::Option* server_option_ = nullptr;
  std::function<int()> run_;

  std::string server_;
  std::string name_;
  std::vector<std::string> help_of_;
  Format format_ = Format::kTable;
  DevOptions dev_;
  ConfigShowOptions config_;
  cli::ApplyOptions apply_;
  cli::ProduceOptions produce_;
  std::string advance_to_;
  cli::ClusterSetOptions set_;
  cli::ShardSkipOptions skip_;
  std::string released_;
  cli::QueryOptions query_;
};

}  // namespace

int RunCommandLine(int argc, const char* const* argv, const char* environment_server,
                   const Wiring& wiring, const cli::Console& console) {
  return CommandLine(wiring, console).Run(argc, argv, environment_server);
}

}  // namespace millrace
