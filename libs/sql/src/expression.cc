#include "expression.h"

#include <algorithm>

#include "functions.h"
#include "suggest.h"

namespace millrace {
namespace {

using Op = Expr::Op;
using Kind = Syntax::Kind;

/// Copies that BETWEEN, IN and CASE make of an operand can multiply; this many nodes are plenty
/// for what people write.
constexpr size_t kMaxNodes = 10'000;

bool OverGroups(Clause clause) { return clause == Clause::kSelect || clause == Clause::kHaving; }

std::string_view ClauseName(Clause clause) {
  switch (clause) {
    case Clause::kWhere:
      return "WHERE";
    case Clause::kGroupBy:
      return "GROUP BY";
    case Clause::kArgument:
      return "an aggregate";
    case Clause::kFilter:
      return "FILTER";
    case Clause::kSelect:
      return "SELECT";
    case Clause::kHaving:
      return "HAVING";
  }
  return "";
}

/// What to write where an operand of arithmetic is no number.
std::string_view NumberHint(const Typed& operand, std::string_view op) {
  if (operand.open) return operand.expr.is_null ? "" : "write the number without quotes";
  if (operand.expr.type == Type::kBool) return "write CASE WHEN x THEN 1 WHEN NOT x THEN 0 END";
  if (operand.expr.type == Type::kTimestamp)
    return "compare times with times; windows are made in FROM";
  return op == "+" ? "write CAST(... AS bigint) or CAST(... AS double precision); texts are joined "
                     "when you read them"
                   : "write CAST(... AS bigint) or CAST(... AS double precision)";
}

/// What to write where an aggregate has several arguments, or none.
std::string OneArgumentHint(Aggregate kind, const Syntax& syntax) {
  const std::string& name = syntax.text;
  if (kind == Aggregate::kCount) return "write count(*) or count(column)";
  if (syntax.args.empty()) return "write " + name + "(column)";
  if (kind == Aggregate::kMax) return "write max(CASE WHEN a > b THEN a ELSE b END)";
  if (kind == Aggregate::kMin) return "write min(CASE WHEN a < b THEN a ELSE b END)";
  return "write " + name + "(a + b), or " + name + "(a) and " + name + "(b)";
}

bool IsWindowBound(std::string_view name) { return name == "window_start" || name == "window_end"; }

}  // namespace

Result<Expr> ExpressionPlanner::Finish(Typed typed) const {
  const int64_t location = typed.location;
  Expr expr = std::move(typed.expr);
  if (ExprDepth(expr) > kMaxExprDepth) {
    return source_.At(location, "the expression is nested more than 100 levels deep");
  }
  return expr;
}

Result<Expr> ExpressionPlanner::Plan(const Syntax& syntax, Clause clause) {
  spent_ = 0;
  MILLRACE_ASSIGN(auto typed, Lower(syntax, clause));
  return Finish(std::move(typed));
}

Result<Expr> ExpressionPlanner::Condition(const Syntax& syntax, Clause clause) {
  spent_ = 0;
  MILLRACE_ASSIGN(auto expr, LowerCondition(syntax, clause, ClauseName(clause)));
  return Finish(MakeTyped(std::move(expr), syntax.location));
}

Status ExpressionPlanner::Spend(size_t nodes, int64_t location) {
  spent_ += nodes;
  if (spent_ <= kMaxNodes) return {};
  return source_.At(location, "the expression is too large", "split it over several columns");
}

Result<Typed> ExpressionPlanner::Copy(const Typed& value) {
  MILLRACE_TRY(Spend(ExprNodes(value.expr), value.location));
  return value;
}

Result<Typed> ExpressionPlanner::Lower(const Syntax& syntax, Clause clause) {
  MILLRACE_TRY(Spend(1, syntax.location));
  if (OverGroups(clause)) {
    if (auto group = AsGroup(syntax)) return *std::move(group);
  }
  return LowerNode(syntax, clause);
}

std::optional<Typed> ExpressionPlanner::AsGroup(const Syntax& syntax) {
  if (groups_.empty() || syntax.args.empty()) return std::nullopt;  // columns: see Column()
  const size_t spent = spent_;
  const auto lowered = LowerNode(syntax, Clause::kGroupBy);
  spent_ = spent;
  if (!lowered.ok()) return std::nullopt;
  for (size_t i = 0; i < groups_.size(); ++i) {
    if (groups_[i].expr != lowered->expr) continue;
    Expr expr = MakeExpr(Op::kColumn, lowered->expr.type, {});
    expr.index = static_cast<int32_t>(i);
    return MakeTyped(std::move(expr), syntax.location);
  }
  return std::nullopt;
}

Result<std::vector<Typed>> ExpressionPlanner::LowerAll(const std::vector<Syntax>& list,
                                                       Clause clause) {
  std::vector<Typed> out;
  for (const Syntax& syntax : list) {
    MILLRACE_ASSIGN(auto typed, Lower(syntax, clause));
    out.push_back(std::move(typed));
  }
  return out;
}

Result<Expr> ExpressionPlanner::LowerCondition(const Syntax& syntax, Clause clause,
                                               std::string_view what) {
  MILLRACE_ASSIGN(auto typed, Lower(syntax, clause));
  if (!typed.open && typed.expr.type != Type::kBool) {
    return source_.At(
        syntax.location,
        std::string(what) + " needs a condition, not " + std::string(TypeName(typed.expr.type)),
        "write a comparison, for example x > 0");
  }
  return types_.Implicit(std::move(typed), Type::kBool);
}

Result<Typed> ExpressionPlanner::LowerNode(const Syntax& syntax, Clause clause) {
  switch (syntax.kind) {
    case Kind::kColumn:
      return Column(syntax, clause);
    case Kind::kInteger:
    case Kind::kDecimal:
    case Kind::kString:
    case Kind::kBoolean:
    case Kind::kNull:
      return types_.Literal(syntax);
    case Kind::kUnary:
      return Unary(syntax, clause);
    case Kind::kBinary:
      return Binary(syntax, clause);
    case Kind::kAnd:
    case Kind::kOr:
    case Kind::kNot: {
      const std::string_view name = syntax.kind == Kind::kAnd  ? "AND"
                                    : syntax.kind == Kind::kOr ? "OR"
                                                               : "NOT";
      Expr out = MakeExpr(syntax.kind == Kind::kAnd  ? Op::kAnd
                          : syntax.kind == Kind::kOr ? Op::kOr
                                                     : Op::kNot,
                          Type::kBool, {});
      for (const Syntax& arg : syntax.args) {
        MILLRACE_ASSIGN(auto condition, LowerCondition(arg, clause, name));
        out.args.push_back(std::move(condition));
      }
      return MakeTyped(std::move(out), syntax.location);
    }
    case Kind::kIsNull:
    case Kind::kIsNotNull: {
      MILLRACE_ASSIGN(auto operand, Lower(syntax.args[0], clause));
      const Op op = syntax.kind == Kind::kIsNull ? Op::kIsNull : Op::kIsNotNull;
      return MakeTyped(MakeExpr(op, Type::kBool, {std::move(operand.expr)}), syntax.location);
    }
    case Kind::kIn:
    case Kind::kNotIn:
      return In(syntax, clause);
    case Kind::kBetween:
    case Kind::kNotBetween:
      return Between(syntax, clause);
    case Kind::kCase:
      return Case(syntax, clause);
    case Kind::kCoalesce:
      return Coalesce(syntax, clause);
    case Kind::kNullIf:
      return NullIf(syntax, clause);
    case Kind::kCast: {
      MILLRACE_ASSIGN(auto operand, Lower(syntax.args[0], clause));
      return types_.Explicit(std::move(operand), syntax.type, syntax.location);
    }
    case Kind::kCall:
      return Call(syntax, clause);
    case Kind::kNamedArgument:
      return source_.At(syntax.location, "a named argument stands in a window function only");
    case Kind::kAbsent:
      break;
  }
  Syntax null;
  null.location = syntax.location;
  return types_.Literal(null);
}

int32_t ExpressionPlanner::StreamColumn(const Syntax& syntax) const {
  if (syntax.kind != Kind::kColumn) return -1;
  if (!syntax.qualifier.empty() && syntax.qualifier != qualifier_) return -1;
  for (size_t i = 0; i < stream_.columns.size(); ++i) {
    if (stream_.columns[i].name == syntax.text) return static_cast<int32_t>(i);
  }
  return -1;
}

Error ExpressionPlanner::UnknownColumn(const Syntax& syntax) const {
  if (!syntax.qualifier.empty() && syntax.qualifier != qualifier_) {
    return source_.At(syntax.location, Quoted(syntax.qualifier) + " is not in FROM",
                      "write " + qualifier_ + "." + syntax.text + ", or the column alone");
  }
  std::string hint;
  if (std::find(aliases_.begin(), aliases_.end(), syntax.text) != aliases_.end()) {
    hint = "a name given in SELECT is not known here: write its expression";
  } else if (syntax.text == "window_time") {
    hint = "the end of a window is window_end, the first moment behind it";
  } else {
    std::vector<std::string> names;
    for (const ColumnSpec& column : stream_.columns) names.push_back(column.name);
    const std::string listed = "columns of " + stream_.name + " are " + Joined(names);
    names.insert(names.end(), {"window_start", "window_end"});
    hint = DidYouMean(syntax.text, names, listed);
  }
  return source_.At(syntax.location, "unknown column " + Quoted(syntax.text), hint);
}

Result<Typed> ExpressionPlanner::Column(const Syntax& syntax, Clause clause) {
  const bool ours = syntax.qualifier.empty() || syntax.qualifier == qualifier_;
  Expr out = MakeExpr(Op::kColumn, Type::kTimestamp, {});
  if (ours && IsWindowBound(syntax.text)) {
    if (!OverGroups(clause)) {
      return source_.At(syntax.location,
                        syntax.text + " cannot stand in " + std::string(ClauseName(clause)) +
                            ": an event has no window yet",
                        "use the event time, or write the condition in HAVING");
    }
    out.index = static_cast<int32_t>(groups_.size()) + (syntax.text == "window_end" ? 1 : 0);
    return MakeTyped(std::move(out), syntax.location);
  }
  out.index = StreamColumn(syntax);
  if (out.index < 0) return UnknownColumn(syntax);
  out.type = stream_.columns[static_cast<size_t>(out.index)].type;
  if (!OverGroups(clause)) return MakeTyped(std::move(out), syntax.location);
  for (size_t i = 0; i < groups_.size(); ++i) {
    if (groups_[i].expr != out) continue;
    out.index = static_cast<int32_t>(i);
    return MakeTyped(std::move(out), syntax.location);
  }
  return source_.At(
      syntax.location,
      "column " + Quoted(syntax.text) + " is neither in GROUP BY nor inside an aggregate",
      "add it to GROUP BY, or write for example max(" + syntax.text + ")");
}

Result<Typed> ExpressionPlanner::Unary(const Syntax& syntax, Clause clause) {
  MILLRACE_ASSIGN(auto operand, Lower(syntax.args[0], clause));
  if (syntax.text != "-" && syntax.text != "+") {
    return source_.At(syntax.location, "operator " + syntax.text + " is not supported");
  }
  if (operand.open || !IsNumber(operand.expr.type)) {
    return source_.At(syntax.location,
                      "operator " + syntax.text + " needs a number, not " +
                          std::string(TypeName(operand.expr.type)),
                      NumberHint(operand, "-"));
  }
  if (syntax.text == "+") return operand;
  const Type type = operand.expr.type;
  return MakeTyped(MakeExpr(Op::kNegate, type, {std::move(operand.expr)}), syntax.location);
}

Result<Typed> ExpressionPlanner::Binary(const Syntax& syntax, Clause clause) {
  struct Operator {
    std::string_view text;
    Op op;
  };
  constexpr Operator kArithmetic[] = {{"+", Op::kAdd},
                                      {"-", Op::kSubtract},
                                      {"*", Op::kMultiply},
                                      {"/", Op::kDivide},
                                      {"%", Op::kModulo}};
  constexpr Operator kComparisons[] = {{"=", Op::kEqual},   {"<>", Op::kNotEqual},
                                       {"<", Op::kLess},    {"<=", Op::kLessEqual},
                                       {">", Op::kGreater}, {">=", Op::kGreaterEqual}};
  if (syntax.text == "->" || syntax.text == "->>") {
    return source_.NotYet(syntax.location, "json is not available yet: " + syntax.text,
                          "send what you need as columns of their own");
  }
  if (syntax.text == "||") {
    return source_.NotYet(syntax.location, "|| is not available yet",
                          "select the parts and join them when you read");
  }
  MILLRACE_ASSIGN(auto left, Lower(syntax.args[0], clause));
  MILLRACE_ASSIGN(auto right, Lower(syntax.args[1], clause));
  for (const Operator& known : kArithmetic) {
    if (known.text == syntax.text) {
      return Arithmetic(known.op, std::move(left), std::move(right), syntax);
    }
  }
  for (const Operator& known : kComparisons) {
    if (known.text == syntax.text) {
      return Compare(known.op, std::move(left), std::move(right), syntax.location);
    }
  }
  return source_.At(syntax.location, "operator " + syntax.text + " is not supported",
                    "operators are + - * / % = <> < <= > >= AND OR NOT");
}

Result<Typed> ExpressionPlanner::Arithmetic(Op op, Typed left, Typed right, const Syntax& syntax) {
  for (const Typed* side : {&left, &right}) {
    if (side->open && side->expr.is_null) continue;
    if (!side->open && IsNumber(side->expr.type)) continue;
    return source_.At(
        syntax.location,
        "operator " + syntax.text + " needs numbers, not " + std::string(TypeName(side->expr.type)),
        NumberHint(*side, syntax.text));
  }
  if (left.open && right.open) {
    // NULL with NULL: some number, and so an int.
    right.open = false;
    right.expr.type = Type::kInt;
  }
  MILLRACE_TRY(types_.Unify(&left, &right, syntax.location, "operator " + syntax.text));
  const Type type = left.expr.type;
  if (type == Type::kNumeric && (op == Op::kDivide || op == Op::kModulo)) {
    return source_.At(syntax.location, "operator " + syntax.text + " does not take numeric",
                      "sum(bigint) is numeric: write CAST(... AS double precision), or CAST(... AS "
                      "bigint) where it fits");
  }
  if (type == Type::kDouble && op == Op::kModulo) {
    return source_.At(syntax.location, "operator % needs int or bigint, not double precision",
                      "write CAST(... AS bigint)");
  }
  return MakeTyped(MakeExpr(op, type, {std::move(left.expr), std::move(right.expr)}),
                   syntax.location);
}

Result<Typed> ExpressionPlanner::Compare(Op op, Typed left, Typed right, int64_t location) {
  MILLRACE_TRY(types_.Unify(&left, &right, location, "a comparison"));
  return MakeTyped(MakeExpr(op, Type::kBool, {std::move(left.expr), std::move(right.expr)}),
                   location);
}

Result<Typed> ExpressionPlanner::Call(const Syntax& syntax, Clause clause) {
  const auto aggregate = FindAggregate(syntax.text);
  if (!aggregate) {
    const FunctionRefusal refusal = RefuseFunction(syntax.text, syntax.written);
    return refusal.not_yet ? source_.NotYet(syntax.location, refusal.what, refusal.hint)
                           : source_.At(syntax.location, refusal.what, refusal.hint);
  }
  if (!OverGroups(clause)) {
    if (clause == Clause::kArgument || clause == Clause::kFilter) {
      return source_.At(syntax.location, "an aggregate cannot stand inside an aggregate");
    }
    return source_.At(syntax.location,
                      "an aggregate cannot stand in " + std::string(ClauseName(clause)),
                      clause == Clause::kWhere ? "write the condition in HAVING" : "");
  }
  return AggregateCall(*aggregate, syntax);
}

Result<Typed> ExpressionPlanner::AggregateCall(Aggregate kind, const Syntax& syntax) {
  const std::string call = syntax.text + "()";
  if (syntax.distinct) {
    if (kind == Aggregate::kCount) {
      return source_.NotYet(syntax.location, "count(DISTINCT) is not available yet",
                            "GROUP BY the column and count the rows when you read");
    }
    return source_.At(
        syntax.location, "DISTINCT in " + call + " is not supported",
        kind == Aggregate::kMin || kind == Aggregate::kMax
            ? "leave it out"
            : "GROUP BY the column and take the " + syntax.text + " of its values when you read");
  }
  AggregateSpec spec;
  spec.kind = kind;
  if (syntax.star) {
    if (kind != Aggregate::kCount) {
      return source_.At(syntax.location, call + " needs a column, not *",
                        "write " + syntax.text + "(column), or count(*) for the number of rows");
    }
    spec.kind = Aggregate::kCountStar;
  } else if (syntax.args.size() != 1) {
    return source_.At(syntax.location, call + " takes one argument", OneArgumentHint(kind, syntax));
  } else {
    MILLRACE_ASSIGN(auto argument, Lower(syntax.args[0], Clause::kArgument));
    MILLRACE_ASSIGN(spec.argument, Finish(std::move(argument)));
    MILLRACE_ASSIGN(spec.type, AggregateType(kind, spec.argument->type, syntax));
    if (kind == Aggregate::kCount && spec.argument->op == Op::kLiteral && !spec.argument->is_null) {
      spec.kind = Aggregate::kCountStar;
      spec.argument.reset();
    }
  }
  if (!syntax.filter.empty()) {
    const Syntax& filter = syntax.filter[0];
    MILLRACE_ASSIGN(auto condition, LowerCondition(filter, Clause::kFilter, "FILTER"));
    MILLRACE_ASSIGN(spec.filter, Finish(MakeTyped(std::move(condition), filter.location)));
  }
  const auto known = std::find(aggregates_.begin(), aggregates_.end(), spec);
  Expr out = MakeExpr(Op::kColumn, spec.type, {});
  out.index =
      static_cast<int32_t>(groups_.size()) + 2 + static_cast<int32_t>(known - aggregates_.begin());
  if (known == aggregates_.end()) aggregates_.push_back(std::move(spec));
  return MakeTyped(std::move(out), syntax.location);
}

Result<Type> ExpressionPlanner::AggregateType(Aggregate kind, Type argument,
                                              const Syntax& syntax) const {
  if (const auto type = AggregateResult(kind, argument)) return *type;
  std::string_view hint;
  if (argument == Type::kText) hint = "write CAST(... AS bigint) or CAST(... AS double precision)";
  if (argument == Type::kBool) hint = "write count(*) FILTER (WHERE x)";
  return source_.At(syntax.location,
                    syntax.text + "() does not take " + std::string(TypeName(argument)), hint);
}

}  // namespace millrace
