#include <grpcpp/grpcpp.h>

#include "millrace/base/facts.h"
#include "millrace/base/nearest.h"
#include "millrace/control/v1/operations.grpc.pb.h"
#include "millrace/sql/plan_text.h"
#include "publish_convert.h"
#include "services.h"
#include "unary_call.h"

namespace millrace::rpc {
namespace {

namespace wire = control::v1;
using runtime::Operations;

std::string NamespaceOf(const std::string& text) { return text.empty() ? "default" : text; }

std::string Qualified(const std::string& name_space, const std::string& name) {
  return name_space == "default" ? name : name_space + "." + name;
}

bool Shows(const std::string& asked, const std::string& name_space) {
  return asked.empty() || asked == name_space;
}

void AddColumn(const std::string& name, Type type, bool not_null, wire::ColumnDescription* out) {
  out->set_name(name);
  out->set_type(std::string(TypeName(type)));
  out->set_not_null(not_null);
}

void Describe(const runtime::StreamInfo& info, wire::StreamDescription* out) {
  const StreamSpec& s = info.spec;
  out->set_namespace_(s.name_space);
  out->set_name(s.name);
  out->set_schema_id(s.schema_id);
  for (const ColumnSpec& c : s.columns) {
    wire::ColumnDescription* column = out->add_columns();
    AddColumn(c.name, c.type, c.not_null, column);
    column->set_quoted(c.quoted);
  }
  out->set_event_time(s.columns[static_cast<size_t>(s.event_time)].name);
  if (s.partition_key >= 0)
    out->set_partition_key(s.columns[static_cast<size_t>(s.partition_key)].name);
  out->set_partitioned_by_key(s.partitioned_by_key);
  out->set_watermark_delay_us(s.watermark_delay);
  out->set_max_ahead_us(s.max_ahead);
  out->set_idle_timeout_us(s.idle_timeout);
  out->set_format(FormatName(s.format));
  out->set_ticks(s.ticks);
  out->set_keep_raw(s.keep_raw);
  out->set_append_times(s.append_times);
  out->set_topic(s.topic);
  for (const runtime::PartitionInfo& p : info.partitions) {
    out->add_start_offsets(p.start.value);
    out->add_end_offsets(p.end.value);
    out->add_floor_offsets(p.floor.value);
    if (p.bytes) out->add_bytes(*p.bytes);
  }
  if (info.keep_for) out->set_keep_for_us(*info.keep_for);
  if (info.keep_bytes) out->set_keep_bytes(*info.keep_bytes);
}

void Describe(const runtime::PipelineInfo& info, wire::PipelineDescription* out) {
  const PipelineSpec& p = info.spec;
  out->set_namespace_(info.incarnation.name_space);
  out->set_name(info.incarnation.name);
  out->set_defined_at(info.incarnation.defined_at.value);
  out->set_stream(p.stream);
  out->set_state(info.state);
  if (info.watermark != kMinusInfinity) out->set_watermark_us(info.watermark);
  for (const OutputColumn& c : p.select) AddColumn(c.name, c.expr.type, false, out->add_columns());
  out->set_window(p.window.kind == WindowKind::kHop ? "hop" : "tumble");
  out->set_size_us(p.window.size);
  out->set_slide_us(p.window.slide);
  out->set_offset_us(p.window.offset);
  out->set_time_zone(p.window.zone);
  out->set_allowed_lateness_us(p.allowed_lateness);
  out->set_emits_updates(p.updates);
  out->set_file_interval_us(p.file_interval);
  out->set_file_idle_us(p.file_idle);
  out->set_semantics_version(p.semantics_version);
  out->set_plan(PlanText(p));
  out->set_result_files(info.result_files);
  out->set_late(info.late);
  out->set_quarantined(info.quarantined);
  out->set_open_windows(info.open_windows);
  if (info.read_watermark != kMinusInfinity) out->set_read_watermark_us(info.read_watermark);
  out->set_message(info.message);
}

void Describe(const runtime::ShardInfo& info, wire::ShardDescription* out) {
  out->set_shard(info.shard.ToString());
  out->set_epoch(info.epoch.value);
  out->set_worker(info.worker);
  out->set_state(info.state);
  out->set_message(info.message);
  out->set_next_offset(info.next_offset.value);
  out->set_end_offset(info.end_offset.value);
  out->set_last_cut(info.last_cut.value);
  if (info.watermark != kMinusInfinity) out->set_watermark_us(info.watermark);
}

template <typename Reply>
Answer<Reply> AnswerOf(const Status& done) {
  if (done.ok()) return {};
  return {ToStatus(done.error()), {}};
}

Task<Answer<wire::ApplyReply>> Apply(Operations* operations, wire::ApplyRequest request) {
  auto work = operations->Apply(request.sql(), request.may_drop());
  const auto applied = co_await std::move(work);
  Answer<wire::ApplyReply> answer;
  if (!applied.ok()) {
    answer.status = ToStatus(applied.error());
    co_return answer;
  }
  answer.reply.set_needs_consent(applied->needs_consent);
  for (const runtime::AppliedStatement& s : applied->statements) {
    wire::AppliedStatement* statement = answer.reply.add_statements();
    statement->set_kind(s.kind);
    statement->set_namespace_(s.name_space);
    statement->set_name(s.name);
    statement->set_outcome(std::string(runtime::OutcomeName(s.outcome)));
  }
  co_return answer;
}

Task<Answer<wire::ListStreamsReply>> ListStreams(Operations* operations,
                                                 wire::ListStreamsRequest request) {
  auto work = operations->ListStreams();
  const auto streams = co_await std::move(work);
  Answer<wire::ListStreamsReply> answer;
  if (!streams.ok()) {
    answer.status = ToStatus(streams.error());
    co_return answer;
  }
  for (const runtime::StreamInfo& info : *streams) {
    if (Shows(request.namespace_(), info.spec.name_space))
      Describe(info, answer.reply.add_streams());
  }
  co_return answer;
}

Task<Answer<wire::StreamDescription>> DescribeStream(Operations* operations,
                                                     wire::DescribeStreamRequest request) {
  const std::string name_space = NamespaceOf(request.namespace_());
  auto work = operations->ListStreams();
  const auto streams = co_await std::move(work);
  Answer<wire::StreamDescription> answer;
  if (!streams.ok()) {
    answer.status = ToStatus(streams.error());
    co_return answer;
  }
  std::vector<std::string> names;
  for (const runtime::StreamInfo& info : *streams)
    names.push_back(Qualified(info.spec.name_space, info.spec.name));
  answer.status = ToStatus(NoSuch("stream", Qualified(name_space, request.name()), names));
  for (const runtime::StreamInfo& info : *streams) {
    if (info.spec.name_space != name_space || info.spec.name != request.name()) continue;
    answer.status = grpc::Status::OK;
    Describe(info, &answer.reply);
  }
  co_return answer;
}

Task<Answer<wire::AdvanceStreamReply>> AdvanceStream(Operations* operations,
                                                     wire::AdvanceStreamRequest request) {
  const bool to_end = request.to_case() == wire::AdvanceStreamRequest::kEnd && request.end();
  if (!to_end && request.to_case() != wire::AdvanceStreamRequest::kTimeUs)
    co_return AnswerOf<wire::AdvanceStreamReply>(InvalidArgument(
        "the request does not say how far to advance; set time_us, or end to true"));
  auto work = operations->AdvanceStream(NamespaceOf(request.namespace_()), request.name(),
                                        to_end ? kPlusInfinity : request.time_us());
  const Status done = co_await std::move(work);
  co_return AnswerOf<wire::AdvanceStreamReply>(done);
}

Task<Answer<wire::ListPipelinesReply>> ListPipelines(Operations* operations,
                                                     wire::ListPipelinesRequest request) {
  auto work = operations->ListPipelines();
  const auto pipelines = co_await std::move(work);
  Answer<wire::ListPipelinesReply> answer;
  if (!pipelines.ok()) {
    answer.status = ToStatus(pipelines.error());
    co_return answer;
  }
  for (const runtime::PipelineInfo& info : *pipelines) {
    if (Shows(request.namespace_(), info.incarnation.name_space))
      Describe(info, answer.reply.add_pipelines());
  }
  co_return answer;
}

Task<Answer<wire::PipelineDescription>> DescribePipeline(Operations* operations,
                                                         wire::DescribePipelineRequest request) {
  const std::string name_space = NamespaceOf(request.namespace_());
  auto work = operations->ListPipelines();
  const auto pipelines = co_await std::move(work);
  Answer<wire::PipelineDescription> answer;
  if (!pipelines.ok()) {
    answer.status = ToStatus(pipelines.error());
    co_return answer;
  }
  std::vector<std::string> names;
  for (const runtime::PipelineInfo& info : *pipelines)
    names.push_back(Qualified(info.incarnation.name_space, info.incarnation.name));
  answer.status = ToStatus(NoSuch("pipeline", Qualified(name_space, request.name()), names));
  for (const runtime::PipelineInfo& info : *pipelines) {
    // The one that has the name, not a dropped one that had it.
    if (info.incarnation.name_space != name_space || info.incarnation.name != request.name() ||
        (answer.status.ok() && answer.reply.defined_at() > info.incarnation.defined_at.value)) {
      continue;
    }
    answer.status = grpc::Status::OK;
    answer.reply.Clear();
    Describe(info, &answer.reply);
  }
  co_return answer;
}

Task<Answer<wire::DropPipelineReply>> DropPipeline(Operations* operations,
                                                   wire::DropPipelineRequest request) {
  auto work = operations->DropPipeline(NamespaceOf(request.namespace_()), request.name());
  const Status done = co_await std::move(work);
  co_return AnswerOf<wire::DropPipelineReply>(done);
}

Task<Answer<wire::ListProducersReply>> ListProducers(Operations* operations,
                                                     wire::ListProducersRequest request) {
  auto work = operations->ListProducers(NamespaceOf(request.namespace_()), request.stream(),
                                        Principal(), request.id_prefix());
  const auto producers = co_await std::move(work);
  Answer<wire::ListProducersReply> answer;
  if (!producers.ok()) {
    answer.status = ToStatus(producers.error());
    co_return answer;
  }
  for (const runtime::ProducerInfo& info : *producers) {
    wire::Producer* producer = answer.reply.add_producers();
    producer->set_id(info.id);
    producer->set_end_sequence(info.end);
  }
  co_return answer;
}

Task<Answer<wire::ListShardsReply>> ListShards(Operations* operations) {
  auto work = operations->ListShards();
  const auto shards = co_await std::move(work);
  Answer<wire::ListShardsReply> answer;
  if (!shards.ok()) {
    answer.status = ToStatus(shards.error());
    co_return answer;
  }
  for (const runtime::ShardInfo& info : *shards) Describe(info, answer.reply.add_shards());
  co_return answer;
}

Error NoShardName(const std::string& name) {
  return InvalidArgument("a shard is named NAMESPACE/PIPELINE@N/pPARTITION; shard list shows them",
                         {{"shard", name}});
}

Task<Answer<wire::ReleaseShardReply>> ReleaseShard(Operations* operations,
                                                   wire::ReleaseShardRequest request) {
  ShardId shard;
  if (!ShardId::Parse(request.shard(), &shard))
    co_return AnswerOf<wire::ReleaseShardReply>(NoShardName(request.shard()));
  auto work = operations->ReleaseShard(shard);
  const Status done = co_await std::move(work);
  co_return AnswerOf<wire::ReleaseShardReply>(done);
}

Task<Answer<wire::RetryShardReply>> RetryShard(Operations* operations,
                                               wire::RetryShardRequest request) {
  ShardId shard;
  if (!ShardId::Parse(request.shard(), &shard))
    co_return AnswerOf<wire::RetryShardReply>(NoShardName(request.shard()));
  auto work = operations->RetryShard(shard);
  const Status done = co_await std::move(work);
  co_return AnswerOf<wire::RetryShardReply>(done);
}

Task<Answer<wire::SkipShardReply>> SkipShard(Operations* operations,
                                             wire::SkipShardRequest request) {
  ShardId shard;
  if (!ShardId::Parse(request.shard(), &shard))
    co_return AnswerOf<wire::SkipShardReply>(NoShardName(request.shard()));
  if (request.reason().find_first_not_of(" \t\r\n") == std::string::npos)
    co_return AnswerOf<wire::SkipShardReply>(
        InvalidArgument("the request has no reason; set reason to why the records are left out, "
                        "which is kept in the control log",
                        {{"shard", request.shard()}}));
  auto work = operations->SkipShard(shard, Offset(request.to_offset()), request.reason());
  const auto report = co_await std::move(work);
  Answer<wire::SkipShardReply> answer;
  if (!report.ok()) {
    answer.status = ToStatus(report.error());
    co_return answer;
  }
  answer.reply.set_lowest(report->lowest.value);
  answer.reply.set_highest(report->highest.value);
  answer.reply.set_left_out(report->left_out);
  answer.reply.set_may_count_twice(report->may_count_twice);
  co_return answer;
}

class ControlService final : public wire::Control::CallbackService, public DrainableService {
  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

