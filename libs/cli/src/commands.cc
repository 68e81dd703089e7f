#include "millrace/cli/commands.h"

#include <tuple>

#include "describe.h"
#include "millrace/base/version.h"
#include "millrace/cli/byte_source.h"
#include "millrace/model/spec.h"

namespace millrace::cli {
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
    return InvalidArgument("the script is over 4 MiB; does it hold SQL statements? file=" + file);
  sql.resize(size);
  return sql;
}

std::string IncarnationText(const PipelineDescription& p) {
  return p.name.name + "@" + std::to_string(p.defined_at);
}

}  // namespace

int RunApply(Cluster& cluster, const ApplyOptions& options, const Console& console) {
  const auto sql = ReadScript(options.file);
  if (!sql.ok()) return console.Fail(sql.error());
  const auto applied = cluster.Apply(*sql);
  if (!applied.ok()) {
    Error error = applied.error();
    // What is wrong with the script has a place in it.
    if (error.code == Code::kInvalidArgument) error.message = options.file + ": " + error.message;
    return console.Fail(error);
  }
  if (applied->empty()) console.Note("nothing to do: the script holds no statement");
  for (const AppliedStatement& statement : *applied) {
    console.out << (statement.created ? "created " : "unchanged ") << statement.kind << ' '
                << statement.name.ToString() << '\n';
  }
  return console.Finish();
}

int RunStreamList(Cluster& cluster, Format format, const Console& console) {
  const auto streams = cluster.ListStreams();
  if (!streams.ok()) return console.Fail(streams.error());
  ServingTable table{{"namespace", "name", "format", "partitions"},
                     {Type::kText, Type::kText, Type::kText, Type::kBigint},
                     {}};
  for (const StreamDescription& s : *streams)
    table.rows.push_back({Text(s.name.name_space), Text(s.name.name), Text(s.format),
                          Integer(static_cast<int64_t>(s.end_offsets.size()))});
  WriteTable(table, format, console);
  return console.Finish();
}

int RunStreamDescribe(Cluster& cluster, const std::string& name, Format format,
                      const Console& console) {
  const auto stream = cluster.DescribeStream(QualifiedName::Parse(name));
  if (!stream.ok()) return console.Fail(stream.error());
  Description d;
  d.Text("namespace", stream->name.name_space);
  d.Text("name", stream->name.name);
  d.Text("format", stream->format);
  d.Integer("partitions", static_cast<int64_t>(stream->end_offsets.size()));
  d.Integers("end_offsets", stream->end_offsets);
  d.Text("topic", stream->topic);
  if (stream->partition_key) {
    d.Text("partition_key", *stream->partition_key);
  } else {
    d.Null("partition_key");
  }
  d.Text("event_time", stream->event_time);
  d.Duration("watermark_delay", stream->watermark_delay);
  d.Duration("max_ahead", stream->max_ahead);
  d.Duration("idle_timeout", stream->idle_timeout);
  d.Flag("ticks", stream->ticks);
  d.Flag("keep_raw", stream->keep_raw);
  d.Flag("append_times", stream->append_times);
  d.Columns(stream->columns);
  d.Write(format, console);
  return console.Finish();
}

int RunStreamAdvance(Cluster& cluster, const StreamAdvanceOptions& options,
                     const Console& console) {
  const QualifiedName name = QualifiedName::Parse(options.name);
  const bool end = options.to == "end";
  Micros to = kPlusInfinity;
  if (!end) {
    const auto time = ParseTimeArgument(options.to);
    if (!time.ok()) return console.FailUsage("--to: " + time.error().message + "; or say end");
    to = *time;
  }
  const Status advanced = cluster.AdvanceStream(name, to);
  if (!advanced.ok()) return console.Fail(advanced.error());
  console.Note(end ? "the stream is at its end: every window closes, and no later event counts "
                     "stream=" +
                         name.ToString()
                   : "advanced stream=" + name.ToString() + " to=" + FormatTimestamp(to));
  return kExitOk;
}

int RunPipelineList(Cluster& cluster, Format format, const Console& console) {
  const auto pipelines = cluster.ListPipelines();
  if (!pipelines.ok()) return console.Fail(pipelines.error());
  ServingTable table{
      {"namespace", "name", "incarnation", "stream", "state", "watermark"},
      {Type::kText, Type::kText, Type::kText, Type::kText, Type::kText, Type::kTimestamp},
      {}};
  for (const PipelineDescription& p : *pipelines)
    table.rows.push_back({Text(p.name.name_space), Text(p.name.name), Text(IncarnationText(p)),
                          Text(p.stream), Text(p.state), Time(p.watermark)});
  WriteTable(table, format, console);
  return console.Finish();
}

