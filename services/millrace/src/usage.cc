#include "usage.h"

#include <regex>

namespace millrace {

const char* const kMoreHelp =
    "`millrace VERB --help` or `millrace help VERB` tells more of each verb. A NAME is a name "
    "or namespace.name.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflict, 5 server not\n"
    "available, 78 wrong configuration. Data goes to standard output, all else to standard\n"
    "error.\n\n"
    "First steps:\n"
    "  millrace dev --data-dir ./data\n"
    "  millrace apply flights.sql\n"
    "  millrace produce flights --input flights.csv.zst --end\n"
    "  millrace results delays_hourly --wait";

const char* const kTalksTo =
    "\n\nTalks to --server HOST:PORT, which may stand anywhere (see `millrace --help`).";

const char* const kResultsExample =
    "  millrace results delays_hourly --wait --key origin=LAX --from 2001-01-05 "
    "--to 2001-01-06\n\n"
    "Rows of closed windows are in Parquet files too, in the server's data directory, under\n"
    "  objects/NAMESPACE/results/NAME@OFFSET/*/*.parquet\n"
    "OFFSET tells a view from a dropped one that had its name. `millrace pipeline describe "
    "NAME`\n"
    "shows the whole path as result_files.";

std::string Reworded(std::string message, const std::string& command) {
  while (message.ends_with('\n') || message.ends_with('.')) message.pop_back();
  std::string facts;
  std::smatch found;
  if (std::regex_match(message, found, std::regex("Could not convert: (\\S+) = (.*)"))) {
    facts = " value=\"" + found[2].str() + "\"";
    message = found[1].str() + " takes a number";
  } else if (std::regex_match(message, found,
                              std::regex("(.*[^ :]):?( [a-z_]+=(?:\"[^\"]*\"|\\S+))"))) {
    facts = ":" + found[2].str();
    message = found[1].str();
  }
  return message + "; see `" + command + " --help`" + facts;
}

}  // namespace millrace
