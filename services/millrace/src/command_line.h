#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <vector>

#include "args.h"
#include "healthcheck.h"
#include "millrace/cli/commands.h"
#include "millrace/cli/produce.h"

namespace millrace {

/// The command line: its options, where their values go, and what to run. Each file verbs_*.cc adds
/// the verbs of one kind.
class CommandLine {
 public:
  CommandLine(const Wiring& wiring, const cli::Console& console);

  int Run(int argc, const char* const* argv, const char* environment_server);

 private:
  using ClusterVerb = std::function<int(operations::Operations&)>;

  void AddLocalVerbs();
  void AddClusterVerbs();
  void AddAnswers();

  CLI::App* Verb(CLI::App* parent, const std::string& name, const std::string& description,
                 const std::string& example, std::function<int()> run);
  CLI::App* ClusterVerbOf(CLI::App* parent, const std::string& name, const std::string& description,
                          const std::string& example, ClusterVerb run);
  CLI::App* Group(const std::string& name, const std::string& description);
  static void AddWord(CLI::App* verb, const std::string& name, std::string* to,
                      const std::string& help);
  void AddName(CLI::App* verb, const std::string& what);
  void AddFormat(CLI::App* verb);
  /// An option that is a setting of its own.
  static CLI::Option* AddSetting(CLI::App* verb, const std::string& option, const std::string& key,
                                 const std::string& help, config::Sources* sources);
  static void AddSources(CLI::App* verb, config::Sources* sources);
  void AddDev();
  void AddConfig();
  void AddDoctor();
  void AddHealthcheck();
  void AddApply();
  void AddProduce();
  void AddStream();
  void AddPipeline();
  void AddCluster();
  void AddShard();
  CLI::App* AddQuery(const std::string& name, Output output, const std::string& description,
                     const std::string& example);
  void AddQueries();
  void AddHelp();
  int Help(const std::vector<std::string>& words);
  static CLI::Validator IsAddress();
  int ShowHelp(const CLI::ParseError& e);
  /// What is wrong, and whose help tells more.
  std::string Explain(const CLI::ParseError& e) const;

  const Wiring& wiring_;
  const cli::Console& console_;
  CLI::App app_;
  CLI::Option* server_option_ = nullptr;
  std::function<int()> run_;

  std::string server_;
  std::vector<std::string> servers_;
  std::string name_;
  std::vector<std::string> help_of_;
  cli::Format format_ = cli::Format::kTable;
  process::Start dev_;
  ConfigShowOptions config_;
  DoctorOptions doctor_;
  HealthcheckOptions healthcheck_;
  cli::ApplyOptions apply_;
  cli::ProduceOptions produce_;
  std::string advance_to_;
  cli::ClusterSetOptions set_;
  cli::ShardSkipOptions skip_;
  std::string released_;
  std::string worker_;
  cli::QueryOptions query_;
};

}  // namespace millrace
