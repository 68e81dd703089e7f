#include "millrace/model/expr_text.h"

#include <algorithm>

#include "millrace/base/time.h"
#include "millrace/model/row.h"

namespace millrace {
namespace {

using Op = Expr::Op;

/// `text` between two `quote`, those in it doubled.
std::string Enclosed(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    out += c;
    if (c == quote) out += c;
  }
  return out + quote;
}

std::string Name(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  const bool bare = std::all_of(name.begin(), name.end(), plain) && !name.empty() &&
                    (name.front() < '0' || name.front() > '9');
  return bare ? std::string(name) : Enclosed(name, '"');
}

std::string Literal(const Expr& e) {
  if (e.is_null) return "NULL";
  switch (e.type) {
    case Type::kDouble:
      return FormatDouble(e.real);
    case Type::kText:
      return Enclosed(e.text, '\'');
    case Type::kBool:
      return e.integer != 0 ? "true" : "false";
    case Type::kTimestamp:
      return "TIMESTAMPTZ '" + FormatTimestamp(e.integer) + "'";
    default:
      return std::to_string(e.integer);
  }
}

/// The operator between its operands, or nothing.
std::string_view Infix(Op op) {
  switch (op) {
    case Op::kAdd:
      return " + ";
    case Op::kSubtract:
      return " - ";
    case Op::kMultiply:
      return " * ";
    case Op::kDivide:
      return " / ";
    case Op::kModulo:
      return " % ";
    case Op::kEqual:
      return " = ";
    case Op::kNotEqual:
      return " <> ";
    case Op::kLess:
      return " < ";
    case Op::kLessEqual:
      return " <= ";
    case Op::kGreater:
      return " > ";
    case Op::kGreaterEqual:
      return " >= ";
    case Op::kAnd:
      return " AND ";
    case Op::kOr:
      return " OR ";
    default:
      return {};
  }
}

std::string_view AggregateName(Aggregate kind) {
  switch (kind) {
    case Aggregate::kCountStar:
    case Aggregate::kCount:
      return "count";
    case Aggregate::kSum:
      return "sum";
    case Aggregate::kMin:
      return "min";
    case Aggregate::kMax:
      return "max";
    case Aggregate::kAvg:
      return "avg";
  }
  return {};
}

class Printer {
 public:
  /// Without a view columns are the stream's, else the group row's.
  Printer(const StreamSpec& stream, const PipelineSpec* view) : stream_(stream), view_(view) {}

  std::string Text(const Expr& e) const {
    switch (e.op) {
      case Op::kColumn:
        return Column(e);
      case Op::kLiteral:
        return Literal(e);
      case Op::kNegate:
        return "-" + Operand(e.args[0]);
      case Op::kNot:
        return "NOT " + Operand(e.args[0]);
      case Op::kIsNull:
        return Operand(e.args[0]) + " IS NULL";
      case Op::kIsNotNull:
        return Operand(e.args[0]) + " IS NOT NULL";
      case Op::kCast:
        return "CAST(" + Text(e.args[0]) + " AS " + std::string(TypeName(e.type)) + ")";
      case Op::kCase:
        return Case(e);
      case Op::kCoalesce:
        return "coalesce(" + List(e.args) + ")";
      case Op::kNullIf:
        return "nullif(" + List(e.args) + ")";
      default:
        break;
    }
    std::string out;
    for (const Expr& arg : e.args) {
      if (!out.empty()) out += Infix(e.op);
      out += Operand(arg);
    }
    return out;
  }

 private:
  /// Whether the text would fall apart beside an operator.
  bool NeedsParentheses(const Expr& e) const {
    if (e.op == Op::kColumn && view_ != nullptr) {
      const auto group = static_cast<size_t>(e.index);
      return group < view_->group_by.size() &&
             Printer(stream_, nullptr).NeedsParentheses(view_->group_by[group].expr);
    }
    return e.op == Op::kNegate || e.op == Op::kNot || e.op == Op::kIsNull ||
           e.op == Op::kIsNotNull || !Infix(e.op).empty();
  }

  std::string Operand(const Expr& e) const {
    return NeedsParentheses(e) ? "(" + Text(e) + ")" : Text(e);
  }

  std::string List(const std::vector<Expr>& args) const {
    std::string out;
    for (const Expr& arg : args) out += (out.empty() ? "" : ", ") + Text(arg);
    return out;
  }

  std::string Case(const Expr& e) const {
    std::string out = "CASE";
    for (size_t i = 0; i + 1 < e.args.size(); i += 2)
      out += " WHEN " + Text(e.args[i]) + " THEN " + Text(e.args[i + 1]);
    if (e.args.size() % 2 == 1) out += " ELSE " + Text(e.args.back());
    return out + " END";
  }

  std::string Column(const Expr& e) const {
    auto index = static_cast<size_t>(e.index);
    if (view_ == nullptr) return Name(stream_.columns[index].name);
    const Printer over_events(stream_, nullptr);
    if (index < view_->group_by.size()) return over_events.Text(view_->group_by[index].expr);
    index -= view_->group_by.size();
    if (index < 2) return index == 0 ? "window_start" : "window_end";
    const AggregateSpec& a = view_->aggregates[index - 2];
    std::string out(AggregateName(a.kind));
    out += "(" + (a.argument ? over_events.Text(*a.argument) : "*") + ")";
    if (a.filter) out += " FILTER (WHERE " + over_events.Text(*a.filter) + ")";
    return out;
  }

  const StreamSpec& stream_;
  const PipelineSpec* view_;
};

std::string Bounded(std::string text) {
  if (text.size() <= kMaxExprText) return text;
  size_t end = kMaxExprText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text + "...";
}

}  // namespace

std::string ExprText(const Expr& expr, const StreamSpec& stream) {
  return Bounded(Printer(stream, nullptr).Text(expr));
}

std::string GroupExprText(const Expr& expr, const StreamSpec& stream, const PipelineSpec& view) {
  return Bounded(Printer(stream, &view).Text(expr));
}

}  // namespace millrace
