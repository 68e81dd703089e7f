#include <algorithm>
#include <string>

#include "interval.h"
#include "millrace/model/object_keys.h"
#include "millrace/sql/plan_codec.h"
#include "plan_check.h"
#include "plan_statement.h"
#include "typed.h"

namespace millrace {
namespace {

using Op = Expr::Op;

Error Broken(std::string_view what) {
  return Corruption("the plan is not one of ours: " + std::string(what));
}

bool AllOf(const Expr& expr, Type type) {
  return std::all_of(expr.args.begin(), expr.args.end(),
                     [&](const Expr& arg) { return arg.type == type; });
}

Status CheckCase(const Expr& expr) {
  const size_t n = expr.args.size();
  if (n < 3 || n % 2 == 0) return Broken("CASE has a wrong number of operands");
  for (size_t i = 0; i < n; ++i) {
    const bool condition = i % 2 == 0 && i + 1 < n;
    if (expr.args[i].type != (condition ? Type::kBool : expr.type)) {
      return Broken("an operand of CASE has another type");
    }
  }
  return {};
}

Status CheckOperands(const Expr& expr) {
  const size_t n = expr.args.size();
  const auto need = [](bool holds) -> Status {
    return holds ? Status() : Status(Broken("an operator has wrong operands"));
  };
  switch (expr.op) {
    case Op::kColumn:
    case Op::kLiteral:
      return need(n == 0);
    case Op::kAdd:
    case Op::kSubtract:
    case Op::kMultiply:
      return need(n == 2 && IsNumber(expr.type) && AllOf(expr, expr.type));
    case Op::kDivide:
      return need(n == 2 && IsNumber(expr.type) && expr.type != Type::kNumeric &&
                  AllOf(expr, expr.type));
    case Op::kModulo:
      return need(n == 2 && (expr.type == Type::kInt || expr.type == Type::kBigint) &&
                  AllOf(expr, expr.type));
    case Op::kNegate:
      return need(n == 1 && IsNumber(expr.type) && AllOf(expr, expr.type));
    case Op::kEqual:
    case Op::kNotEqual:
    case Op::kLess:
    case Op::kLessEqual:
    case Op::kGreater:
    case Op::kGreaterEqual:
      return need(n == 2 && expr.type == Type::kBool && AllOf(expr, expr.args[0].type));
    case Op::kAnd:
    case Op::kOr:
      return need(n >= 2 && expr.type == Type::kBool && AllOf(expr, Type::kBool));
    case Op::kNot:
      return need(n == 1 && expr.type == Type::kBool && AllOf(expr, Type::kBool));
    case Op::kIsNull:
    case Op::kIsNotNull:
      return need(n == 1 && expr.type == Type::kBool);
    case Op::kCast:
      return need(n == 1 && CanCast(expr.args[0].type, expr.type));
    case Op::kCase:
      return CheckCase(expr);
    case Op::kCoalesce:
      return need(n >= 2 && AllOf(expr, expr.type));
    case Op::kNullIf:
      return need(n == 2 && AllOf(expr, expr.type));
  }
  return Broken("unknown operator");
}

Status CheckExpr(const Expr& expr, const std::vector<Type>* inputs) {
  MILLRACE_TRY(CheckOperands(expr));
  if (expr.op == Op::kColumn) {
    if (expr.index < 0) return Broken("a column index is negative");
    if (inputs != nullptr) {
      const auto index = static_cast<size_t>(expr.index);
      if (index >= inputs->size()) return Broken("a column index is out of range");
      if ((*inputs)[index] != expr.type) return Broken("a column has another type");
    }
  }
  if (expr.op == Op::kLiteral && expr.type == Type::kInt &&
      expr.integer != static_cast<int32_t>(expr.integer)) {
    return Broken("an int does not fit");
  }
  for (const Expr& arg : expr.args) MILLRACE_TRY(CheckExpr(arg, inputs));
  return {};
}

Status CheckCondition(const std::optional<Expr>& expr, const std::vector<Type>* inputs) {
  if (!expr) return {};
  if (expr->type != Type::kBool) return Broken("a condition is not boolean");
  return CheckExpr(*expr, inputs);
}

Status CheckAggregate(const AggregateSpec& spec, const std::vector<Type>* columns) {
  const bool star = spec.kind == Aggregate::kCountStar;
  if (star == spec.argument.has_value()) return Broken("an aggregate has a wrong argument");
  MILLRACE_TRY(CheckCondition(spec.filter, columns));
  if (spec.argument) MILLRACE_TRY(CheckExpr(*spec.argument, columns));
  const auto type = AggregateResult(spec.kind, star ? Type::kBigint : spec.argument->type);
  if (!type || *type != spec.type) return Broken("an aggregate has another type");
  return {};
}

Status CheckWindow(const WindowSpec& window) {
  if (window.size <= 0 || window.slide <= 0 || window.slide > window.size ||
      window.size > kMaxDuration || window.offset < 0 || window.offset >= window.slide ||
      window.size / window.slide > kMaxWindowsPerEvent) {
    return Broken("a window has wrong bounds");
  }
  if (window.kind == WindowKind::kTumble && window.slide != window.size) {
    return Broken("a tumbling window has a slide");
  }
  if (window.zone.empty()) {
    if (!window.day_starts.empty()) return Broken("local days without a zone");
    return {};
  }
  if (window.kind != WindowKind::kTumble || window.offset != 0 || window.days <= 0 ||
      window.size != window.days * kDay || window.day_starts.empty()) {
    return Broken("a window with a zone has wrong bounds");
  }
  return {};
}

}  // namespace

Status CheckStructure(const PipelineSpec& pipeline, const std::vector<Type>* columns) {
  MILLRACE_TRY(CheckWindow(pipeline.window));
  MILLRACE_TRY(CheckCondition(pipeline.where, columns));
  for (const GroupColumn& group : pipeline.group_by) {
    if (group.expr.type == Type::kNumeric) return Broken("a group column is numeric");
    MILLRACE_TRY(CheckExpr(group.expr, columns));
  }
  for (const AggregateSpec& spec : pipeline.aggregates) MILLRACE_TRY(CheckAggregate(spec, columns));
  const std::vector<Type> row = GroupRowTypes(pipeline);
  MILLRACE_TRY(CheckCondition(pipeline.having, &row));
  if (pipeline.select.empty()) return Broken("a view has no columns");
  for (const OutputColumn& column : pipeline.select) {
    MILLRACE_TRY(CheckExpr(column.expr, &row));
    if (IsDateFolderColumn(column.name))
      return Broken("a column has the name of the folders of result files");
    const bool group = column.expr.op == Op::kColumn &&
                       static_cast<size_t>(column.expr.index) < pipeline.group_by.size();
    if (column.group_column != (group ? column.expr.index : -1)) {
      return Broken("a column of the result names another group column");
    }
  }
  if (pipeline.file_interval <= 0 || kDay % pipeline.file_interval != 0 ||
      pipeline.file_idle <= 0 || pipeline.allowed_lateness < 0) {
    return Broken("an option is out of range");
  }
  return {};
}

Status CheckStream(const StreamSpec& stream) {
  const auto columns = static_cast<int64_t>(stream.columns.size());
  if (stream.event_time < 0 || stream.event_time >= columns || stream.partition_key < -1 ||
      stream.partition_key >= columns) {
    return Broken("a column index is out of range");
  }
  if (stream.columns[static_cast<size_t>(stream.event_time)].type != Type::kTimestamp) {
    return Broken("the event time is not a timestamptz");
  }
  for (const ColumnSpec& column : stream.columns) {
    if (column.type == Type::kNumeric) return Broken("a column is numeric");
  }
  if (stream.partitions <= 0 || stream.watermark_delay < 0 || stream.max_ahead < 0 ||
      stream.idle_timeout <= 0 || (stream.partitioned_by_key && stream.partition_key < 0) ||
      (stream.foreign && stream.format != RecordFormat::kJson)) {
    return Broken("an option is out of range");
  }
  return {};
}

Status CheckPipeline(const PipelineSpec& pipeline, const StreamSpec& stream) {
  MILLRACE_TRY(CheckStream(stream));
  if (pipeline.stream != stream.name || pipeline.name_space != stream.name_space) {
    return Broken("the pipeline reads another stream");
  }
  std::vector<Type> columns;
  for (const ColumnSpec& column : stream.columns) columns.push_back(column.type);
  return CheckStructure(pipeline, &columns);
}

}  // namespace millrace
