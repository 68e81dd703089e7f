#include "command_line.h"
#include "millrace/base/host_port.h"
#include "usage.h"

// The verbs that need no cluster, and produce, which talks to gateways.

namespace millrace {

void CommandLine::AddLocalVerbs() {
  AddDev();
  AddConfig();
  AddDoctor();
  AddHealthcheck();
  AddProduce();
}

/// Those that say something of this program.
void CommandLine::AddAnswers() {
  Verb(&app_, "version", "Show the version.", "  millrace version",
       [this] { return cli::RunVersion(console_); });
  AddHelp();
}

void CommandLine::AddDev() {
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

void CommandLine::AddConfig() {
  CLI::App* config = Group("config", "Look at the settings of `millrace dev` and of the daemons.");
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

void CommandLine::AddDoctor() {
  CLI::App* doctor = Verb(
      &app_, "doctor", "Examine the log, the stores and the disk that Millrace would run on.",
      "  millrace doctor --data-dir ./data --config kafka.yaml\n\n"
      "One line a check: ok, warn or FAIL, what was found, and what to change. It makes a topic,\n"
      "a few objects and a schema of its own and removes them; Millrace may run at the same time. "
      "Exit\n"
      "code 1 if a check failed, 78 if the configuration is wrong.",
      [this] {
        doctor_.format = format_;
        return RunDoctor(wiring_.examine(doctor_.sources), doctor_, console_);
      });
  AddSetting(doctor, "--data-dir", "process.data_dir", "where everything is kept", &doctor_.sources)
      ->type_name("DIR");
  AddSources(doctor, &doctor_.sources);
  AddFormat(doctor);
}

void CommandLine::AddHealthcheck() {
  CLI::App* verb = Verb(
      &app_, "healthcheck", "Say by the exit code whether a process of Millrace is well.",
      "  millrace healthcheck --admin 127.0.0.1:7172\n\n"
      "Exit code 0: it is ready. 1: it is not, and standard error says why. 5: nobody answers.",
      [this] { return RunHealthcheck(healthcheck_, console_); });
  verb->add_option("--admin", healthcheck_.admin,
                   "HTTP address of the process [default: 127.0.0.1:7172]")
      ->type_name("HOST:PORT")
      ->check(IsAddress());
  verb->add_flag("--live", healthcheck_.live,
                 "ask only whether it answers, not whether it is ready");
}

void CommandLine::AddProduce() {
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
        return cli::RunProduce(*wiring_.connect(servers_), wiring_.sinks(servers_), produce_,
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
      ->add_option("--rate", produce_.rate,
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

void CommandLine::AddHelp() {
  Verb(&app_, "help", "Show the help of a verb.",
       "  millrace help stream advance\n\n"
       "The same as `millrace stream advance --help`; without a verb, as `millrace --help`.",
       // This one has parsed a verb already, whose help it would give.
       [this] { return CommandLine(wiring_, console_).Help(help_of_); })
      ->add_option("VERB", help_of_, "the words of the verb")
      ->type_name("");
}

CLI::Validator CommandLine::IsAddress() {
  return {[](std::string& text) {
            const auto address = ParseHostPort(text);
            return address.ok() ? std::string() : address.error().message;
          },
          ""};
}

}  // namespace millrace
