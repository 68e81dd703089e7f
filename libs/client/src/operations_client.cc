#include "millrace/client/operations_client.h"

#include <algorithm>
#include <initializer_list>

#include "grpc_status.h"
#include "millrace/base/facts.h"
#include "millrace/control/v1/operations.grpc.pb.h"
#include "query_cursor.h"
#include "wire_names.h"

namespace millrace {
namespace {

namespace wire_control = control::v1;
using client::ByName;
using client::Failed;
using client::NotUnderstood;
using client::TypeOf;
using operations::ApplyReport;
using operations::PipelineInfo;
using operations::ProducerInfo;
using operations::ShardInfo;
using operations::SkipReport;
using operations::StreamInfo;

constexpr auto kLongestWait = std::chrono::hours(1);

Result<std::vector<ColumnSpec>> FromWire(
    const google::protobuf::RepeatedPtrField<wire_control::ColumnDescription>& columns) {
  std::vector<ColumnSpec> out;
  for (const auto& c : columns) {
    MILLRACE_ASSIGN(const Type type, TypeOf(c.type()));
    out.push_back({c.name(), type, c.not_null(), c.quoted()});
  }
  return out;
}

Result<int32_t> ColumnIndex(const std::vector<ColumnSpec>& columns, const std::string& name) {
  const auto at = std::find_if(columns.begin(), columns.end(),
                               [&](const ColumnSpec& column) { return column.name == name; });
  if (at == columns.end()) return NotUnderstood("column", name);
  return static_cast<int32_t>(at - columns.begin());
}

Result<StreamInfo> FromWire(const wire_control::StreamDescription& s) {
  StreamInfo out;
  StreamSpec& spec = out.spec;
  spec.name_space = s.namespace_();
  spec.name = s.name();
  spec.schema_id = s.schema_id();
  MILLRACE_ASSIGN(spec.columns, FromWire(s.columns()));
  MILLRACE_ASSIGN(spec.event_time, ColumnIndex(spec.columns, s.event_time()));
  if (s.has_partition_key()) {
    MILLRACE_ASSIGN(spec.partition_key, ColumnIndex(spec.columns, s.partition_key()));
  }
  spec.partitioned_by_key = s.partitioned_by_key();
  spec.watermark_delay = s.watermark_delay_us();
  spec.max_ahead = s.max_ahead_us();
  spec.idle_timeout = s.idle_timeout_us();
  MILLRACE_ASSIGN(spec.format, ByName({RecordFormat::kArrow, RecordFormat::kJson},
                                      operations::FormatName, "format", s.format()));
  spec.partitions = s.end_offsets_size();
  spec.ticks = s.ticks();
  spec.keep_raw = s.keep_raw();
  spec.append_times = s.append_times();
  spec.topic = s.topic();
  spec.foreign = s.foreign();
  if (s.start_offsets_size() != spec.partitions || s.floor_offsets_size() != spec.partitions)
    return NotUnderstood("partitions", std::to_string(spec.partitions));
  for (int i = 0; i < spec.partitions; ++i) {
    out.partitions.push_back({Offset(s.start_offsets(i)), Offset(s.end_offsets(i)),
                              Offset(s.floor_offsets(i)), std::nullopt});
    if (i < s.bytes_size()) out.partitions.back().bytes = s.bytes(i);
  }
  if (s.has_keep_for_us()) out.keep_for = s.keep_for_us();
  if (s.has_keep_bytes()) out.keep_bytes = s.keep_bytes();
  return out;
}

Result<PipelineInfo> FromWire(const wire_control::PipelineDescription& p) {
  PipelineInfo out;
  out.incarnation = {p.namespace_(), p.name(), Offset(p.defined_at())};
  out.stream = p.stream();
  out.state = p.state();
  if (p.has_watermark_us()) out.watermark = p.watermark_us();
  MILLRACE_ASSIGN(out.columns, FromWire(p.columns()));
  MILLRACE_ASSIGN(out.window.kind, ByName({WindowKind::kTumble, WindowKind::kHop},
                                          operations::WindowName, "window", p.window()));
  out.window.size = p.size_us();
  out.window.slide = p.slide_us();
  out.window.offset = p.offset_us();
  out.window.zone = p.time_zone();
  out.allowed_lateness = p.allowed_lateness_us();
  out.updates = p.emits_updates();
  out.file_interval = p.file_interval_us();
  out.file_idle = p.file_idle_us();
  out.semantics_version = p.semantics_version();
  out.plan = p.plan();
  out.result_files = p.result_files();
  out.late = p.late();
  out.quarantined = p.quarantined();
  out.open_windows = p.open_windows();
  if (p.has_read_watermark_us()) out.read_watermark = p.read_watermark_us();
  out.message = p.message();
  return out;
}

Result<ShardInfo> FromWire(const wire_control::ShardDescription& s) {
  ShardInfo out;
  if (!ShardId::Parse(s.shard(), &out.shard)) return NotUnderstood("shard", s.shard());
  out.epoch = Epoch(s.epoch());
  out.worker = s.worker();
  out.state = s.state();
  out.message = s.message();
  out.next_offset = Offset(s.next_offset());
  out.end_offset = Offset(s.end_offset());
  out.last_cut = CutNumber(s.last_cut());
  if (s.has_watermark_us()) out.watermark = s.watermark_us();
  return out;
}

Result<operations::Setting> FromWire(const wire_control::Setting& s) {
  return operations::Setting{s.namespace_(), s.name(), s.key(), s.value()};
}

Result<ProducerInfo> FromWire(const wire_control::Producer& p) {
  return ProducerInfo{p.id(), p.end_sequence()};
}

Result<operations::AppliedStatement> FromWire(const wire_control::AppliedStatement& s) {
  using operations::Outcome;
  operations::AppliedStatement out{s.kind(), s.namespace_(), s.name(), Outcome::kUnchanged};
  MILLRACE_ASSIGN(out.outcome, ByName({Outcome::kCreated, Outcome::kUnchanged, Outcome::kDropped,
                                       Outcome::kSet, Outcome::kAbsent},
                                      operations::OutcomeName, "outcome", s.outcome()));
  return out;
}

template <typename Out, typename In>
Result<std::vector<Out>> AllFromWire(const google::protobuf::RepeatedPtrField<In>& in) {
  std::vector<Out> out;
  for (const In& item : in) {
    MILLRACE_ASSIGN(Out one, FromWire(item));
    out.push_back(std::move(one));
  }
  return out;
}

class OperationsClient final : public operations::Operations {
  using Control = wire_control::Control::Stub;

