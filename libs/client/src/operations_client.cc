#include "millrace/client/operations_client.h"

#include <algorithm>
#include <initializer_list>

#include "grpc_status.h"
#include "millrace/base/facts.h"
#include "millrace/control/v1/operations.grpc.pb.h"
#include "millrace/query/v1/query.grpc.pb.h"
#include "stream_reader.h"

namespace millrace {
namespace {

namespace wire_control = control::v1;
namespace wire_query = query::v1;
using operations::ApplyReport;
using operations::PipelineInfo;
using operations::ProducerInfo;
using operations::ShardInfo;
using operations::SkipReport;
using operations::StreamInfo;

constexpr auto kLongestWait = std::chrono::hours(1);
/// Servers allow a minute. A shorter pause is not why a server ends a query.
constexpr auto kLongPause = std::chrono::seconds(30);

Error NotUnderstood(const std::string& what, const std::string& value) {
  return Internal(
      "the server sent something that this program does not know; use the server's "
      "version of millrace",
      {{what, value}});
}

/// The one of `all` that the server means.
template <typename E, typename NameOf>
Result<E> ByName(std::initializer_list<E> all, NameOf name_of, const std::string& what,
                 const std::string& name) {
  for (const E one : all)
    if (name_of(one) == name) return one;
  return NotUnderstood(what, name);
}

Result<Type> TypeOf(const std::string& name) {
  return ByName({Type::kInt, Type::kBigint, Type::kDouble, Type::kText, Type::kBool,
                 Type::kTimestamp, Type::kNumeric},
                TypeName, "type", name);
}

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

wire_query::QueryRequest ToWire(const ServingQuery& q) {
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
  return out;
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

Result<std::vector<Value>> FromWire(const wire_query::Row& row, const std::vector<Type>& types) {
  if (static_cast<size_t>(row.values_size()) != types.size())
    return Internal("the server sent a row with another number of columns");
  std::vector<Value> values;
  for (int i = 0; i < row.values_size(); ++i) {
    MILLRACE_ASSIGN(Value v, FromWire(row.values(i), types[static_cast<size_t>(i)]));
    values.push_back(std::move(v));
  }
  return values;
}

/// The answer to one query as its messages come. It keeps one message.
class WireCursor final : public RowCursor {
 public:
  WireCursor(std::string server, std::chrono::milliseconds timeout,
             const client::StreamReader<wire_query::QueryReply>::Begin& begin)
      : server_(std::move(server)), timeout_(timeout), reader_(begin) {}

  /// The first message, which names the columns.
  Status Open(std::chrono::milliseconds patience) {
    MILLRACE_TRY(Read(patience));
    for (const auto& c : message_.columns()) {
      MILLRACE_ASSIGN(const Type type, TypeOf(c.type()));
      names_.push_back(c.name());
      types_.push_back(type);
    }
    return {};
  }

  const std::vector<std::string>& names() const override { return names_; }
  const std::vector<Type>& types() const override { return types_; }

  Task<Result<ServingRows>> Next(size_t max_rows, size_t max_bytes) override {
    co_return NextPage(max_rows, max_bytes);
  }
  void Cancel() override { reader_.Cancel(); }

 private:
  Result<ServingRows> NextPage(size_t max_rows, size_t max_bytes) {
    ServingRows page;
    while (!ended_ && next_ == message_.rows_size()) MILLRACE_TRY(Read(timeout_));
    for (size_t bytes = 0;
         next_ < message_.rows_size() && page.size() < max_rows && bytes < max_bytes; ++next_) {
      MILLRACE_ASSIGN(std::vector<Value> row, FromWire(message_.rows(next_), types_));
      bytes += RowBytes(row);
      page.push_back(std::move(row));
    }
    return page;
  }

  /// Puts the next message in the place of the one before.
  Status Read(std::chrono::milliseconds patience) {
    std::optional<wire_query::QueryReply> reply = reader_.Next(patience);
    next_ = 0;
    message_ = reply ? std::move(*reply) : wire_query::QueryReply();
    if (reply) return {};
    ended_ = true;
    const grpc::Status status = reader_.Finish();
    if (status.ok()) return {};
    // The server ends a query whose rows are not taken, and after a while without further word.
    if (status.error_code() == grpc::StatusCode::CANCELLED && reader_.longest_pause() >= kLongPause)
      return Unavailable(
          "the server ended the query because its rows were not taken for too long; read them as "
          "they come, or write them to a file first",
          {{"seconds", reader_.longest_pause().count()}});
    return client::FailureOf(status, server_).error;
  }

  const std::string server_;
  const std::chrono::milliseconds timeout_;
  client::StreamReader<wire_query::QueryReply> reader_;
  std::vector<std::string> names_;
  std::vector<Type> types_;
  wire_query::QueryReply message_;
  int next_ = 0;  ///< row of the message
  bool ended_ = false;
};

class OperationsClient final : public operations::Operations {
  using Control = wire_control::Control::Stub;

 public:
  OperationsClient(const std::string& server, std::chrono::milliseconds timeout)
      : server_(server),
        timeout_(timeout),
        channel_(client::OpenChannel(server)),
        control_(wire_control::Control::NewStub(channel_)),
        query_(wire_query::Query::NewStub(channel_)) {}

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
    wire_query::QueryRequest request = ToWire(query);
    request.set_wait(true);
    co_return Done(Open(request, kLongestWait));
  }

  Task<Result<std::shared_ptr<RowCursor>>> OpenQuery(ServingQuery query) override {
    co_return Open(ToWire(query), timeout_);
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

  /// Calls one method and gives its reply or what went wrong.
  template <typename Request, typename Reply>
  Result<Reply> Call(grpc::Status (Control::*method)(grpc::ClientContext*, const Request&, Reply*),
                     const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout_);
    Reply reply;
    const grpc::Status status = (control_.get()->*method)(&context, request, &reply);
    if (!status.ok()) return client::FailureOf(status, server_).error;
    return reply;
  }

  Result<std::shared_ptr<RowCursor>> Open(const wire_query::QueryRequest& request,
                                          std::chrono::milliseconds patience) {
    auto cursor = std::make_shared<WireCursor>(
        server_, timeout_,
        [&](auto* context, auto* reactor) { query_->async()->Query(context, &request, reactor); });
    MILLRACE_TRY(cursor->Open(patience));
    return std::shared_ptr<RowCursor>(std::move(cursor));
  }

  const std::string server_;
  const std::chrono::milliseconds timeout_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<Control> control_;
  const std::unique_ptr<wire_query::Query::Stub> query_;
};

}  // namespace

std::unique_ptr<operations::Operations> ConnectOperations(const std::string& server,
                                                          std::chrono::milliseconds timeout) {
  return std::make_unique<OperationsClient>(server, timeout);
}

}  // namespace millrace
