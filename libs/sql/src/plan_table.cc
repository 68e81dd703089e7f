#include <algorithm>
#include <cctype>
#include <set>

#include "millrace/base/utf8.h"
#include "options.h"
#include "plan_statement.h"
#include "suggest.h"
#include "typed.h"

namespace millrace {
namespace {

constexpr size_t kMaxColumns = 1'000;
constexpr int32_t kMaxPartitions = 1'024;

/// Name limits that Kafka's topics have.
bool IsTopic(std::string_view name) {
  return !name.empty() && name.size() <= 249 && name != "." && name != ".." &&
         !name.starts_with("__millrace") &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
         });
}

/// Index of the column that option `name` names, or -1 if it is not given.
Result<int32_t> ColumnOption(const Source& source, const Options& options, std::string_view name,
                             const StreamSpec& stream) {
  MILLRACE_ASSIGN(const auto given, options.Text(name));
  if (!given) return -1;
  std::vector<std::string> names;
  for (const ColumnSpec& column : stream.columns) names.push_back(column.name);
  const auto found = std::find(names.begin(), names.end(), *given);
  if (found == names.end()) {
    const std::string folded = FoldCase(*given);
    for (const ColumnSpec& column : stream.columns) {
      if (column.quoted || column.name != folded) continue;
      return source.At(options.Find(name)->location,
                       Quoted(name) + " names no column of this table: " + Quoted(*given),
                       "write '" + folded +
                           "': a column that is not quoted has its name in lower "
                           "case, and events may spell it " +
                           Quoted(*given) + " all the same");
    }
    return source.At(options.Find(name)->location,
                     Quoted(name) + " names no column of this table: " + Quoted(*given),
                     DidYouMean(*given, names, "columns are " + Joined(names)));
  }
  return static_cast<int32_t>(found - names.begin());
}

Status PlanColumns(const Source& source, const TableSyntax& table, StreamSpec* out) {
  if (table.columns.empty()) {
    return source.At(table.name.location, "a stream needs columns",
                     "write CREATE TABLE name (time timestamptz NOT NULL, ...)");
  }
  if (table.columns.size() > kMaxColumns) {
    return source.At(table.name.location, "a stream has at most 1,000 columns");
  }
  const TypeRules types(source);
  std::vector<std::string> names;
  std::vector<int64_t> locations;
  for (const ColumnSyntax& column : table.columns) {
    MILLRACE_ASSIGN(const Type type, types.TypeOf(column.type));
    if (column.name == "window_start" || column.name == "window_end") {
      return source.At(column.location,
                       Quoted(column.name) + " is what a view calls the bound of its window",
                       "give the column another name");
    }
    names.push_back(column.name);
    locations.push_back(column.location);
    out->columns.push_back({column.name, type, column.not_null, column.quoted});
  }
  return CheckColumnNames(source, names, locations);
}

}  // namespace

Status CheckColumnNames(const Source& source, const std::vector<std::string>& names,
                        const std::vector<int64_t>& locations) {
  std::set<std::string> seen;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    if (name.starts_with("_")) {
      return source.At(
          locations[i], "column names that begin with _ are the system's: " + Quoted(name),
          "write \"" + name.substr(std::min(name.size(), name.find_first_not_of('_'))) + "\"");
    }
    if (name.empty() || name.size() > 62 ||
        std::any_of(name.begin(), name.end(),
                    [](unsigned char c) { return std::iscntrl(c) != 0; })) {
      return source.At(locations[i], "not a name for a column: " + Quoted(name),
                       "use at most 62 bytes and no control characters");
    }
    std::string folded = name;
    std::transform(folded.begin(), folded.end(), folded.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (!seen.insert(folded).second) {
      return source.At(locations[i], "column " + Quoted(name) + " is there twice",
                       "give one of them another name");
    }
  }
  return {};
}