 public:
  OperationsClient(const std::vector<std::string>& servers, std::chrono::milliseconds timeout)
      : timeout_(timeout) {
    for (const std::string& server : servers) servers_.emplace_back(server);
  }

  Task<Result<ApplyReport>> Apply(std::string sql, bool may_drop) override {
    wire_control::ApplyRequest request;
    request.set_sql(sql);
    request.set_may_drop(may_drop);
    MILLRACE_CO_ASSIGN(const wire_control::ApplyReply reply, Call(&Control::Apply, request));
    ApplyReport out;
    out.needs_consent = reply.needs_consent();
    MILLRACE_CO_ASSIGN(out.statements,
                       AllFromWire<operations::AppliedStatement>(reply.statements()));
    co_return out;
  }

  Task<Result<std::vector<StreamInfo>>> ListStreams() override {
    const wire_control::ListStreamsRequest request;
    MILLRACE_CO_ASSIGN(const auto reply, Call(&Control::ListStreams, request));
    co_return AllFromWire<StreamInfo>(reply.streams());
  }

  Task<Result<StreamInfo>> DescribeStream(std::string name_space, std::string name) override {
    const auto request = Named<wire_control::DescribeStreamRequest>(name_space, name);
    MILLRACE_CO_ASSIGN(const auto reply, Call(&Control::DescribeStream, request));
    co_return FromWire(reply);
  }

  Task<Result<std::vector<ProducerInfo>>> ListProducers(std::string name_space, std::string stream,
                                                        Principal, std::string prefix) override {
    wire_control::ListProducersRequest request;
    request.set_namespace_(name_space);
    request.set_stream(stream);
    request.set_id_prefix(prefix);
    MILLRACE_CO_ASSIGN(const auto reply, Call(&Control::ListProducers, request));
    co_return AllFromWire<ProducerInfo>(reply.producers());
  }

  Task<Status> AdvanceStream(std::string name_space, std::string name, Micros to) override {
    auto request = Named<wire_control::AdvanceStreamRequest>(name_space, name);
    if (to == kPlusInfinity) {
      request.set_end(true);
    } else {
      request.set_time_us(to);
    }
    co_return Done(Call(&Control::AdvanceStream, request));
  }

  Task<Result<std::vector<PipelineInfo>>> ListPipelines() override {
    const wire_control::ListPipelinesRequest request;
    MILLRACE_CO_ASSIGN(const auto reply, Call(&Control::ListPipelines, request));
    co_return AllFromWire<PipelineInfo>(reply.pipelines());
  }

  Task<Result<PipelineInfo>> DescribePipeline(std::string name_space, std::string name) override {
    const auto request = Named<wire_control::DescribePipelineRequest>(name_space, name);
    MILLRACE_CO_ASSIGN(const auto reply, Call(&Control::DescribePipeline, request));
    co_return FromWire(reply);
  }

  Task<Status> DropPipeline(std::string name_space, std::string name) override {
    const auto request = Named<wire_control::DropPipelineRequest>(name_space, name);
    co_return Done(Call(&Control::DropPipeline, request));
  }

  Task<Status> Set(operations::Setting setting) override {
    wire_control::SetRequest request;
    request.mutable_setting()->set_namespace_(setting.name_space);
    request.mutable_setting()->set_name(setting.name);
    request.mutable_setting()->set_key(setting.key);
    request.mutable_setting()->set_value(setting.value);
    co_return Done(Call(&Control::Set, request));
  }

