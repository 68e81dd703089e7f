#include "cluster_client.h"

#include "millrace/base/facts.h"

namespace millrace {
namespace {

Result<Type> TypeOf(const std::string& name) {
  for (const Type type : {Type::kInt, Type::kBigint, Type::kDouble, Type::kText, Type::kBool,
                          Type::kTimestamp, Type::kNumeric}) {
    if (TypeName(type) == name) return type;
  }
  return Internal(
      "the server has a column type that this program does not know; use the server's version of "
      "millrace",
      {{"type", name}});
}

Result<std::vector<cli::ColumnDescription>> Columns(const std::vector<ColumnDescription>& columns) {
  std::vector<cli::ColumnDescription> out;
  for (const ColumnDescription& column : columns) {
    MILLRACE_ASSIGN(const Type type, TypeOf(column.type));
    out.push_back({column.name, type, column.not_null, column.quoted});
  }
  return out;
}

Result<cli::StreamDescription> Shown(StreamDescription s) {
  cli::StreamDescription out;
  MILLRACE_ASSIGN(out.columns, Columns(s.columns));
  out.name = {std::move(s.name_space), std::move(s.name)};
  out.format = std::move(s.format);
  out.event_time = std::move(s.event_time);
  if (!s.partition_key.empty()) out.partition_key = std::move(s.partition_key);
  out.watermark_delay = s.watermark_delay;
  out.max_ahead = s.max_ahead;
  out.idle_timeout = s.idle_timeout;
  out.ticks = s.ticks;
  out.keep_raw = s.keep_raw;
  out.append_times = s.append_times;
  out.topic = std::move(s.topic);
  out.start_offsets = std::move(s.start_offsets);
  out.end_offsets = std::move(s.end_offsets);
  out.floor_offsets = std::move(s.floor_offsets);
  out.bytes = std::move(s.bytes);
  out.keep_for = s.keep_for;
  out.keep_bytes = s.keep_bytes;
  return out;
}

Result<cli::PipelineDescription> Shown(PipelineDescription p) {
  cli::PipelineDescription out;
  MILLRACE_ASSIGN(out.columns, Columns(p.columns));
  out.name = {std::move(p.name_space), std::move(p.name)};
  out.defined_at = p.defined_at;
  out.stream = std::move(p.stream);
  out.state = std::move(p.state);
  out.watermark = p.watermark;
  out.window = std::move(p.window);
  out.size = p.size;
  out.slide = p.slide;
  out.offset = p.offset;
  out.time_zone = std::move(p.time_zone);
  out.allowed_lateness = p.allowed_lateness;
  out.emits_updates = p.emits_updates;
  out.file_interval = p.file_interval;
  out.file_idle = p.file_idle;
  out.semantics_version = p.semantics_version;
  out.plan = std::move(p.plan);
  out.result_files = std::move(p.result_files);
  out.late = p.late;
  out.quarantined = p.quarantined;
  out.open_windows = p.open_windows;
  out.read_watermark = p.read_watermark;
  out.message = std::move(p.message);
  return out;
}

template <typename Out, typename In>
Result<std::vector<Out>> AllShown(Result<std::vector<In>> items) {
  if (!items.ok()) return items.error();
  std::vector<Out> out;
  for (In& item : *items) {
    MILLRACE_ASSIGN(Out one, Shown(std::move(item)));
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

Result<cli::ApplyReport> ClusterClient::Apply(const std::string& sql, bool may_drop) {
  MILLRACE_ASSIGN(const ApplyReport applied, client_.Apply(sql, may_drop));
  cli::ApplyReport out;
  out.needs_consent = applied.needs_consent;
  for (const AppliedStatement& s : applied.statements)
    out.statements.push_back({s.kind, {s.name_space, s.name}, s.outcome});
  return out;
}

Result<std::vector<cli::StreamDescription>> ClusterClient::ListStreams() {
  return AllShown<cli::StreamDescription>(client_.ListStreams());
}

Result<cli::StreamDescription> ClusterClient::DescribeStream(const cli::QualifiedName& name) {
  MILLRACE_ASSIGN(StreamDescription stream, client_.DescribeStream(name.name_space, name.name));
  return Shown(std::move(stream));
}

Result<std::vector<cli::ProducerDescription>> ClusterClient::ListProducers(
    const cli::QualifiedName& stream, const std::string& id_prefix) {
  MILLRACE_ASSIGN(const std::vector<ProducerDescription> producers,
                  client_.ListProducers(stream.name_space, stream.name, id_prefix));
  std::vector<cli::ProducerDescription> out;
  for (const ProducerDescription& p : producers) out.push_back({p.id, p.end_sequence});
  return out;
}

Status ClusterClient::AdvanceStream(const cli::QualifiedName& name, Micros to) {
  return client_.AdvanceStream(name.name_space, name.name, to);
}

Result<std::vector<cli::PipelineDescription>> ClusterClient::ListPipelines() {
  return AllShown<cli::PipelineDescription>(client_.ListPipelines());
}

Result<cli::PipelineDescription> ClusterClient::DescribePipeline(const cli::QualifiedName& name) {
  MILLRACE_ASSIGN(PipelineDescription pipeline,
                  client_.DescribePipeline(name.name_space, name.name));
  return Shown(std::move(pipeline));
}

Status ClusterClient::DropPipeline(const cli::QualifiedName& name) {
  return client_.DropPipeline(name.name_space, name.name);
}

Status ClusterClient::ReleaseShard(const std::string& shard) { return client_.ReleaseShard(shard); }

Result<std::vector<cli::ShardDescription>> ClusterClient::ListShards() {
  MILLRACE_ASSIGN(const std::vector<ShardDescription> shards, client_.ListShards());
  std::vector<cli::ShardDescription> out;
  for (const ShardDescription& s : shards)
    out.push_back({s.shard, s.epoch, s.worker, s.state, s.message, s.next_offset, s.end_offset,
                   s.last_cut, s.watermark});
  return out;
}

Result<cli::ShardSkipped> ClusterClient::SkipShard(const std::string& shard, int64_t to_offset,
                                                   const std::string& reason) {
  MILLRACE_ASSIGN(const ShardSkipped s, client_.SkipShard(shard, to_offset, reason));
  return cli::ShardSkipped{s.lowest, s.highest, s.left_out, s.may_count_twice};
}

Status ClusterClient::RetryShard(const std::string& shard) { return client_.RetryShard(shard); }

Status ClusterClient::Query(
    const ServingQuery& query, bool wait,
    std::function<void(std::vector<std::string>, std::vector<Type>)> on_columns,
    std::function<void(const std::vector<Value>&)> on_row) {
  ResultQuery asked;
  asked.name_space = query.name_space;
  asked.name = query.name;
  asked.output = query.output;
  asked.keys = query.keys;
  asked.from = query.from;
  asked.to = query.to;
  asked.meta = query.meta;
  asked.wait = wait;
  return client_.Query(
      asked,
      [&](const std::vector<ResultColumn>& columns) {
        std::vector<std::string> names;
        std::vector<Type> types;
        for (const ResultColumn& column : columns) {
          names.push_back(column.name);
          types.push_back(column.type);
        }
        on_columns(std::move(names), std::move(types));
      },
      on_row);
}

}  // namespace millrace
