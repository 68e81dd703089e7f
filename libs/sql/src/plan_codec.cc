#include "millrace/sql/plan_codec.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <bit>

#include "millrace/pipeline/v1/pipeline.pb.h"
#include "plan_check.h"
#include "syntax.h"

namespace millrace {
namespace {

namespace pb = pipeline::v1;

/// 131 years of days and some; more cannot come from a zone.
constexpr int32_t kMaxDays = 50'000;
/// Starts of days lie within this of the epoch.
constexpr Micros kMaxDayStart = 200 * 366 * kDay;

Error Broken(std::string_view what) {
  return Corruption("the bytes are not a plan: " + std::string(what));
}

/// An enum of ours from the number of the same enum on the wire.
template <typename E>
Status ReadEnum(int number, E last, std::string_view what, E* out) {
  if (number < 1 || number > static_cast<int>(last)) {
    return Broken("unknown " + std::string(what) + " number=" + std::to_string(number));
  }
  *out = static_cast<E>(number);
  return {};
}

Status ReadText(const std::string& in, std::string* out) {
  if (TextPrefix(in) != in.size()) return Broken("a text is not UTF-8");
  *out = in;
  return {};
}

/// Names become paths and topics: what is not one is refused here, whoever wrote it.
Status ReadName(const std::string& in, std::string* out) {
  if (!IsPlainName(in)) return Broken("not a name");
  *out = in;
  return {};
}

void WriteExpr(const Expr& expr, pb::Expr* out) {
  out->set_op(static_cast<pb::Op>(expr.op));
  out->set_type(static_cast<pb::Type>(expr.type));
  out->set_index(expr.index);
  out->set_is_null(expr.is_null);
  out->set_integer(expr.integer);
  out->set_real_bits(std::bit_cast<uint64_t>(expr.real));
  out->set_text(expr.text);
  for (const Expr& arg : expr.args) WriteExpr(arg, out->add_args());
}

Status ReadExpr(const pb::Expr& in, int depth, Expr* out) {
  if (depth > kMaxExprDepth) return Broken("an expression is nested more than 100 levels deep");
  MILLRACE_TRY(ReadEnum(in.op(), Expr::Op::kNullIf, "operator", &out->op));
  MILLRACE_TRY(ReadEnum(in.type(), Type::kNumeric, "type", &out->type));
  out->index = in.index();
  out->is_null = in.is_null();
  out->integer = in.integer();
  out->real = std::bit_cast<double>(in.real_bits());
  MILLRACE_TRY(ReadText(in.text(), &out->text));
  for (const pb::Expr& arg : in.args()) {
    MILLRACE_TRY(ReadExpr(arg, depth + 1, &out->args.emplace_back()));
  }
  return {};
}

void WriteWindow(const WindowSpec& window, pb::Window* out) {
  out->set_kind(static_cast<pb::WindowKind>(window.kind));
  out->set_size_us(window.size);
  out->set_slide_us(window.slide);
  out->set_offset_us(window.offset);
  out->set_zone(window.zone);
  out->set_days(window.days);
  const std::vector<Micros>& starts = window.day_starts;
  out->set_day_count(static_cast<int32_t>(starts.size()));
  if (starts.empty()) return;
  out->set_first_day_start_us(starts.front());
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    const Micros length = starts[i + 1] - starts[i];
    if (length == kDay) continue;
    pb::DayLength* day = out->add_day_lengths();
    day->set_day(static_cast<int32_t>(i));
    day->set_length_us(length);
  }
}

Status ReadWindow(const pb::Window& in, WindowSpec* out) {
  MILLRACE_TRY(ReadEnum(in.kind(), WindowKind::kHop, "window", &out->kind));
  out->size = in.size_us();
  out->slide = in.slide_us();
  out->offset = in.offset_us();
  MILLRACE_TRY(ReadText(in.zone(), &out->zone));
  out->days = in.days();
  if (in.day_count() < 0 || in.day_count() > kMaxDays) return Broken("too many local days");
  Micros start = in.first_day_start_us();
  if (start < -kMaxDayStart || start > kMaxDayStart) return Broken("a local day is out of range");
  int next = 0;
  for (int32_t day = 0; day < in.day_count(); ++day) {
    out->day_starts.push_back(start);
    Micros length = kDay;
    if (next < in.day_lengths_size() && in.day_lengths(next).day() == day) {
      length = in.day_lengths(next++).length_us();
    }
    if (length < 0 || length > 3 * kDay) return Broken("a local day has a wrong length");
    start += length;
  }
  if (next != in.day_lengths_size()) return Broken("lengths of local days are out of order");
  return {};
}

void WriteOptional(const std::optional<Expr>& expr, auto mutable_expr) {
  if (expr) WriteExpr(*expr, mutable_expr());
}

Status ReadOptional(bool has, const pb::Expr& in, std::optional<Expr>* out) {
  if (!has) return {};
  return ReadExpr(in, 1, &out->emplace());
}

template <typename Message>
bool Parse(std::string_view bytes, Message* out) {
  google::protobuf::io::ArrayInputStream array(bytes.data(), static_cast<int>(bytes.size()));
  google::protobuf::io::CodedInputStream in(&array);
  in.SetRecursionLimit(kMaxExprDepth + 10);
  return out->ParseFromCodedStream(&in) && in.ConsumedEntireMessage();
}

/// Far more than any plan has; keeps sizes inside protobuf's int.
constexpr size_t kMaxBytes = 64 * 1024 * 1024;

}  // namespace