  Task<Result<std::vector<operations::Setting>>> ListSettings() override {
    const wire_control::ListSettingsRequest request;
    MILLRACE_CO_ASSIGN(const auto reply, Call(&Control::ListSettings, request));
    co_return AllFromWire<operations::Setting>(reply.settings());
  }

  Task<Result<std::vector<ShardInfo>>> ListShards() override {
    const wire_control::ListShardsRequest request;
    MILLRACE_CO_ASSIGN(const auto reply, Call(&Control::ListShards, request));
    co_return AllFromWire<ShardInfo>(reply.shards());
  }

  Task<Status> ReleaseShard(ShardId shard) override {
    wire_control::ReleaseShardRequest request;
    request.set_shard(shard.ToString());
    co_return Done(Call(&Control::ReleaseShard, request));
  }

  Task<Result<SkipReport>> SkipShard(ShardId shard, Offset to, std::string reason) override {
    wire_control::SkipShardRequest request;
    request.set_shard(shard.ToString());
    request.set_to_offset(to.value);
    request.set_reason(reason);
    MILLRACE_CO_ASSIGN(const auto reply, Call(&Control::SkipShard, request));
    const SkipReport out{Offset(reply.lowest()), Offset(reply.highest()), reply.left_out(),
                         reply.may_count_twice()};
    co_return out;
  }

  Task<Status> RetryShard(ShardId shard) override {
    wire_control::RetryShardRequest request;
    request.set_shard(shard.ToString());
    co_return Done(Call(&Control::RetryShard, request));
  }

  Task<Status> WaitApplied(std::string name_space, std::string name, Left) override {
    // A query waits if told to, and no window begins in an empty span of time.
    ServingQuery query;
    query.name_space = std::move(name_space);
    query.name = std::move(name);
    query.from = query.to = 0;
    co_return Done(Open(query, true, kLongestWait));
  }

  Task<Result<std::shared_ptr<RowCursor>>> OpenQuery(ServingQuery query) override {
    co_return Open(query, false, timeout_);
  }

 private:
  template <typename Request>
  static Request Named(const std::string& name_space, const std::string& name) {
    Request request;
    request.set_namespace_(name_space);
    request.set_name(name);
    return request;
  }

  template <typename T>
  static Status Done(const Result<T>& result) {
    if (result.ok()) return {};
    return result.error();
  }

  struct Server {
    explicit Server(std::string at)
        : address(std::move(at)),
          channel(client::OpenChannel(address)),
          control(wire_control::Control::NewStub(channel)) {}

    std::string address;
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<Control> control;
  };

  /// Asks one server after the other until one answers for all. `ask` gives the answer of one.
  /// Where none does, the most telling of their errors is the answer.
  template <typename T, typename Ask>
  Result<T> AskServers(const Ask& ask) {
    const size_t first = answered_.load();
    Failed telling;
    for (size_t i = 0; i < servers_.size(); ++i) {
      const size_t at = (first + i) % servers_.size();
      const Server& server = servers_[at];
      // So that one which cannot be reached was certainly not asked.
      if (servers_.size() > 1 && !server.channel->WaitForConnected(Soon())) {
        if (!telling) telling = NotReached(server);
        continue;
      }
      T answer;
      Failed failed = ask(server, &answer);
      if (!failed) {
        answered_ = at;
        return answer;
      }
      if (!failed->elsewhere) return failed->error;
      // That another one leads says more than that one is no coordinator.
      if (!telling || failed->error.code == Code::kFenced) telling = std::move(failed);
    }
    return telling->error;
  }

  static client::Failure NotReached(const Server& server) {
    return client::FailureOf({grpc::StatusCode::UNAVAILABLE, "no connection"}, server.address);
  }
  static std::chrono::system_clock::time_point Soon() {
    constexpr std::chrono::seconds kConnect(3);
    return std::chrono::system_clock::now() + kConnect;
  }

  /// Calls one method and gives its reply or what went wrong.
  template <typename Request, typename Reply>
  Result<Reply> Call(grpc::Status (Control::*method)(grpc::ClientContext*, const Request&, Reply*),
                     const Request& request) {
    return AskServers<Reply>([&](const Server& server, Reply* reply) -> Failed {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + timeout_);
      const grpc::Status status = (server.control.get()->*method)(&context, request, reply);
      if (status.ok()) return {};
      return client::FailureOf(status, server.address);
    });
  }

  Result<std::shared_ptr<RowCursor>> Open(const ServingQuery& query, bool wait,
                                          std::chrono::milliseconds patience) {
    return AskServers<std::shared_ptr<RowCursor>>(
        [&](const Server& server, std::shared_ptr<RowCursor>* out) {
          return client::OpenCursor({server.channel, server.address, timeout_}, query, wait,
                                    patience, out);
        });
  }

  const std::chrono::milliseconds timeout_;
  std::vector<Server> servers_;
  std::atomic<size_t> answered_ = 0;  ///< which one answered last
};

}  // namespace

std::unique_ptr<operations::Operations> ConnectOperations(const std::vector<std::string>& servers,
                                                          std::chrono::milliseconds timeout) {
  return std::make_unique<OperationsClient>(servers, timeout);
}

}  // namespace millrace
