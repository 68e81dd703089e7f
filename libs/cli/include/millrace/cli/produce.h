#pragma once

#include <optional>
#include <string>

#include "millrace/cli/console.h"
#include "millrace/cli/event_sink.h"
#include "millrace/operations/operations.h"

namespace millrace::cli {

struct ProduceOptions {
  std::string stream{};
  std::string input;                    ///< a file, or "-"
  std::optional<std::string> format{};  ///< "csv" or "json"; by name or first byte if absent
  double rate = 0;                      ///< events a second; 0: as fast as they are taken
  std::optional<std::string> producer_id{};
  bool end = false;                      ///< afterwards the stream is at its end
  std::optional<std::string> rejects{};  ///< file for refused records; another for the reasons
  bool dry_run = false;                  ///< judges every record, sends none
};

inline constexpr std::string_view kDefaultProducerId = "produce";

/// Sends every record of the input as an event. The producer is named after the content of the
/// file and events are numbered by their record, so a run that follows a crash sends the same
/// events under the same numbers, and nothing counts twice. Ends with a line of totals on
/// `console.err`; kExitRuntime if any event was refused.
int RunProduce(operations::Operations& cluster, const OpenEventSink& open,
               const ProduceOptions& options, const Console& console);

}  // namespace millrace::cli
