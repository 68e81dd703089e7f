#include "millrace/cli/commands.h"

#include <algorithm>
#include <cstdio>
#include <tuple>

#include "describe.h"
#include "ledgers.h"
#include "millrace/base/bytes.h"
#include "millrace/base/facts.h"
#include "millrace/base/run_now.h"
#include "millrace/base/utf8.h"
#include "millrace/base/version.h"
#include "millrace/cli/byte_source.h"
#include "millrace/model/spec.h"

namespace millrace::cli {

using operations::AppliedStatement;
using operations::ApplyReport;
using operations::PartitionInfo;
using operations::PipelineInfo;
using operations::ShardInfo;
using operations::StreamInfo;
namespace {

/// A script is written by people; what is larger is some other file.
constexpr size_t kMaxScriptBytes = 4 << 20;

Value Text(std::string text) { return {Type::kText, std::move(text)}; }
Value Integer(int64_t v) { return {Type::kBigint, v}; }
Value Time(Micros t) { return {Type::kTimestamp, t}; }
Value TextOrNull(const std::string& text) {
  if (text.empty()) return {Type::kText, {}};
  return Text(text);
}

bool IsBlank(const std::string& text) { return text.find_first_not_of(" \t\r\n") == text.npos; }

Result<std::string> ReadScript(const std::string& file) {
  auto input = Input::Open(file);
  // A missing file is no missing part of the cluster, for which kExitNotFound stands.
  if (!input.ok()) return Internal(input.error().message);
  std::string sql(kMaxScriptBytes + 1, '\0');
  size_t size = 0;
  while (size < sql.size()) {
    MILLRACE_ASSIGN(const size_t n, (*input)->Read(sql.data() + size, sql.size() - size));
    if (n == 0) break;
    size += n;
  }
  if (size > kMaxScriptBytes)
    return InvalidArgument("the script is over 4 MiB; does it hold SQL statements?",
                           {{"file", file}});
  sql.resize(size);
  return sql;
}

/// A value as CSV writes it: nothing is NULL, "" is empty text, and quotes may stand around any.
Result<std::string> KeyText(const std::string& field) {
  if (field.empty()) return std::string(1, '\0');
  if (field.front() != '"') return field;
  std::string text;
  size_t i = 1;
  while (i < field.size() && (field[i] != '"' || field.substr(i, 2) == "\"\"")) {
    if (field[i] == '"') ++i;
    text += field[i++];
  }
  if (i + 1 != field.size())
    return InvalidArgument(
        "a value that begins with a quote must end with one, and quotes inside it are doubled, as "
        "in CSV",
        {{"value", field}});
  return text;
}

/// What is wrong with a script, as FILE:LINE:COLUMN: where its place is known. The cluster says
/// "line L, column C: ".
std::string PlacedInFile(const std::string& file, const std::string& message) {
  const std::string name = file == "-" ? "standard input" : file;
  unsigned line = 0;
  unsigned column = 0;
  int end = 0;
  const int found = std::sscanf(message.c_str(), "line %u, column %u: %n", &line, &column, &end);
  if (found != 2 || end == 0) return name + ": " + message;
  return name + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " +
         message.substr(static_cast<size_t>(end));
}

/// gRPC carries text as UTF-8 only, so the cluster cannot tell this.
Status CheckUtf8(const std::string& file, const std::string& sql) {
  const size_t good = Utf8Prefix(sql);
  if (good == sql.size()) return {};
  const auto bad = sql.begin() + static_cast<std::ptrdiff_t>(good);
  const auto line = std::count(sql.begin(), bad, '\n') + 1;
  const size_t newline = sql.rfind('\n', good);
  const size_t start = newline == std::string::npos ? 0 : newline + 1;
  // Columns count characters.
  const auto column =
      std::count_if(sql.begin() + static_cast<std::ptrdiff_t>(start), bad,
                    [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }) +
      1;
  Error error = InvalidArgument(
      "line " + std::to_string(line) + ", column " + std::to_string(column) +
          ": the script is not UTF-8 text; save it as UTF-8, for example with `iconv -f latin1 -t "
          "utf-8`",
      {{"byte", "0x" + Hex(sql.substr(good, 1))}, {"offset", good}});
  error.message = PlacedInFile(file, error.message);
  return error;
}

std::string IncarnationText(const PipelineInfo& p) {
  return p.incarnation.name + "@" + std::to_string(p.incarnation.defined_at.value);
}

/// Events without a row, and windows whose rows are still to come. The rows are printed
/// already, so a failure here does not fail the verb.
void TellWhatRowsDoNotShow(const Result<PipelineInfo>& pipeline, const Console& console) {
  if (!pipeline.ok()) {
    console.Note("what the rows do not show is not known: " + pipeline.error().message);
    return;
  }
  console.Note("late=" + std::to_string(pipeline->late) +
               " quarantined=" + std::to_string(pipeline->quarantined) +
               " open_windows=" + std::to_string(pipeline->open_windows) +
               " watermark=" + FormatTimestamp(pipeline->watermark));
}

std::string NameOf(const AppliedStatement& s) {
  return QualifiedName{s.name_space, s.name}.ToString();
}

/// "stream a with its events, pipeline b".
std::string Dropped(const ApplyReport& report) {
  std::string text;
  for (const AppliedStatement& s : report.statements) {
    text += (text.empty() ? "" : ", ") + s.kind + " " + NameOf(s);
    if (s.kind == "stream") text += " with its events";
  }
  return text;
}

}  // namespace

int RunApply(operations::Operations& cluster, const ApplyOptions& options, const Console& console) {
  const auto sql = ReadScript(options.file);
  if (!sql.ok()) return console.Fail(sql.error());
  const Status text = CheckUtf8(options.file, *sql);
  if (!text.ok()) return console.Fail(text.error());
  auto applied = RunNow(cluster.Apply(*sql, options.yes));
  if (applied.ok() && applied->needs_consent) {
    const std::string drops = Dropped(*applied);
    // A script that comes from the terminal itself leaves nobody to ask.
    if (console.answers == nullptr || options.file == "-")
      return console.FailUsage("the script drops " + drops + "; to do that, add --yes");
    if (!console.Confirm("the script drops " + drops + ". Go on?")) {
      console.Note("nothing was applied");
      return kExitRuntime;
    }
    applied = RunNow(cluster.Apply(*sql, true));
  }
  if (!applied.ok()) {
    Error error = applied.error();
    const bool of_script = error.code == Code::kInvalidArgument || error.code == Code::kConflict;
    if (of_script) error.message = PlacedInFile(options.file, error.message);
    return console.Fail(error);
  }
  if (applied->statements.empty()) console.Note("nothing to do: the script holds no statement");
  for (const AppliedStatement& statement : applied->statements) {
    console.out << OutcomeName(statement.outcome) << ' ' << statement.kind << ' '
                << NameOf(statement) << '\n';
  }
  return console.Finish();
}

int RunStreamList(operations::Operations& cluster, Format format, const Console& console) {
  const auto streams = RunNow(cluster.ListStreams());
  if (!streams.ok()) return console.Fail(streams.error());
  ServingTable table{{"namespace", "name", "format", "partitions"},
                     {Type::kText, Type::kText, Type::kText, Type::kBigint},
                     {}};
  for (const StreamInfo& s : *streams)
    table.rows.push_back({Text(s.spec.name_space), Text(s.spec.name),
                          Text(std::string(operations::FormatName(s.spec.format))),
                          Integer(s.spec.partitions)});
  WriteTable(table, format, console);
  return console.Finish();
}

int RunStreamDescribe(operations::Operations& cluster, const std::string& text, Format format,
                      const Console& console) {
  const QualifiedName name = QualifiedName::Parse(text);
  const auto stream = RunNow(cluster.DescribeStream(name.name_space, name.name));
  if (!stream.ok()) return console.Fail(stream.error());
  const StreamSpec& spec = stream->spec;
  Description d;
  const auto each = [&](const std::string& property, const auto& value_of) {
    std::vector<int64_t> values;
    for (const PartitionInfo& p : stream->partitions) values.push_back(value_of(p));
    d.Integers(property, values);
  };
  d.Text("namespace", spec.name_space);
  d.Text("name", spec.name);
  d.Text("format", std::string(operations::FormatName(spec.format)));
  d.Integer("partitions", spec.partitions);
  each("start_offsets", [](const PartitionInfo& p) { return p.start.value; });
  each("end_offsets", [](const PartitionInfo& p) { return p.end.value; });
  each("floor_offsets", [](const PartitionInfo& p) { return p.floor.value; });
  if (std::all_of(stream->partitions.begin(), stream->partitions.end(),
                  [](const PartitionInfo& p) { return p.bytes.has_value(); })) {
    each("bytes", [](const PartitionInfo& p) { return *p.bytes; });
  } else {
    d.Null("bytes");
  }
  d.Duration("keep_for", stream->keep_for);
  if (stream->keep_bytes) {
    d.Integer("keep_bytes", *stream->keep_bytes);
  } else {
    d.Null("keep_bytes");
  }
  d.Text("topic", spec.topic);
  d.Flag("foreign", spec.foreign);
  if (spec.partition_key >= 0) {
    d.Text("partition_key", spec.columns[static_cast<size_t>(spec.partition_key)].name);
  } else {
    d.Null("partition_key");
  }
  d.Text("event_time", spec.columns[static_cast<size_t>(spec.event_time)].name);
  d.Duration("watermark_delay", spec.watermark_delay);
  d.Duration("max_ahead", spec.max_ahead);
  d.Duration("idle_timeout", spec.idle_timeout);
  d.Flag("ticks", spec.ticks);
  d.Flag("keep_raw", spec.keep_raw);
  d.Flag("append_times", spec.append_times);
  d.Columns(spec.columns);
  d.Write(format, console);
  return console.Finish();
}

int RunStreamAdvance(operations::Operations& cluster, const StreamAdvanceOptions& options,
                     const Console& console) {
  const QualifiedName name = QualifiedName::Parse(options.name);
  const bool end = options.to == "end";
  Micros to = kPlusInfinity;
  if (!end) {
    const auto time = ParseTimeArgument(options.to, ", or say end");
    if (!time.ok()) return console.FailUsage("--to: " + time.error().message);
    to = *time;
  }
  // Asked first: afterwards the watermarks may be there because of this.
  const auto reached = ReachedBy(cluster, name);
  if (!reached.ok()) return console.Fail(reached.error());
  const Status advanced = RunNow(cluster.AdvanceStream(name.name_space, name.name, to));
  if (!advanced.ok()) return console.Fail(advanced.error());
  if (!reached->empty() && reached->front().read_watermark >= to) {
    const Micros least = reached->front().read_watermark;
    console.Note((least == kPlusInfinity
                      ? "warning: nothing changes: the stream was at its end already stream="
                      : "warning: nothing changes: every pipeline of the stream has reached that "
                        "time already stream=") +
                 name.ToString() + " to=" + FormatTimestamp(to) +
                 " watermark=" + FormatTimestamp(least));
    return kExitOk;
  }
  console.Note(end ? "the stream is at its end: every window closes, and no later event counts "
                     "stream=" +
                         name.ToString()
                   : "advanced stream=" + name.ToString() + " to=" + FormatTimestamp(to));
  return kExitOk;
}

int RunPipelineList(operations::Operations& cluster, Format format, const Console& console) {
  const auto pipelines = RunNow(cluster.ListPipelines());
  if (!pipelines.ok()) return console.Fail(pipelines.error());
  ServingTable table{
      {"namespace", "name", "incarnation", "stream", "state", "watermark", "message"},
      {Type::kText, Type::kText, Type::kText, Type::kText, Type::kText, Type::kTimestamp,
       Type::kText},
      {}};
  for (const PipelineInfo& p : *pipelines)
    table.rows.push_back({Text(p.incarnation.name_space), Text(p.incarnation.name),
                          Text(IncarnationText(p)), Text(p.stream), Text(p.state),
                          Time(p.watermark), TextOrNull(p.message)});
  WriteTable(table, format, console);
  return console.Finish();
}

int RunPipelineDescribe(operations::Operations& cluster, const std::string& text, Format format,
                        const Console& console) {
  const QualifiedName name = QualifiedName::Parse(text);
  const auto pipeline = RunNow(cluster.DescribePipeline(name.name_space, name.name));
  if (!pipeline.ok()) return console.Fail(pipeline.error());
  const PipelineInfo& p = *pipeline;
  Description d;
  d.Text("namespace", p.incarnation.name_space);
  d.Text("name", p.incarnation.name);
  d.Text("incarnation", IncarnationText(p));
  d.Text("stream", p.stream);
  d.Text("state", p.state);
  if (p.message.empty()) {
    d.Null("message");
  } else {
    d.Text("message", p.message);
  }
  d.Time("watermark", p.watermark);
  d.Time("read_watermark", p.read_watermark);
  d.Integer("late", p.late);
  d.Integer("quarantined", p.quarantined);
  d.Integer("open_windows", p.open_windows);
  d.Text("window", std::string(operations::WindowName(p.window.kind)));
  d.Duration("size", p.window.size);
  if (p.window.kind == WindowKind::kHop) d.Duration("slide", p.window.slide);
  d.Duration("offset", p.window.offset);
  d.Text("time_zone", p.window.zone.empty() ? "UTC" : p.window.zone);
  d.Duration("allowed_lateness", p.allowed_lateness);
  d.Text("emit", p.updates ? "updates" : "final");
  d.Duration("file_interval", p.file_interval);
  d.Duration("file_idle", p.file_idle);
  d.Integer("semantics_version", p.semantics_version);
  d.Text("result_files", p.result_files);
  d.Columns(p.columns);
  d.Lines("plan", p.plan);
  d.Write(format, console);
  return console.Finish();
}

int RunPipelineDrop(operations::Operations& cluster, const std::string& text,
                    const Console& console) {
  const QualifiedName name = QualifiedName::Parse(text);
  const Status dropped = RunNow(cluster.DropPipeline(name.name_space, name.name));
  if (!dropped.ok()) return console.Fail(dropped.error());
  console.Note("dropped the view and its state; its table and files stay pipeline=" +
               name.ToString());
  return kExitOk;
}

int RunShardList(operations::Operations& cluster, Format format, const Console& console) {
  const auto shards = RunNow(cluster.ListShards());
  if (!shards.ok()) return console.Fail(shards.error());
  ServingTable table{{"shard", "state", "worker", "epoch", "next_offset", "end_offset", "last_cut",
                      "watermark", "message"},
                     {Type::kText, Type::kText, Type::kText, Type::kBigint, Type::kBigint,
                      Type::kBigint, Type::kBigint, Type::kTimestamp, Type::kText},
                     {}};
  for (const ShardInfo& s : *shards)
    table.rows.push_back({Text(s.shard.ToString()), Text(s.state), TextOrNull(s.worker),
                          Integer(s.epoch.value), Integer(s.next_offset.value),
                          Integer(s.end_offset.value), Integer(s.last_cut.value), Time(s.watermark),
                          TextOrNull(s.message)});
  WriteTable(table, format, console);
  return console.Finish();
}

namespace {

int NotAShard(const std::string& shard, const Console& console) {
  return console.FailUsage(
      "not a shard; `millrace shard list` shows them, such as default/delays_hourly@17/p2 "
      "shard=\"" +
      shard + "\"");
}

}  // namespace

int RunShardRelease(operations::Operations& cluster, const std::string& shard,
                    const Console& console) {
  ShardId id;
  if (!ShardId::Parse(shard, &id)) return NotAShard(shard, console);
  const Status released = RunNow(cluster.ReleaseShard(id));
  if (!released.ok()) return console.Fail(released.error());
  console.Note("workers may get the shard, and those on its partition, again shard=" + shard);
  return kExitOk;
}

int RunShardPin(operations::Operations& cluster, const std::string& shard,
                const std::string& worker, const Console& console) {
  ShardId id;
  if (!ShardId::Parse(shard, &id)) return NotAShard(shard, console);
  const Incarnation& view = id.incarnation;
  const std::string key = "pin." + std::to_string(id.partition.value);
  const Status set = RunNow(cluster.Set({view.name_space, view.name, key, worker}));
  if (!set.ok()) return console.Fail(set.error());
  console.Note((worker.empty() ? "any worker may have the shard, and those on its partition shard="
                               : "the shard, and those on its partition, belong to worker=" +
                                     worker + " shard=") +
               shard);
  return kExitOk;
}

int RunShardRetry(operations::Operations& cluster, const std::string& shard,
                  const Console& console) {
  ShardId id;
  if (!ShardId::Parse(shard, &id)) return NotAShard(shard, console);
  const Status retried = RunNow(cluster.RetryShard(id));
  if (!retried.ok()) return console.Fail(retried.error());
  console.Note("the shard is opened again; see `millrace shard list` shard=" + shard);
  return kExitOk;
}

int RunShardSkip(operations::Operations& cluster, const ShardSkipOptions& options,
                 const Console& console) {
  ShardId shard;
  if (!ShardId::Parse(options.shard, &shard)) return NotAShard(options.shard, console);
  if (options.to < 0)
    return console.FailUsage("--to: an offset is 0 or more to=" + std::to_string(options.to));
  if (IsBlank(options.reason))
    return console.FailUsage(
        "--reason: say why the records are left out; it is kept in the control log");
  const auto skipped = RunNow(cluster.SkipShard(shard, Offset(options.to), options.reason));
  if (!skipped.ok()) return console.Fail(skipped.error());
  console.Note(
      "the shard goes on at the offset; new records below it are left out, at most " +
      std::to_string(skipped->left_out) + "; old records from there on may count twice, at most " +
      std::to_string(skipped->may_count_twice) + " shard=" + options.shard +
      " offset=" + std::to_string(options.to) + " lowest=" + std::to_string(skipped->lowest.value) +
      " highest=" + std::to_string(skipped->highest.value));
  return kExitOk;
}

namespace {

/// The most that one page of rows holds.
constexpr size_t kPageRows = 1'000;
constexpr size_t kPageBytes = 1 << 20;

/// Writes rows as they come; an error may come after some.
Status WriteRows(operations::Operations& cluster, const ServingQuery& query, TableWriter* writer) {
  MILLRACE_ASSIGN(const auto cursor, RunNow(cluster.OpenQuery(query)));
  writer->Begin(cursor->names(), cursor->types());
  for (;;) {
    MILLRACE_ASSIGN(const ServingRows rows, RunNow(cursor->Next(kPageRows, kPageBytes)));
    if (rows.empty()) break;
    for (const auto& row : rows) writer->Row(row);
  }
  writer->End();
  return {};
}

}  // namespace

int RunQuery(operations::Operations& cluster, const QueryOptions& options, const Console& console) {
  const QualifiedName name = QualifiedName::Parse(options.name);
  ServingQuery query;
  query.name_space = name.name_space;
  query.name = name.name;
  query.output = options.output;
  query.meta = options.meta;
  for (const std::string& key : options.keys) {
    const size_t equals = key.find('=');
    if (equals == std::string::npos || equals == 0)
      return console.FailUsage("--key: write it as column=value, column= for NULL key=\"" + key +
                               "\"");
    const auto value = KeyText(key.substr(equals + 1));
    if (!value.ok()) return console.FailUsage("--key: " + value.error().message);
    query.keys.emplace_back(key.substr(0, equals), *value);
  }
  for (const auto& [given, bound, flag] :
       {std::tuple{&options.from, &query.from, "--from: "}, {&options.to, &query.to, "--to: "}}) {
    if (!*given) continue;
    const auto time = ParseTimeArgument(**given);
    if (!time.ok()) return console.FailUsage(flag + time.error().message);
    *bound = *time;
  }
  // Asked before the rows are read: a watermark of later might be past rows that are not shown.
  Status asked;
  if (options.wait) asked = RunNow(cluster.WaitApplied(name.name_space, name.name));
  std::optional<Result<PipelineInfo>> pipeline;
  if (options.output == Output::kResults && !options.quiet && asked.ok())
    pipeline = RunNow(cluster.DescribePipeline(name.name_space, name.name));
  TableWriter writer(options.format, console);
  if (asked.ok()) asked = WriteRows(cluster, query, &writer);
  if (!asked.ok()) {
    // What a cluster finds wrong with a query is a filter of the command line.
    if (asked.error().code == Code::kInvalidArgument)
      return console.FailUsage(asked.error().message);
    return console.Fail(asked.error());
  }
  if (pipeline) TellWhatRowsDoNotShow(*pipeline, console);
  return console.Finish();
}

int RunVersion(const Console& console) {
  console.out << "millrace " << Version() << " (semantics version " << kSemanticsVersion << ")\n";
  return console.Finish();
}

}  // namespace millrace::cli
