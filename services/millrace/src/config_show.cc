#include "config_show.h"

namespace millrace {

int RunConfigShow(const Result<std::vector<config::Settings::Shown>>& settings,
                  const ConfigShowOptions& options, const cli::Console& console) {
  if (!settings.ok()) {
    console.Fail(settings.error());
    return cli::kExitConfig;
  }
  ServingTable table;
  table.names = {"setting", "value"};
  if (options.origin) table.names.push_back("origin");
  table.names.push_back("help");
  table.types.assign(table.names.size(), Type::kText);
  for (const config::Settings::Shown& s : *settings) {
    std::vector<std::string> cells = {s.key, s.value};
    if (options.origin) cells.push_back(s.origin);
    cells.push_back(s.help);
    std::vector<Value> row;
    for (std::string& cell : cells) row.push_back({Type::kText, std::move(cell)});
    table.rows.push_back(std::move(row));
  }
  cli::WriteTable(table, options.format, console);
  return console.Finish();
}

}  // namespace millrace