 public:
  ControlService(const ServerOptions& options, const Serving* serving)
      : cap_{std::make_shared<Deadlines>(options.longest_call),
             {grpc::StatusCode::DEADLINE_EXCEEDED,
              "the call took longer than the longest one may take"}},
        serving_(serving) {}

  grpc::Service* service() override { return this; }

  Reactor* Apply(Context* context, const wire::ApplyRequest* request,
                 wire::ApplyReply* reply) override {
    return Start(context, reply, [&](Operations* o) { return rpc::Apply(o, *request); });
  }
  Reactor* ListStreams(Context* context, const wire::ListStreamsRequest* request,
                       wire::ListStreamsReply* reply) override {
    return Start(context, reply, [&](Operations* o) { return rpc::ListStreams(o, *request); });
  }
  Reactor* DescribeStream(Context* context, const wire::DescribeStreamRequest* request,
                          wire::StreamDescription* reply) override {
    return Start(context, reply, [&](Operations* o) { return rpc::DescribeStream(o, *request); });
  }
  Reactor* ListProducers(Context* context, const wire::ListProducersRequest* request,
                         wire::ListProducersReply* reply) override {
    return Start(context, reply, [&](Operations* o) { return rpc::ListProducers(o, *request); });
  }
  Reactor* AdvanceStream(Context* context, const wire::AdvanceStreamRequest* request,
                         wire::AdvanceStreamReply* reply) override {
    return Start(context, reply, [&](Operations* o) { return rpc::AdvanceStream(o, *request); });
  }
  Reactor* ListPipelines(Context* context, const wire::ListPipelinesRequest* request,
                         wire::ListPipelinesReply* reply) override {
    return Start(context, reply, [&](Operations* o) { return rpc::ListPipelines(o, *request); });
  }
  Reactor* DescribePipeline(Context* context, const wire::DescribePipelineRequest* request,
                            wire::PipelineDescription* reply) override {
    return Start(context, reply, [&](Operations* o) { return rpc::DescribePipeline(o, *request); });
  }
  Reactor* DropPipeline(Context* context, const wire::DropPipelineRequest* request,
                        wire::DropPipelineReply* reply) override {
    return Start(context, reply, [&](Operations* o) { return rpc::DropPipeline(o, *request); });
  }
  Reactor* ReleaseShard(Context* context, const wire::ReleaseShardRequest* request,
                        wire::ReleaseShardReply* reply) override {
    return Start(context, reply, [&](Operations* o) { return rpc::ReleaseShard(o, *request); });
  }
  Reactor* ListShards(Context* context, const wire::ListShardsRequest*,
                      wire::ListShardsReply* reply) override {
    return Start(context, reply, [](Operations* o) { return rpc::ListShards(o); });
  }
  Reactor* RetryShard(Context* context, const wire::RetryShardRequest* request,
                      wire::RetryShardReply* reply) override {
    return Start(context, reply, [&](Operations* o) { return rpc::RetryShard(o, *request); });
  }
  Reactor* SkipShard(Context* context, const wire::SkipShardRequest* request,
                     wire::SkipShardReply* reply) override {
    return Start(context, reply, [&](Operations* o) { return rpc::SkipShard(o, *request); });
  }

 private:
  template <typename Reply, typename Work>
  Reactor* Start(Context* context, Reply* reply, const Work& work) {
    const Services* services = serving_->load();
    if (services == nullptr || services->operations == nullptr)
      return EndAtOnce(context, NotServingStatus(services == nullptr));
    return UnaryCall<Reply>::Start(*services->control_executor, reply, &cap_,
                                   work(services->operations));
  }

  const Cap cap_;
  const Serving* serving_;
};

}  // namespace

std::unique_ptr<DrainableService> MakeControlService(const ServerOptions& options,
                                                     const Serving* serving) {
  return std::make_unique<ControlService>(options, serving);
}

}  // namespace millrace::rpc