std::string EncodeStream(const StreamSpec& spec) {
  pb::Stream out;
  out.set_namespace_(spec.name_space);
  out.set_name(spec.name);
  out.set_schema_id(spec.schema_id);
  for (const ColumnSpec& column : spec.columns) {
    pb::Column* to = out.add_columns();
    to->set_name(column.name);
    to->set_type(static_cast<pb::Type>(column.type));
    to->set_not_null(column.not_null);
    to->set_quoted(column.quoted);
  }
  out.set_event_time(spec.event_time);
  out.set_watermark_delay_us(spec.watermark_delay);
  if (spec.partition_key >= 0) out.set_partition_key(spec.partition_key);
  out.set_partitioned_by_key(spec.partitioned_by_key);
  out.set_max_ahead_us(spec.max_ahead);
  out.set_idle_timeout_us(spec.idle_timeout);
  out.set_format(static_cast<pb::RecordFormat>(spec.format));
  out.set_partitions(spec.partitions);
  out.set_ticks(spec.ticks);
  out.set_keep_raw(spec.keep_raw);
  out.set_append_times(spec.append_times);
  out.set_topic(spec.topic);
  out.set_foreign(spec.foreign);
  return out.SerializeAsString();
}

Result<StreamSpec> DecodeStream(std::string_view bytes) {
  pb::Stream in;
  if (bytes.size() > kMaxBytes || !Parse(bytes, &in)) return Broken("not a stream");
  StreamSpec out;
  MILLRACE_TRY(ReadName(in.namespace_(), &out.name_space));
  MILLRACE_TRY(ReadName(in.name(), &out.name));
  out.schema_id = in.schema_id();
  for (const pb::Column& column : in.columns()) {
    ColumnSpec& to = out.columns.emplace_back();
    MILLRACE_TRY(ReadText(column.name(), &to.name));
    to.not_null = column.not_null();
    to.quoted = column.quoted();
    MILLRACE_TRY(ReadEnum(column.type(), Type::kNumeric, "type", &to.type));
  }
  out.event_time = in.event_time();
  out.watermark_delay = in.watermark_delay_us();
  out.partition_key = in.has_partition_key() ? in.partition_key() : -1;
  out.partitioned_by_key = in.partitioned_by_key();
  out.max_ahead = in.max_ahead_us();
  out.idle_timeout = in.idle_timeout_us();
  MILLRACE_TRY(ReadEnum(in.format(), RecordFormat::kJson, "format", &out.format));
  out.partitions = in.partitions();
  out.ticks = in.ticks();
  out.keep_raw = in.keep_raw();
  out.append_times = in.append_times();
  MILLRACE_TRY(ReadText(in.topic(), &out.topic));
  out.foreign = in.foreign();
  MILLRACE_TRY(CheckStream(out));
  return out;
}

