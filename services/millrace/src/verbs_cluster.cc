#include "command_line.h"
#include "usage.h"

// The verbs that a coordinator answers.

namespace millrace {

void CommandLine::AddClusterVerbs() {
  AddApply();
  AddStream();
  AddPipeline();
  AddCluster();
  AddShard();
  AddQueries();
}

void CommandLine::AddApply() {
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

void CommandLine::AddStream() {
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

void CommandLine::AddPipeline() {
  CLI::App* pipeline = Group("pipeline", "Look at pipelines; pause, resume or drop one.");
  AddFormat(ClusterVerbOf(
      pipeline, "list", "List the pipelines with state and watermark.", "  millrace pipeline list",
      [this](operations::Operations& c) { return cli::RunPipelineList(c, format_, console_); }));
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
  CLI::App* resume =
      ClusterVerbOf(pipeline, "resume", "Let a paused pipeline read on where it stands.",
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

void CommandLine::AddCluster() {
  CLI::App* cluster = Group("cluster", "Look at settings; set what holds for all workers.");
  AddFormat(ClusterVerbOf(cluster, "settings", "List what is set of streams, pipelines and all.",
                          "  millrace cluster settings", [this](operations::Operations& c) {
                            return cli::RunClusterSettings(c, format_, console_);
                          }));
  CLI::App* set = ClusterVerbOf(
      cluster, "set", "Set balance or followers (on, off), or expected_workers (0 to 1,000).",
      "  millrace cluster set balance off\n"
      "  millrace cluster set followers on\n"
      "  millrace cluster set expected_workers 5",
      [this](operations::Operations& c) { return cli::RunClusterSet(c, set_, console_); });
  AddWord(set, "SETTING", &set_.key, "balance, followers or expected_workers");
  AddWord(set, "VALUE", &set_.value, "its value");
}

void CommandLine::AddShard() {
  CLI::App* shard = Group(
      "shard", "Look at shards; try a halted one again, or bring it past what it cannot read.");
  AddFormat(ClusterVerbOf(shard, "list", "List the shards with state, offsets and why they halted.",
                          "  millrace shard list", [this](operations::Operations& c) {
                            return cli::RunShardList(c, format_, console_);
                          }));
  CLI::App* release = ClusterVerbOf(
      shard, "release",
      "Let workers have a shard again that was held because workers died with it.",
      "  millrace shard release default/delays_hourly@17/p2",
      [this](operations::Operations& c) { return cli::RunShardRelease(c, released_, console_); });
  AddWord(release, "SHARD", &released_, "as `millrace shard list` shows it");
  CLI::App* pin = ClusterVerbOf(
      shard, "pin", "Let a worker have a shard, and all on its partition, whenever it is there.",
      "  millrace shard pin default/delays_hourly@17/p2 worker-3",
      [this](operations::Operations& c) { return cli::RunShardPin(c, name_, worker_, console_); });
  AddWord(pin, "SHARD", &name_, "as `millrace shard list` shows it");
  AddWord(pin, "WORKER", &worker_, "its name");
  CLI::App* unpin = ClusterVerbOf(
      shard, "unpin", "Let any worker have a shard, and all on its partition.",
      "  millrace shard unpin default/delays_hourly@17/p2",
      [this](operations::Operations& c) { return cli::RunShardPin(c, name_, "", console_); });
  AddWord(unpin, "SHARD", &name_, "as `millrace shard list` shows it");
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

CLI::App* CommandLine::AddQuery(const std::string& name, Output output,
                                const std::string& description, const std::string& example) {
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

void CommandLine::AddQueries() {
  CLI::App* results =
      AddQuery("results", Output::kResults, "Show the results of a pipeline, by window and group.",
               kResultsExample);
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

}  // namespace millrace
