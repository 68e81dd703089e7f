#include "millrace/client/operations_client.h"

#include "grpc_status.h"
#include "millrace/base/facts.h"
#include "millrace/control/v1/operations.grpc.pb.h"
#include "millrace/query/v1/query.grpc.pb.h"
#include "stream_reader.h"

namespace millrace {
namespace {

namespace wire_control = control::v1;
namespace wire_query = query::v1;

constexpr auto kLongestWait = std::chrono::hours(1);
/// Servers allow a minute. A shorter pause is not why a server ends a query.
constexpr auto kLongPause = std::chrono::seconds(30);

std::vector<ColumnDescription> FromWire(
    const google::protobuf::RepeatedPtrField<wire_control::ColumnDescription>& columns) {
  std::vector<ColumnDescription> out;
  for (const auto& c : columns) out.push_back({c.name(), c.type(), c.not_null(), c.quoted()});
  return out;
}

StreamDescription FromWire(const wire_control::StreamDescription& s) {
  StreamDescription out;
  out.name_space = s.namespace_();
  out.name = s.name();
  out.schema_id = s.schema_id();
  out.columns = FromWire(s.columns());
  out.event_time = s.event_time();
  out.partition_key = s.partition_key();
  out.partitioned_by_key = s.partitioned_by_key();
  out.watermark_delay = s.watermark_delay_us();
  out.max_ahead = s.max_ahead_us();
  out.idle_timeout = s.idle_timeout_us();
  out.format = s.format();
  out.ticks = s.ticks();
  out.keep_raw = s.keep_raw();
  out.append_times = s.append_times();
  out.topic = s.topic();
  out.start_offsets.assign(s.start_offsets().begin(), s.start_offsets().end());
  out.end_offsets.assign(s.end_offsets().begin(), s.end_offsets().end());
  out.floor_offsets.assign(s.floor_offsets().begin(), s.floor_offsets().end());
  out.bytes.assign(s.bytes().begin(), s.bytes().end());
  if (s.has_keep_for_us()) out.keep_for = s.keep_for_us();
  if (s.has_keep_bytes()) out.keep_bytes = s.keep_bytes();
  return out;
}

PipelineDescription FromWire(const wire_control::PipelineDescription& p) {
  PipelineDescription out;
  out.name_space = p.namespace_();
  out.name = p.name();
  out.defined_at = p.defined_at();
  out.stream = p.stream();
  out.state = p.state();
  if (p.has_watermark_us()) out.watermark = p.watermark_us();
  out.columns = FromWire(p.columns());
  out.window = p.window();
  out.size = p.size_us();
  out.slide = p.slide_us();
  out.offset = p.offset_us();
  out.time_zone = p.time_zone();
  out.allowed_lateness = p.allowed_lateness_us();
  out.emits_updates = p.emits_updates();
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

ShardDescription FromWire(const wire_control::ShardDescription& s) {
  return {s.shard(),      s.epoch(),    s.worker(),
          s.state(),      s.message(),  s.next_offset(),
          s.end_offset(), s.last_cut(), s.has_watermark_us() ? s.watermark_us() : kMinusInfinity};
}

template <typename Out, typename In>
std::vector<Out> AllFromWire(const google::protobuf::RepeatedPtrField<In>& in) {
  std::vector<Out> out;
  for (const In& item : in) out.push_back(FromWire(item));
  return out;
}

wire_query::QueryRequest ToWire(const ResultQuery& q) {
  wire_query::QueryRequest out;
  out.set_namespace_(q.name_space);
  out.set_name(q.name);
  if (q.output == Output::kLate) out.set_output(wire_query::OUTPUT_LATE);
  if (q.output == Output::kQuarantine) out.set_output(wire_query::OUTPUT_QUARANTINE);
  for (const auto& [column, value] : q.keys) {
    wire_query::KeyFilter* key = out.add_keys();
    key->set_column(column);
    key->set_value(value);
  }
  if (q.from) out.set_from_us(*q.from);
  if (q.to) out.set_to_us(*q.to);
  out.set_meta(q.meta);
  out.set_wait(q.wait);
  return out;
}

Result<Type> TypeOf(const std::string& name) {
  for (const Type t : {Type::kInt, Type::kBigint, Type::kDouble, Type::kText, Type::kBool,
                       Type::kTimestamp, Type::kNumeric}) {
    if (TypeName(t) == name) return t;
  }
  return Internal("the server names a type that this client does not know", {{"type", name}});
}

/// Digits as FormatNumeric writes them; at most 38, so nothing overflows.
Result<Int128> ParseNumeric(std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  const std::string_view digits = text.substr(negative ? 1 : 0);
  Int128 v = 0;
  bool good = !digits.empty() && digits.size() <= 38;
  for (size_t i = 0; good && i < digits.size(); ++i) {
    good = digits[i] >= '0' && digits[i] <= '9';
    v = v * 10 + (digits[i] - '0');
  }
  if (!good) return Internal("the server sent a value that is not a numeric", {{"value", text}});
  return negative ? -v : v;
}

Result<Value> FromWire(const wire_query::Value& in, Type type) {
  Value out{type, {}};
  switch (in.value_case()) {
    case wire_query::Value::kInteger:
      out.data = static_cast<int64_t>(in.integer());
      break;
    case wire_query::Value::kReal:
      out.data = in.real();
      break;
    case wire_query::Value::kText:
      out.data = in.text();
      break;
    case wire_query::Value::kNumeric: {
      MILLRACE_ASSIGN(out.data, ParseNumeric(in.numeric()));
      break;
    }
    case wire_query::Value::VALUE_NOT_SET:
      break;
  }
  return out;
}

Result<std::vector<Value>> FromWire(const wire_query::Row& row,
                                    const std::vector<ResultColumn>& columns) {
  if (static_cast<size_t>(row.values_size()) != columns.size())
    return Internal("the server sent a row with another number of columns");
  std::vector<Value> values;
  for (int i = 0; i < row.values_size(); ++i) {
    MILLRACE_ASSIGN(Value v, FromWire(row.values(i), columns[static_cast<size_t>(i)].type));
    values.push_back(std::move(v));
  }
  return values;
}

}  // namespace

struct OperationsClient::Stubs {
  explicit Stubs(const std::string& server)
      : channel(client::OpenChannel(server)),
        control(wire_control::Control::NewStub(channel)),
        query(wire_query::Query::NewStub(channel)) {}

  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<wire_control::Control::Stub> control;
  std::unique_ptr<wire_query::Query::Stub> query;
};

namespace {

/// Calls one method and gives its reply or what went wrong.
template <typename Reply, typename Stub, typename Request>
Result<Reply> Call(Stub* stub,
                   grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                   const Request& request, const std::string& server,
                   std::chrono::milliseconds timeout) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  Reply reply;
  const grpc::Status status = (stub->*method)(&context, request, &reply);
  if (!status.ok()) return client::FailureOf(status, server).error;
  return reply;
}

}  // namespace

OperationsClient::OperationsClient(const std::string& server, std::chrono::milliseconds timeout)
    : server_(server), timeout_(timeout), stubs_(std::make_unique<Stubs>(server)) {}
OperationsClient::~OperationsClient() = default;

Result<ApplyReport> OperationsClient::Apply(const std::string& sql, bool may_drop) {
  wire_control::ApplyRequest request;
  request.set_sql(sql);
  request.set_may_drop(may_drop);
  MILLRACE_ASSIGN(
      const wire_control::ApplyReply reply,
      Call(stubs_->control.get(), &wire_control::Control::Stub::Apply, request, server_, timeout_));
  ApplyReport out;
  out.needs_consent = reply.needs_consent();
  for (const auto& s : reply.statements())
    out.statements.push_back({s.kind(), s.namespace_(), s.name(), s.outcome()});
  return out;
}

Result<std::vector<StreamDescription>> OperationsClient::ListStreams(
    const std::string& name_space) {
  wire_control::ListStreamsRequest request;
  request.set_namespace_(name_space);
  MILLRACE_ASSIGN(const wire_control::ListStreamsReply reply,
                  Call(stubs_->control.get(), &wire_control::Control::Stub::ListStreams, request,
                       server_, timeout_));
  return AllFromWire<StreamDescription>(reply.streams());
}

Result<StreamDescription> OperationsClient::DescribeStream(const std::string& name_space,
                                                           const std::string& name) {
  wire_control::DescribeStreamRequest request;
  request.set_namespace_(name_space);
  request.set_name(name);
  MILLRACE_ASSIGN(const wire_control::StreamDescription reply,
                  Call(stubs_->control.get(), &wire_control::Control::Stub::DescribeStream, request,
                       server_, timeout_));
  return FromWire(reply);
}

Status OperationsClient::AdvanceStream(const std::string& name_space, const std::string& name,
                                       Micros to) {
  wire_control::AdvanceStreamRequest request;
  request.set_namespace_(name_space);
  request.set_name(name);
  if (to == kPlusInfinity) {
    request.set_end(true);
  } else {
    request.set_time_us(to);
  }
  MILLRACE_TRY(Call(stubs_->control.get(), &wire_control::Control::Stub::AdvanceStream, request,
                    server_, timeout_));
  return {};
}

Result<std::vector<PipelineDescription>> OperationsClient::ListPipelines(
    const std::string& name_space) {
  wire_control::ListPipelinesRequest request;
  request.set_namespace_(name_space);
  MILLRACE_ASSIGN(const wire_control::ListPipelinesReply reply,
                  Call(stubs_->control.get(), &wire_control::Control::Stub::ListPipelines, request,
                       server_, timeout_));
  return AllFromWire<PipelineDescription>(reply.pipelines());
}

Result<PipelineDescription> OperationsClient::DescribePipeline(const std::string& name_space,
                                                               const std::string& name) {
  wire_control::DescribePipelineRequest request;
  request.set_namespace_(name_space);
  request.set_name(name);
  MILLRACE_ASSIGN(const wire_control::PipelineDescription reply,
                  Call(stubs_->control.get(), &wire_control::Control::Stub::DescribePipeline,
                       request, server_, timeout_));
  return FromWire(reply);
}

Status OperationsClient::DropPipeline(const std::string& name_space, const std::string& name) {
  wire_control::DropPipelineRequest request;
  request.set_namespace_(name_space);
  request.set_name(name);
  MILLRACE_TRY(Call(stubs_->control.get(), &wire_control::Control::Stub::DropPipeline, request,
                    server_, timeout_));
  return {};
}

Result<std::vector<ProducerDescription>> OperationsClient::ListProducers(
    const std::string& name_space, const std::string& stream, const std::string& id_prefix) {
  wire_control::ListProducersRequest request;
  request.set_namespace_(name_space);
  request.set_stream(stream);
  request.set_id_prefix(id_prefix);
  MILLRACE_ASSIGN(const wire_control::ListProducersReply reply,
                  Call(stubs_->control.get(), &wire_control::Control::Stub::ListProducers, request,
                       server_, timeout_));
  std::vector<ProducerDescription> out;
  for (const auto& p : reply.producers()) out.push_back({p.id(), p.end_sequence()});
  return out;
}

Status OperationsClient::ReleaseShard(const std::string& shard) {
  wire_control::ReleaseShardRequest request;
  request.set_shard(shard);
  MILLRACE_TRY(Call(stubs_->control.get(), &wire_control::Control::Stub::ReleaseShard, request,
                    server_, timeout_));
  return {};
}

Result<std::vector<ShardDescription>> OperationsClient::ListShards() {
  MILLRACE_ASSIGN(const wire_control::ListShardsReply reply,
                  Call(stubs_->control.get(), &wire_control::Control::Stub::ListShards,
                       wire_control::ListShardsRequest(), server_, timeout_));
  return AllFromWire<ShardDescription>(reply.shards());
}

Result<ShardSkipped> OperationsClient::SkipShard(const std::string& shard, int64_t to_offset,
                                                 const std::string& reason) {
  wire_control::SkipShardRequest request;
  request.set_shard(shard);
  request.set_to_offset(to_offset);
  request.set_reason(reason);
  MILLRACE_ASSIGN(const wire_control::SkipShardReply reply,
                  Call(stubs_->control.get(), &wire_control::Control::Stub::SkipShard, request,
                       server_, timeout_));
  return ShardSkipped{reply.lowest(), reply.highest(), reply.left_out(), reply.may_count_twice()};
}

Status OperationsClient::RetryShard(const std::string& shard) {
  wire_control::RetryShardRequest request;
  request.set_shard(shard);
  MILLRACE_TRY(Call(stubs_->control.get(), &wire_control::Control::Stub::RetryShard, request,
                    server_, timeout_));
  return {};
}

Status OperationsClient::Query(
    const ResultQuery& query,
    const std::function<void(const std::vector<ResultColumn>&)>& on_columns,
    const std::function<void(const std::vector<Value>&)>& on_row) {
  const wire_query::QueryRequest request = ToWire(query);
  client::StreamReader<wire_query::QueryReply> reader([&](auto* context, auto* reactor) {
    stubs_->query->async()->Query(context, &request, reactor);
  });
  std::vector<ResultColumn> columns;
  std::chrono::milliseconds patience = query.wait ? kLongestWait : timeout_;
  for (bool first = true;; first = false) {
    const std::optional<wire_query::QueryReply> reply = reader.Next(patience);
    if (!reply) break;
    patience = timeout_;
    for (const auto& c : reply->columns()) {
      MILLRACE_ASSIGN(const Type type, TypeOf(c.type()));
      columns.push_back({c.name(), type});
    }
    if (first) on_columns(columns);
    for (const wire_query::Row& row : reply->rows()) {
      MILLRACE_ASSIGN(const std::vector<Value> values, FromWire(row, columns));
      on_row(values);
    }
  }
  const grpc::Status status = reader.Finish();
  if (status.ok()) return {};
  // The server ends a query whose rows are not taken, and after a while without further word.
  if (status.error_code() == grpc::StatusCode::CANCELLED && reader.longest_pause() >= kLongPause)
    return Unavailable(
        "the server ended the query because its rows were not taken for too long; read them as "
        "they come, or write them to a file first",
        {{"seconds", reader.longest_pause().count()}});
  return client::FailureOf(status, server_).error;
}

}  // namespace millrace
