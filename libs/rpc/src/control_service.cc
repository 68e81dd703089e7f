#include <grpcpp/grpcpp.h>

#include "millrace/base/facts.h"
#include "millrace/control/v1/operations.grpc.pb.h"
#include "millrace/operations/operations.h"
#include "services.h"
#include "unary_call.h"

namespace millrace::rpc {
namespace {

namespace wire = control::v1;
using operations::Operations;

std::string NamespaceOf(const std::string& text) { return text.empty() ? "default" : text; }

bool Shows(const std::string& asked, const std::string& name_space) {
  return asked.empty() || asked == name_space;
}

void AddColumn(const ColumnSpec& column, wire::ColumnDescription* out) {
  out->set_name(column.name);
  out->set_type(std::string(TypeName(column.type)));
  out->set_not_null(column.not_null);
  out->set_quoted(column.quoted);
}

void Describe(const operations::StreamInfo& info, wire::StreamDescription* out) {
  const StreamSpec& s = info.spec;
  out->set_namespace_(s.name_space);
  out->set_name(s.name);
  out->set_schema_id(s.schema_id);
  for (const ColumnSpec& column : s.columns) AddColumn(column, out->add_columns());
  out->set_event_time(s.columns[static_cast<size_t>(s.event_time)].name);
  if (s.partition_key >= 0)
    out->set_partition_key(s.columns[static_cast<size_t>(s.partition_key)].name);
  out->set_partitioned_by_key(s.partitioned_by_key);
  out->set_watermark_delay_us(s.watermark_delay);
  out->set_max_ahead_us(s.max_ahead);
  out->set_idle_timeout_us(s.idle_timeout);
  out->set_format(std::string(operations::FormatName(s.format)));
  out->set_ticks(s.ticks);
  out->set_keep_raw(s.keep_raw);
  out->set_append_times(s.append_times);
  out->set_topic(s.topic);
  out->set_foreign(s.foreign);
  for (const operations::PartitionInfo& p : info.partitions) {
    out->add_start_offsets(p.start.value);
    out->add_end_offsets(p.end.value);
    out->add_floor_offsets(p.floor.value);
    if (p.bytes) out->add_bytes(*p.bytes);
  }
  if (info.keep_for) out->set_keep_for_us(*info.keep_for);
  if (info.keep_bytes) out->set_keep_bytes(*info.keep_bytes);
}

void Describe(const operations::PipelineInfo& p, wire::PipelineDescription* out) {
  out->set_namespace_(p.incarnation.name_space);
  out->set_name(p.incarnation.name);
  out->set_defined_at(p.incarnation.defined_at.value);
  out->set_stream(p.stream);
  out->set_state(p.state);
  if (p.watermark != kMinusInfinity) out->set_watermark_us(p.watermark);
  for (const ColumnSpec& column : p.columns) AddColumn(column, out->add_columns());
  out->set_window(std::string(operations::WindowName(p.window.kind)));
  out->set_size_us(p.window.size);
  out->set_slide_us(p.window.slide);
  out->set_offset_us(p.window.offset);
  out->set_time_zone(p.window.zone);
  out->set_allowed_lateness_us(p.allowed_lateness);
  out->set_emits_updates(p.updates);
  out->set_file_interval_us(p.file_interval);
  out->set_file_idle_us(p.file_idle);
  out->set_semantics_version(p.semantics_version);
  out->set_plan(p.plan);
  out->set_result_files(p.result_files);
  out->set_late(p.late);
  out->set_quarantined(p.quarantined);
  out->set_open_windows(p.open_windows);
  if (p.read_watermark != kMinusInfinity) out->set_read_watermark_us(p.read_watermark);
  out->set_message(p.message);
}

void Describe(const operations::ShardInfo& info, wire::ShardDescription* out) {
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

void Describe(const operations::Setting& setting, wire::Setting* out) {
  out->set_namespace_(setting.name_space);
  out->set_name(setting.name);
  out->set_key(setting.key);
  out->set_value(setting.value);
}

void Describe(const operations::ProducerInfo& info, wire::Producer* out) {
  out->set_id(info.id);
  out->set_end_sequence(info.end);
}

void Write(const operations::ApplyReport& report, wire::ApplyReply* out) {
  out->set_needs_consent(report.needs_consent);
  for (const operations::AppliedStatement& s : report.statements) {
    wire::AppliedStatement* statement = out->add_statements();
    statement->set_kind(s.kind);
    statement->set_namespace_(s.name_space);
    statement->set_name(s.name);
    statement->set_outcome(std::string(operations::OutcomeName(s.outcome)));
  }
}

void Write(const operations::SkipReport& report, wire::SkipShardReply* out) {
  out->set_lowest(report.lowest.value);
  out->set_highest(report.highest.value);
  out->set_left_out(report.left_out);
  out->set_may_count_twice(report.may_count_twice);
}

/// What Operations gave, as an answer. `write` puts it into the reply.
template <typename Reply, typename Given, typename Write>
Task<Answer<Reply>> AnswerWith(Task<Result<Given>> asked, Write write) {
  const Result<Given> given = co_await std::move(asked);
  Answer<Reply> answer;
  if (given.ok()) {
    write(*given, &answer.reply);
  } else {
    answer.status = ToStatus(given.error());
  }
  co_return answer;
}
template <typename Reply>
Task<Answer<Reply>> AnswerWith(Task<Status> asked) {
  const Status done = co_await std::move(asked);
  Answer<Reply> answer;
  if (!done.ok()) answer.status = ToStatus(done.error());
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
    return Start(
        context, reply,
        [&](Operations* o) { return o->Apply(request->sql(), request->may_drop()); },
        [](const auto& report, auto* out) { Write(report, out); });
  }
  Reactor* ListStreams(Context* context, const wire::ListStreamsRequest* request,
                       wire::ListStreamsReply* reply) override {
    return Start(
        context, reply, [](Operations* o) { return o->ListStreams(); },
        [asked = request->namespace_()](const auto& streams, auto* out) {
          for (const auto& info : streams)
            if (Shows(asked, info.spec.name_space)) Describe(info, out->add_streams());
        });
  }
  Reactor* DescribeStream(Context* context, const wire::DescribeStreamRequest* request,
                          wire::StreamDescription* reply) override {
    return Start(
        context, reply,
        [&](Operations* o) {
          return o->DescribeStream(NamespaceOf(request->namespace_()), request->name());
        },
        [](const auto& info, auto* out) { Describe(info, out); });
  }
  Reactor* ListProducers(Context* context, const wire::ListProducersRequest* request,
                         wire::ListProducersReply* reply) override {
    return Start(
        context, reply,
        [&](Operations* o) {
          return o->ListProducers(NamespaceOf(request->namespace_()), request->stream(),
                                  Principal(), request->id_prefix());
        },
        [](const auto& producers, auto* out) {
          for (const auto& info : producers) Describe(info, out->add_producers());
        });
  }
  Reactor* AdvanceStream(Context* context, const wire::AdvanceStreamRequest* request,
                         wire::AdvanceStreamReply* reply) override {
    const bool to_end = request->to_case() == wire::AdvanceStreamRequest::kEnd && request->end();
    if (!to_end && request->to_case() != wire::AdvanceStreamRequest::kTimeUs)
      return Refuse(context,
                    InvalidArgument("the request does not say how far to advance; set time_us, or "
                                    "end to true"));
    return Start(context, reply, [&](Operations* o) {
      return o->AdvanceStream(NamespaceOf(request->namespace_()), request->name(),
                              to_end ? kPlusInfinity : request->time_us());
    });
  }
  Reactor* ListPipelines(Context* context, const wire::ListPipelinesRequest* request,
                         wire::ListPipelinesReply* reply) override {
    return Start(
        context, reply, [](Operations* o) { return o->ListPipelines(); },
        [asked = request->namespace_()](const auto& pipelines, auto* out) {
          for (const auto& info : pipelines)
            if (Shows(asked, info.incarnation.name_space)) Describe(info, out->add_pipelines());
        });
  }
  Reactor* DescribePipeline(Context* context, const wire::DescribePipelineRequest* request,
                            wire::PipelineDescription* reply) override {
    return Start(
        context, reply,
        [&](Operations* o) {
          return o->DescribePipeline(NamespaceOf(request->namespace_()), request->name());
        },
        [](const auto& info, auto* out) { Describe(info, out); });
  }
  Reactor* DropPipeline(Context* context, const wire::DropPipelineRequest* request,
                        wire::DropPipelineReply* reply) override {
    return Start(context, reply, [&](Operations* o) {
      return o->DropPipeline(NamespaceOf(request->namespace_()), request->name());
    });
  }
  Reactor* Set(Context* context, const wire::SetRequest* request, wire::SetReply* reply) override {
    const wire::Setting& s = request->setting();
    return Start(context, reply, [&](Operations* o) {
      return o->Set({NamespaceOf(s.namespace_()), s.name(), s.key(), s.value()});
    });
  }
  Reactor* ListSettings(Context* context, const wire::ListSettingsRequest*,
                        wire::ListSettingsReply* reply) override {
    return Start(
        context, reply, [](Operations* o) { return o->ListSettings(); },
        [](const auto& settings, auto* out) {
          for (const auto& setting : settings) Describe(setting, out->add_settings());
        });
  }
  Reactor* ListShards(Context* context, const wire::ListShardsRequest*,
                      wire::ListShardsReply* reply) override {
    return Start(
        context, reply, [](Operations* o) { return o->ListShards(); },
        [](const auto& shards, auto* out) {
          for (const auto& info : shards) Describe(info, out->add_shards());
        });
  }
  Reactor* ReleaseShard(Context* context, const wire::ReleaseShardRequest* request,
                        wire::ReleaseShardReply* reply) override {
    return StartOn(context, *request, reply,
                   [](Operations* o, ShardId shard) { return o->ReleaseShard(std::move(shard)); });
  }
  Reactor* RetryShard(Context* context, const wire::RetryShardRequest* request,
                      wire::RetryShardReply* reply) override {
    return StartOn(context, *request, reply,
                   [](Operations* o, ShardId shard) { return o->RetryShard(std::move(shard)); });
  }
  Reactor* SkipShard(Context* context, const wire::SkipShardRequest* request,
                     wire::SkipShardReply* reply) override {
    if (request->reason().find_first_not_of(" \t\r\n") == std::string::npos)
      return Refuse(context,
                    InvalidArgument("the request has no reason; set reason to why the records are "
                                    "left out, which is kept in the control log",
                                    {{"shard", request->shard()}}));
    return StartOn(
        context, *request, reply,
        [&](Operations* o, ShardId shard) {
          return o->SkipShard(std::move(shard), Offset(request->to_offset()), request->reason());
        },
        [](const auto& report, auto* out) { Write(report, out); });
  }

 private:
  static Reactor* Refuse(Context* context, const Error& error) {
    return EndAtOnce(context, ToStatus(error));
  }

  /// `ask` gives the task of Operations; `write`, if there is one, puts its result into the reply.
  template <typename Reply, typename Ask, typename... Write>
  Reactor* Start(Context* context, Reply* reply, const Ask& ask, Write... write) {
    const Services* services = serving_->load();
    if (services == nullptr || services->operations == nullptr)
      return EndAtOnce(context, NotServingStatus(services == nullptr));
    return UnaryCall<Reply>::Start(*services->control_executor, reply, &cap_,
                                   AnswerWith<Reply>(ask(services->operations), write...));
  }

  /// The same about the shard that the request names.
  template <typename Request, typename Reply, typename Ask, typename... Write>
  Reactor* StartOn(Context* context, const Request& request, Reply* reply, const Ask& ask,
                   Write... write) {
    ShardId shard;
    if (!ShardId::Parse(request.shard(), &shard))
      return Refuse(context, InvalidArgument("a shard is named NAMESPACE/PIPELINE@N/pPARTITION; "
                                             "shard list shows them",
                                             {{"shard", request.shard()}}));
    return Start(context, reply, [&](Operations* o) { return ask(o, shard); }, write...);
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