/// What cannot hold of a topic that others made and write.
Status CheckForeign(const Source& source, const TableSyntax& table, const Options& options,
                    const StreamSpec& stream) {
  if (stream.format != RecordFormat::kJson)
    return source.At(options.Find("format")->location, "others do not write blocks of ours",
                     "write format = 'json', or leave it out");
  if (options.Find("partitions") == nullptr)
    return source.At(table.name.location, "option \"partitions\" is missing",
                     "write as many as the topic has: partitions = 8");
  for (const std::string_view kept : {"keep_for", "keep_bytes"}) {
    if (options.Find(kept) != nullptr)
      return source.At(options.Find(kept)->location,
                       "nothing is deleted from a topic that others made",
                       "leave " + std::string(kept) + " out; their topic has its own retention");
  }
  if (stream.partitions > 1 && stream.partition_key >= 0 && !stream.partitioned_by_key)
    return source.At(options.Find("partition_key")->location,
                     "others choose the partitions, so equal keys may lie in several",
                     "add partitioned_by_key = on if they partition by the key as Kafka's Java "
                     "clients do; an event in another partition is quarantined");
  return {};
}

Result<StreamSpec> PlanTable(const Source& source, const TableSyntax& table,
                             const PlannerOptions& planner) {
  StreamSpec out;
  out.name_space = table.name.name_space.empty() ? planner.name_space : table.name.name_space;
  out.name = table.name.name;
  out.topic = out.name_space + "." + out.name;
  MILLRACE_TRY(PlanColumns(source, table, &out));

  const Options options(source, table.options, "CREATE TABLE");
  MILLRACE_TRY(
      options.CheckNames({"event_time", "watermark_delay", "partition_key", "partitioned_by_key",
                          "max_ahead", "idle_timeout", "format", "partitions", "ticks", "keep_raw",
                          "topic", "foreign", "keep_for", "keep_bytes"}));

  for (const std::string_view required : {"event_time", "watermark_delay"}) {
    if (options.Find(required) == nullptr) {
      const bool time = required == "event_time";
      return source.At(table.name.location, "option " + Quoted(required) + " is missing",
                       time ? "write WITH (event_time = 'column', watermark_delay = '5 seconds'); "
                              "the column is a timestamptz"
                            : "write WITH (..., watermark_delay = '5 seconds'): how long to wait "
                              "for events that are late");
    }
  }
  MILLRACE_ASSIGN(out.event_time, ColumnOption(source, options, "event_time", out));
  const ColumnSpec& time = out.columns[static_cast<size_t>(out.event_time)];
  if (time.type != Type::kTimestamp) {
    return source.At(options.Find("event_time")->location,
                     "the event time must be a timestamptz column, and " + Quoted(time.name) +
                         " is " + std::string(TypeName(time.type)));
  }
  MILLRACE_TRY(options.ReadDuration("watermark_delay", 0, &out.watermark_delay));
  MILLRACE_ASSIGN(out.partition_key, ColumnOption(source, options, "partition_key", out));
  MILLRACE_TRY(options.ReadSwitch("partitioned_by_key", &out.partitioned_by_key));
  if (out.partitioned_by_key && out.partition_key < 0) {
    return source.At(options.Find("partitioned_by_key")->location,
                     "partitioned_by_key needs a partition_key",
                     "write partition_key = 'column': the column that other writers partition by");
  }
  MILLRACE_TRY(options.ReadDuration("max_ahead", 0, &out.max_ahead));
  MILLRACE_TRY(options.ReadDuration("idle_timeout", 1, &out.idle_timeout));
  MILLRACE_TRY(options.ReadSwitch("foreign", &out.foreign));
  MILLRACE_ASSIGN(const int format,
                  options.Choice("format", {"arrow", "json"}, out.foreign ? 1 : 0));
  out.format = format == 0 ? RecordFormat::kArrow : RecordFormat::kJson;
  MILLRACE_TRY(options.ReadInteger("partitions", 1, kMaxPartitions, &out.partitions));
  if (out.foreign) {
    out.ticks = false;  // a tick would be a record of ours among those of others
    MILLRACE_TRY(CheckForeign(source, table, options, out));
  }
  MILLRACE_TRY(options.ReadSwitch("ticks", &out.ticks));
  MILLRACE_TRY(options.ReadSwitch("keep_raw", &out.keep_raw));
  MILLRACE_ASSIGN(const auto topic, options.Text("topic"));
  if (topic) {
    if (!IsTopic(*topic)) {
      return source.At(options.Find("topic")->location, "not a topic name: " + Quoted(*topic),
                       "use letters, digits, '.', '_' and '-', at most 249");
    }
    out.topic = *topic;
  }
  return out;
}

}  // namespace millrace
