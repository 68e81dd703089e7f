#include <CLI/CLI.hpp>

#include <cstdio>
#include <optional>

#include "millrace/base/version.h"
#include "millrace/process/daemon.h"
#include "millrace/process/failures.h"

namespace millrace::process {

int RunDaemon(int argc, char** argv, const Program& program,
              const std::function<Status(Daemon&)>& run) {
  constexpr int kUsage = 2;
  Start start;
  std::vector<std::string> assignments;
  CLI::App app(program.description, program.name);
  app.set_help_flag("-h,--help", "show this help and exit");
  app.set_version_flag("--version", program.name + (" " + std::string(Version())),
                       "show the version and exit");
  app.add_option("--config", start.sources.file, "YAML file of settings (docs/configuration.md)")
      ->type_name("FILE");
  app.add_option("--set", assignments,
                 "one setting, which wins over the environment and the file; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  if (program.may_adopt)
    app.add_flag("--adopt", start.adopt, "take over stores of another cluster: after a restore");
  app.add_flag("--check-config", start.check_only, "say whether the settings fit; run nothing");
  app.footer(
      "Prints `ready ...` with its addresses when it is ready. SIGTERM lets it end its work "
      "first,\n"
      "a second one stops it at once. `millrace config show` lists every setting.\n"
      "Exit codes: 0 stopped, 1 failed, 2 wrong usage, 78 wrong configuration.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    std::fprintf(stderr, "%s: %s; see `%s --help`\n", program.name, e.what(), program.name);
    return kUsage;
  }
  for (const std::string& text : assignments) {
    const auto given = config::ParseAssignment(text, "--set");
    if (!given.ok()) {
      std::fprintf(stderr, "%s: --set: %s\n", program.name, given.error().message.c_str());
      return kUsage;
    }
    start.sources.flags.push_back(*given);
  }
  return Run(program, start, run);
}

}  // namespace millrace::process