int RunPipelineDescribe(Cluster& cluster, const std::string& name, Format format,
                        const Console& console) {
  const auto pipeline = cluster.DescribePipeline(QualifiedName::Parse(name));
  if (!pipeline.ok()) return console.Fail(pipeline.error());
  const PipelineDescription& p = *pipeline;
  Description d;
  d.Text("namespace", p.name.name_space);
  d.Text("name", p.name.name);
  d.Text("incarnation", IncarnationText(p));
  d.Text("stream", p.stream);
  d.Text("state", p.state);
  d.Time("watermark", p.watermark);
  d.Text("window", p.window);
  d.Duration("size", p.size);
  if (p.window == "hop") d.Duration("slide", p.slide);
  d.Duration("offset", p.offset);
  d.Text("time_zone", p.time_zone.empty() ? "UTC" : p.time_zone);
  d.Duration("allowed_lateness", p.allowed_lateness);
  d.Text("emit", p.emits_updates ? "updates" : "final");
  d.Duration("file_interval", p.file_interval);
  d.Duration("file_idle", p.file_idle);
  d.Integer("semantics_version", p.semantics_version);
  d.Columns(p.columns);
  d.Lines("plan", p.plan);
  d.Write(format, console);
  return console.Finish();
}

int RunPipelineDrop(Cluster& cluster, const std::string& text, const Console& console) {
  const QualifiedName name = QualifiedName::Parse(text);
  const Status dropped = cluster.DropPipeline(name);
  if (!dropped.ok()) return console.Fail(dropped.error());
  console.Note("dropped the view and its state; its table and files stay pipeline=" +
               name.ToString());
  return kExitOk;
}

int RunShardList(Cluster& cluster, Format format, const Console& console) {
  const auto shards = cluster.ListShards();
  if (!shards.ok()) return console.Fail(shards.error());
  ServingTable table{{"shard", "state", "worker", "epoch", "next_offset", "end_offset", "last_cut",
                      "watermark", "message"},
                     {Type::kText, Type::kText, Type::kText, Type::kBigint, Type::kBigint,
                      Type::kBigint, Type::kBigint, Type::kTimestamp, Type::kText},
                     {}};
  for (const ShardDescription& s : *shards)
    table.rows.push_back({Text(s.shard), Text(s.state), TextOrNull(s.worker), Integer(s.epoch),
                          Integer(s.next_offset), Integer(s.end_offset), Integer(s.last_cut),
                          Time(s.watermark), TextOrNull(s.message)});
  WriteTable(table, format, console);
  return console.Finish();
}

int RunShardSkip(Cluster& cluster, const ShardSkipOptions& options, const Console& console) {
  ShardId shard;
  if (!ShardId::Parse(options.shard, &shard))
    return console.FailUsage(
        "not a shard; `millrace shard list` shows them, such as default/delays_hourly@17/p2 "
        "shard=\"" +
        options.shard + "\"");
  if (options.to < 0)
    return console.FailUsage("--to: an offset is 0 or more to=" + std::to_string(options.to));
  const Status skipped = cluster.SkipShard(options.shard, options.to, options.reason);
  if (!skipped.ok()) return console.Fail(skipped.error());
  console.Note(
      "the shard goes on at the offset; what it had not read before it is left out shard=" +
      options.shard + " offset=" + std::to_string(options.to));
  return kExitOk;
}

int RunQuery(Cluster& cluster, const QueryOptions& options, const Console& console) {
  const QualifiedName name = QualifiedName::Parse(options.name);
  ServingQuery query;
  query.name_space = name.name_space;
  query.name = name.name;
  query.output = options.output;
  query.meta = options.meta;
  for (const std::string& key : options.keys) {
    const size_t equals = key.find('=');
    if (equals == std::string::npos || equals == 0)
      return console.FailUsage("--key: write it as column=value key=\"" + key + "\"");
    query.keys.emplace_back(key.substr(0, equals), key.substr(equals + 1));
  }
  for (const auto& [given, bound, flag] :
       {std::tuple{&options.from, &query.from, "--from: "}, {&options.to, &query.to, "--to: "}}) {
    if (!*given) continue;
    const auto time = ParseTimeArgument(**given);
    if (!time.ok()) return console.FailUsage(flag + time.error().message);
    *bound = *time;
  }
  TableWriter writer(options.format, console);
  const Status asked = cluster.Query(
      query, options.wait,
      [&](std::vector<std::string> names, std::vector<Type> types) {
        writer.Begin(std::move(names), std::move(types));
      },
      [&](const std::vector<Value>& row) { writer.Row(row); });
  if (!asked.ok()) {
    // What a cluster finds wrong with a query is a filter of the command line.
    if (asked.error().code == Code::kInvalidArgument)
      return console.FailUsage(asked.error().message);
    return console.Fail(asked.error());
  }
  writer.End();
  return console.Finish();
}

int RunVersion(const Console& console) {
  console.out << "millrace " << Version() << " (semantics version " << kSemanticsVersion << ")\n";
  return console.Finish();
}

}  // namespace millrace::cli
