#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/cli/console.h"
#include "millrace/cli/format.h"
#include "millrace/cli/names.h"
#include "millrace/operations/operations.h"

namespace millrace::cli {

/// The verbs but `produce` (produce.h). What they ask of a cluster ends without an executor
/// (base/run_now.h). Each gives its exit code and has told of every error.
/// Names are "namespace.name" or "name"; times are as ParseTimeArgument takes them.

struct ApplyOptions {
  std::string file;  ///< "-": standard input
  bool yes = false;  ///< drop what the script drops, without a question
};
int RunApply(operations::Operations& cluster, const ApplyOptions& options, const Console& console);

int RunStreamList(operations::Operations& cluster, Format format, const Console& console);
int RunStreamDescribe(operations::Operations& cluster, const std::string& name, Format format,
                      const Console& console);
struct StreamAdvanceOptions {
  std::string name;
  std::string to;  ///< a time, or "end"
};
int RunStreamAdvance(operations::Operations& cluster, const StreamAdvanceOptions& options,
                     const Console& console);

int RunPipelineList(operations::Operations& cluster, Format format, const Console& console);
int RunPipelineDescribe(operations::Operations& cluster, const std::string& name, Format format,
                        const Console& console);
int RunPipelineDrop(operations::Operations& cluster, const std::string& name,
                    const Console& console);

/// The pipeline reads nothing from now on, or reads on.
int RunPipelinePause(operations::Operations& cluster, const std::string& name, bool paused,
                     const Console& console);

int RunClusterSettings(operations::Operations& cluster, Format format, const Console& console);
struct ClusterSetOptions {
  std::string key;
  std::string value;
};
int RunClusterSet(operations::Operations& cluster, const ClusterSetOptions& options,
                  const Console& console);

int RunShardList(operations::Operations& cluster, Format format, const Console& console);
/// `worker`: the name of the one that is to own the shard, and all on its partition; empty: any.
int RunShardPin(operations::Operations& cluster, const std::string& shard,
                const std::string& worker, const Console& console);
int RunShardRelease(operations::Operations& cluster, const std::string& shard,
                    const Console& console);
struct ShardSkipOptions {
  std::string shard;
  int64_t to = 0;
  std::string reason;
};
int RunShardRetry(operations::Operations& cluster, const std::string& shard,
                  const Console& console);
int RunShardSkip(operations::Operations& cluster, const ShardSkipOptions& options,
                 const Console& console);

/// `results`, `late` and `quarantine`.
struct QueryOptions {
  std::string name;
  Output output = Output::kResults;
  bool wait = false;
  std::vector<std::string> keys{};  ///< "column=value"
  std::optional<std::string> from{};
  std::optional<std::string> to{};
  bool meta = false;
  bool quiet = false;  ///< results: without the line about what the rows do not show
  Format format = Format::kTable;
};
int RunQuery(operations::Operations& cluster, const QueryOptions& options, const Console& console);

int RunVersion(const Console& console);

/// RFC 3339 with a zone, or a date alone: its midnight, UTC. kInvalidArgument; `or_else` goes into
/// its advice.
Result<Micros> ParseTimeArgument(std::string_view text, std::string_view or_else = {});

/// "4 hours", "1 day 30 minutes", "250 milliseconds"; "0" for none.
std::string FormatDuration(Micros duration);

}  // namespace millrace::cli