std::string EncodePipeline(const PipelineSpec& spec) {
  pb::Pipeline out;
  out.set_namespace_(spec.name_space);
  out.set_name(spec.name);
  out.set_stream(spec.stream);
  out.set_schema_id(spec.schema_id);
  out.set_semantics_version(spec.semantics_version);
  WriteOptional(spec.where, [&] { return out.mutable_where(); });
  for (const GroupColumn& group : spec.group_by) WriteExpr(group.expr, out.add_group_by());
  WriteWindow(spec.window, out.mutable_window());
  for (const AggregateSpec& aggregate : spec.aggregates) {
    pb::Aggregate* to = out.add_aggregates();
    to->set_kind(static_cast<pb::AggregateKind>(aggregate.kind));
    WriteOptional(aggregate.argument, [&] { return to->mutable_argument(); });
    WriteOptional(aggregate.filter, [&] { return to->mutable_filter(); });
    to->set_type(static_cast<pb::Type>(aggregate.type));
  }
  WriteOptional(spec.having, [&] { return out.mutable_having(); });
  for (const OutputColumn& column : spec.select) {
    pb::OutputColumn* to = out.add_select();
    to->set_name(column.name);
    WriteExpr(column.expr, to->mutable_expr());
    if (column.group_column >= 0) to->set_group_column(column.group_column);
  }
  out.set_allowed_lateness_us(spec.allowed_lateness);
  out.set_updates(spec.updates);
  out.set_start(static_cast<pb::StartKind>(spec.start));
  out.set_start_time_us(spec.start_time);
  out.set_file_interval_us(spec.file_interval);
  out.set_file_idle_us(spec.file_idle);
  return out.SerializeAsString();
}

Result<PipelineSpec> DecodePipeline(std::string_view bytes) {
  pb::Pipeline in;
  if (bytes.size() > kMaxBytes || !Parse(bytes, &in)) return Broken("not a pipeline");
  PipelineSpec out;
  MILLRACE_TRY(ReadName(in.namespace_(), &out.name_space));
  MILLRACE_TRY(ReadName(in.name(), &out.name));
  MILLRACE_TRY(ReadName(in.stream(), &out.stream));
  out.schema_id = in.schema_id();
  out.semantics_version = in.semantics_version();
  MILLRACE_TRY(ReadOptional(in.has_where(), in.where(), &out.where));
  for (const pb::Expr& group : in.group_by()) {
    MILLRACE_TRY(ReadExpr(group, 1, &out.group_by.emplace_back().expr));
  }
  MILLRACE_TRY(ReadWindow(in.window(), &out.window));
  for (const pb::Aggregate& aggregate : in.aggregates()) {
    AggregateSpec& to = out.aggregates.emplace_back();
    MILLRACE_TRY(ReadEnum(aggregate.kind(), Aggregate::kAvg, "aggregate", &to.kind));
    MILLRACE_TRY(ReadEnum(aggregate.type(), Type::kNumeric, "type", &to.type));
    MILLRACE_TRY(ReadOptional(aggregate.has_argument(), aggregate.argument(), &to.argument));
    MILLRACE_TRY(ReadOptional(aggregate.has_filter(), aggregate.filter(), &to.filter));
  }
  MILLRACE_TRY(ReadOptional(in.has_having(), in.having(), &out.having));
  for (const pb::OutputColumn& column : in.select()) {
    OutputColumn& to = out.select.emplace_back();
    MILLRACE_TRY(ReadText(column.name(), &to.name));
    MILLRACE_TRY(ReadExpr(column.expr(), 1, &to.expr));
    to.group_column = column.has_group_column() ? column.group_column() : -1;
  }
  out.allowed_lateness = in.allowed_lateness_us();
  out.updates = in.updates();
  MILLRACE_TRY(ReadEnum(in.start(), StartKind::kTime, "start", &out.start));
  out.start_time = in.start_time_us();
  out.file_interval = in.file_interval_us();
  out.file_idle = in.file_idle_us();
  MILLRACE_TRY(CheckStructure(out, nullptr));
  return out;
}

}  // namespace millrace
