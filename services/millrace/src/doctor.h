#pragma once

#include "millrace/cli/console.h"
#include "millrace/cli/format.h"
#include "millrace/config/settings.h"
#include "millrace/doctor/probe.h"

namespace millrace {

struct DoctorOptions {
  config::Sources sources;
  cli::Format format = cli::Format::kTable;
};

/// Writes a line for each finding and gives the exit code: 1 if a check failed.
int RunDoctor(const Result<doctor::Findings>& findings, const DoctorOptions& options,
              const cli::Console& console);

}  // namespace millrace
