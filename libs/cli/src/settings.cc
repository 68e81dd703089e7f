#include "millrace/base/run_now.h"
#include "millrace/cli/commands.h"

namespace millrace::cli {

namespace {

/// What belongs to the cluster has no name.
Value TextOrNull(const std::string& text) {
  if (text.empty()) return {Type::kText, {}};
  return {Type::kText, text};
}

}  // namespace

int RunPipelinePause(operations::Operations& cluster, const std::string& text, bool paused,
                     const Console& console) {
  const QualifiedName name = QualifiedName::Parse(text);
  const Status set =
      RunNow(cluster.Set({name.name_space, name.name, "paused", paused ? "on" : "off"}));
  if (!set.ok()) return console.Fail(set.error());
  console.Note((paused ? "the pipeline reads nothing until `millrace pipeline resume` pipeline="
                       : "the pipeline reads on pipeline=") +
               name.ToString());
  return kExitOk;
}

int RunClusterSettings(operations::Operations& cluster, Format format, const Console& console) {
  const auto settings = RunNow(cluster.ListSettings());
  if (!settings.ok()) return console.Fail(settings.error());
  ServingTable table{{"namespace", "name", "setting", "value"},
                     {Type::kText, Type::kText, Type::kText, Type::kText},
                     {}};
  for (const operations::Setting& s : *settings)
    table.rows.push_back({TextOrNull(s.name_space),
                          TextOrNull(s.name),
                          {Type::kText, s.key},
                          {Type::kText, s.value}});
  WriteTable(table, format, console);
  return console.Finish();
}

int RunClusterSet(operations::Operations& cluster, const ClusterSetOptions& options,
                  const Console& console) {
  const Status set = RunNow(cluster.Set({"default", "", options.key, options.value}));
  if (!set.ok()) {
    // What a cluster finds wrong with a setting stands on the command line.
    if (set.error().code == Code::kInvalidArgument) return console.FailUsage(set.error().message);
    return console.Fail(set.error());
  }
  console.Note("set " + options.key + "=" + options.value);
  return kExitOk;
}

}  // namespace millrace::cli
