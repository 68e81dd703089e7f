#include "millrace/sql/plan_text.h"

#include <array>
#include <bit>
#include <charconv>

namespace millrace {
namespace {

/// Raised when the text of an unchanged plan changes.
constexpr std::string_view kHeader = "millrace plan 3\n";

std::string_view OpName(Expr::Op op) {
  constexpr std::array<std::string_view, 24> kNames = {
      "",           "column",      "literal",       "add",   "subtract",  "multiply",
      "divide",     "modulo",      "negate",        "equal", "not_equal", "less",
      "less_equal", "greater",     "greater_equal", "and",   "or",        "not",
      "is_null",    "is_not_null", "cast",          "case",  "coalesce",  "null_if"};
  return kNames.at(static_cast<size_t>(op));
}

std::string_view AggregateName(Aggregate kind) {
  constexpr std::array<std::string_view, 7> kNames = {"",    "count_star", "count", "sum",
                                                      "min", "max",        "avg"};
  return kNames.at(static_cast<size_t>(kind));
}

std::string Hex(uint64_t value) {
  std::array<char, 16> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  const auto length = static_cast<size_t>(end - digits.data());
  return std::string(16 - length, '0') + std::string(digits.data(), length);
}

/// Quoted; bytes other than printable ASCII, the quote and the backslash as \xNN.
std::string Text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\') {
      out += c;
    } else {
      out += "\\x" + Hex(byte).substr(14);
    }
  }
  return out + '"';
}

std::string_view Flag(bool value) { return value ? "true" : "false"; }

void AppendLiteral(const Expr& expr, std::string* out) {
  if (expr.is_null) {
    *out += "null";
  } else if (expr.type == Type::kDouble) {
    *out += Hex(std::bit_cast<uint64_t>(expr.real));
  } else if (expr.type == Type::kText) {
    *out += Text(expr.text);
  } else {
    *out += std::to_string(expr.integer);
  }
}

void AppendExpr(const Expr& expr, std::string* out) {
  *out += '(';
  *out += OpName(expr.op);
  *out += " [";
  *out += TypeName(expr.type);
  *out += ']';
  if (expr.op == Expr::Op::kColumn) *out += ' ' + std::to_string(expr.index);
  if (expr.op == Expr::Op::kLiteral) {
    *out += ' ';
    AppendLiteral(expr, out);
  }
  for (const Expr& arg : expr.args) {
    *out += ' ';
    AppendExpr(arg, out);
  }
  *out += ')';
}

/// Lines of `name value`.
class Lines {
 public:
  Lines() : text_(kHeader) {}

  void Add(std::string_view name, std::string_view value) {
    text_.append(name);
    text_ += ' ';
    text_.append(value);
    text_ += '\n';
  }
  void Add(std::string_view name, int64_t value) { Add(name, std::to_string(value)); }
  void Add(std::string_view name, const std::optional<Expr>& expr) {
    Add(name, expr ? ExprText(*expr) : "none");
  }
  static std::string ExprText(const Expr& expr) {
    std::string out;
    AppendExpr(expr, &out);
    return out;
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

void AddWindow(const WindowSpec& window, Lines* lines) {
  lines->Add("window", window.kind == WindowKind::kTumble ? "tumble" : "hop");
  lines->Add("size", window.size);
  lines->Add("slide", window.slide);
  lines->Add("offset", window.offset);
  lines->Add("zone", Text(window.zone));
  lines->Add("days", window.days);
  lines->Add("day_count", static_cast<int64_t>(window.day_starts.size()));
  if (window.day_starts.empty()) return;
  lines->Add("first_day_start", window.day_starts.front());
  for (size_t i = 0; i + 1 < window.day_starts.size(); ++i) {
    const Micros length = window.day_starts[i + 1] - window.day_starts[i];
    if (length == kDay) continue;
    lines->Add("day_length", std::to_string(i) + ' ' + std::to_string(length));
  }
}

}  // namespace

std::string PlanText(const StreamSpec& spec) {
  Lines lines;
  lines.Add("stream", Text(spec.name_space) + ' ' + Text(spec.name));
  lines.Add("schema_id", spec.schema_id);
  for (const ColumnSpec& column : spec.columns) {
    lines.Add("column", Text(column.name) + " [" + std::string(TypeName(column.type)) +
                            (column.not_null ? "] not_null" : "] nullable") +
                            (column.quoted ? " quoted" : " unquoted"));
  }
  lines.Add("event_time", spec.event_time);
  lines.Add("watermark_delay", spec.watermark_delay);
  lines.Add("partition_key", spec.partition_key);
  lines.Add("partitioned_by_key", Flag(spec.partitioned_by_key));
  lines.Add("max_ahead", spec.max_ahead);
  lines.Add("idle_timeout", spec.idle_timeout);
  lines.Add("format", spec.format == RecordFormat::kArrow ? "arrow" : "json");
  lines.Add("partitions", spec.partitions);
  lines.Add("ticks", Flag(spec.ticks));
  lines.Add("keep_raw", Flag(spec.keep_raw));
  lines.Add("append_times", Flag(spec.append_times));
  lines.Add("foreign", Flag(spec.foreign));
  lines.Add("topic", Text(spec.topic));
  return lines.Take();
}

std::string PlanText(const PipelineSpec& spec) {
  Lines lines;
  lines.Add("pipeline", Text(spec.name_space) + ' ' + Text(spec.name));
  lines.Add("stream", Text(spec.stream));
  lines.Add("schema_id", spec.schema_id);
  lines.Add("semantics_version", spec.semantics_version);
  lines.Add("where", spec.where);
  for (const GroupColumn& group : spec.group_by) lines.Add("group", Lines::ExprText(group.expr));
  AddWindow(spec.window, &lines);
  for (const AggregateSpec& aggregate : spec.aggregates) {
    lines.Add("aggregate", std::string(AggregateName(aggregate.kind)) + " [" +
                               std::string(TypeName(aggregate.type)) + ']');
    lines.Add("argument", aggregate.argument);
    lines.Add("filter", aggregate.filter);
  }
  lines.Add("having", spec.having);
  for (const OutputColumn& column : spec.select) {
    lines.Add("select", Text(column.name) + ' ' + std::to_string(column.group_column) + ' ' +
                            Lines::ExprText(column.expr));
  }
  lines.Add("allowed_lateness", spec.allowed_lateness);
  lines.Add("updates", Flag(spec.updates));
  lines.Add("start", spec.start == StartKind::kEarliest ? "earliest"
                     : spec.start == StartKind::kLatest ? "latest"
                                                        : "time");
  lines.Add("start_time", spec.start_time);
  lines.Add("file_interval", spec.file_interval);
  lines.Add("file_idle", spec.file_idle);
  return lines.Take();
}

Hash128 PlanHash(const StreamSpec& spec) { return Hash(PlanText(spec)); }
Hash128 PlanHash(const PipelineSpec& spec) { return Hash(PlanText(spec)); }

}  // namespace millrace
