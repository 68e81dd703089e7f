#pragma once

#include <vector>

#include "millrace/cli/console.h"
#include "millrace/cli/format.h"
#include "millrace/config/settings.h"

namespace millrace {

struct ConfigShowOptions {
  config::Sources sources;
  bool origin = false;  ///< also where each value is from
  cli::Format format = cli::Format::kTable;
};

/// Writes the settings as a table and gives the exit code.
int RunConfigShow(const Result<std::vector<config::Settings::Shown>>& settings,
                  const ConfigShowOptions& options, const cli::Console& console);

}  // namespace millrace
