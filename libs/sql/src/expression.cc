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

bool IsWindowBound(std::string_view name) { return name == "window_start" || name == "window_end"; }

Typed Done(Expr expr, int64_t location) {
  Typed out;
  out.expr = std::move(expr);
  out.location = location;
  return out;
}

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
  return Finish(Done(std::move(expr), syntax.location));
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
    return Done(std::move(expr), syntax.location);
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
      return Done(std::move(out), syntax.location);
    }
    case Kind::kIsNull:
    case Kind::kIsNotNull: {
      MILLRACE_ASSIGN(auto operand, Lower(syntax.args[0], clause));
      const Op op = syntax.kind == Kind::kIsNull ? Op::kIsNull : Op::kIsNotNull;
      return Done(MakeExpr(op, Type::kBool, {std::move(operand.expr)}), syntax.location);
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
    return Done(std::move(out), syntax.location);
  }
  out.index = StreamColumn(syntax);
  if (out.index < 0) return UnknownColumn(syntax);
  out.type = stream_.columns[static_cast<size_t>(out.index)].type;
  if (!OverGroups(clause)) return Done(std::move(out), syntax.location);
  for (size_t i = 0; i < groups_.size(); ++i) {
    if (groups_[i].expr != out) continue;
    out.index = static_cast<int32_t>(i);
    return Done(std::move(out), syntax.location);
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
    return source_.At(syntax.location, "operator " + syntax.text + " needs a number, not " +
                                           std::string(TypeName(operand.expr.type)));
  }
  if (syntax.text == "+") return operand;
  const Type type = operand.expr.type;
  return Done(MakeExpr(Op::kNegate, type, {std::move(operand.expr)}), syntax.location);
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
    const bool time = side->expr.type == Type::kTimestamp;
    return source_.At(
        syntax.location,
        "operator " + syntax.text + " needs numbers, not " + std::string(TypeName(side->expr.type)),
        time ? "compare times with times; windows are made in FROM" : "");
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
  return Done(MakeExpr(op, type, {std::move(left.expr), std::move(right.expr)}), syntax.location);
}

Result<Typed> ExpressionPlanner::Compare(Op op, Typed left, Typed right, int64_t location) {
  MILLRACE_TRY(types_.Unify(&left, &right, location, "a comparison"));
  return Done(MakeExpr(op, Type::kBool, {std::move(left.expr), std::move(right.expr)}), location);
}

Result<Typed> ExpressionPlanner::In(const Syntax& syntax, Clause clause) {
  MILLRACE_ASSIGN(auto operand, Lower(syntax.args[0], clause));
  Expr any = MakeExpr(Op::kOr, Type::kBool, {});
  for (size_t i = 1; i < syntax.args.size(); ++i) {
    MILLRACE_ASSIGN(auto value, Lower(syntax.args[i], clause));
    MILLRACE_ASSIGN(auto copy, Copy(operand));
    const int64_t at = value.location;
    MILLRACE_ASSIGN(auto equal, Compare(Op::kEqual, std::move(copy), std::move(value), at));
    any.args.push_back(std::move(equal.expr));
  }
  if (any.args.size() == 1) {
    Expr only = std::move(any.args[0]);
    any = std::move(only);
  }
  if (syntax.kind == Kind::kNotIn) any = MakeExpr(Op::kNot, Type::kBool, {std::move(any)});
  return Done(std::move(any), syntax.location);
}

Result<Typed> ExpressionPlanner::Between(const Syntax& syntax, Clause clause) {
  MILLRACE_ASSIGN(auto operand, Lower(syntax.args[0], clause));
  MILLRACE_ASSIGN(auto low, Lower(syntax.args[1], clause));
  MILLRACE_ASSIGN(auto high, Lower(syntax.args[2], clause));
  MILLRACE_ASSIGN(auto copy, Copy(operand));
  const int64_t at = syntax.location;
  MILLRACE_ASSIGN(auto above, Compare(Op::kGreaterEqual, std::move(operand), std::move(low), at));
  MILLRACE_ASSIGN(auto below, Compare(Op::kLessEqual, std::move(copy), std::move(high), at));
  Expr out = MakeExpr(Op::kAnd, Type::kBool, {std::move(above.expr), std::move(below.expr)});
  if (syntax.kind == Kind::kNotBetween) out = MakeExpr(Op::kNot, Type::kBool, {std::move(out)});
  return Done(std::move(out), at);
}

Result<Typed> ExpressionPlanner::Case(const Syntax& syntax, Clause clause) {
  std::optional<Typed> operand;
  size_t i = 0;
  if (syntax.flag) {
    MILLRACE_ASSIGN(operand, Lower(syntax.args[i++], clause));
  }
  std::vector<Expr> conditions;
  std::vector<Typed> results;
  for (; i + 1 < syntax.args.size(); i += 2) {
    const Syntax& when = syntax.args[i];
    if (operand) {
      MILLRACE_ASSIGN(auto value, Lower(when, clause));
      MILLRACE_ASSIGN(auto copy, Copy(*operand));
      MILLRACE_ASSIGN(auto equal,
                      Compare(Op::kEqual, std::move(copy), std::move(value), when.location));
      conditions.push_back(std::move(equal.expr));
    } else {
      MILLRACE_ASSIGN(auto condition, LowerCondition(when, clause, "WHEN"));
      conditions.push_back(std::move(condition));
    }
    MILLRACE_ASSIGN(auto result, Lower(syntax.args[i + 1], clause));
    results.push_back(std::move(result));
  }
  MILLRACE_ASSIGN(auto otherwise, Lower(syntax.args[i], clause));
  results.push_back(std::move(otherwise));

  MILLRACE_ASSIGN(const Type type, types_.Common(results, syntax.location, "CASE"));
  Expr out = MakeExpr(Op::kCase, type, {});
  for (size_t k = 0; k < results.size(); ++k) {
    if (k < conditions.size()) out.args.push_back(std::move(conditions[k]));
    MILLRACE_ASSIGN(auto result, types_.Implicit(std::move(results[k]), type));
    out.args.push_back(std::move(result));
  }
  return Done(std::move(out), syntax.location);
}

Result<Typed> ExpressionPlanner::Coalesce(const Syntax& syntax, Clause clause) {
  MILLRACE_ASSIGN(auto values, LowerAll(syntax.args, clause));
  if (values.size() == 1) return std::move(values[0]);
  MILLRACE_ASSIGN(const Type type, types_.Common(values, syntax.location, "coalesce()"));
  Expr out = MakeExpr(Op::kCoalesce, type, {});
  for (Typed& value : values) {
    MILLRACE_ASSIGN(auto expr, types_.Implicit(std::move(value), type));
    out.args.push_back(std::move(expr));
  }
  return Done(std::move(out), syntax.location);
}

Result<Typed> ExpressionPlanner::NullIf(const Syntax& syntax, Clause clause) {
  MILLRACE_ASSIGN(auto left, Lower(syntax.args[0], clause));
  MILLRACE_ASSIGN(auto right, Lower(syntax.args[1], clause));
  MILLRACE_ASSIGN(auto value, Copy(left));
  MILLRACE_TRY(types_.Unify(&left, &right, syntax.location, "nullif()"));
  const Type common = left.expr.type;
  if (value.open || value.expr.type == common) {
    return Done(MakeExpr(Op::kNullIf, common, {std::move(left.expr), std::move(right.expr)}),
                syntax.location);
  }
  // The result has the first operand's type, which is not the type they are compared in.
  const Type type = value.expr.type;
  Expr null = IntegerLiteral(type, 0);
  null.is_null = true;
  Expr equal = MakeExpr(Op::kEqual, Type::kBool, {std::move(left.expr), std::move(right.expr)});
  return Done(MakeExpr(Op::kCase, type, {std::move(equal), std::move(null), std::move(value.expr)}),
              syntax.location);
}

Result<Typed> ExpressionPlanner::Call(const Syntax& syntax, Clause clause) {
  const auto aggregate = FindAggregate(syntax.text);
  if (!aggregate) {
    const FunctionRefusal refusal = RefuseFunction(syntax.text);
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
    return source_.At(syntax.location, "DISTINCT in " + call + " is not supported",
                      kind == Aggregate::kMin || kind == Aggregate::kMax ? "leave it out" : "");
  }
  AggregateSpec spec;
  spec.kind = kind;
  if (syntax.star) {
    if (kind != Aggregate::kCount) {
      return source_.At(syntax.location, call + " needs a column, not *");
    }
    spec.kind = Aggregate::kCountStar;
  } else if (syntax.args.size() != 1) {
    return source_.At(syntax.location, call + " takes one argument",
                      kind == Aggregate::kCount ? "write count(*) or count(column)" : "");
  } else {
    MILLRACE_ASSIGN(auto argument, Lower(syntax.args[0], Clause::kArgument));
    MILLRACE_ASSIGN(spec.argument, Finish(std::move(argument)));
    MILLRACE_ASSIGN(spec.type, AggregateType(kind, spec.argument->type, syntax));
  }
  if (!syntax.filter.empty()) {
    const Syntax& filter = syntax.filter[0];
    MILLRACE_ASSIGN(auto condition, LowerCondition(filter, Clause::kFilter, "FILTER"));
    MILLRACE_ASSIGN(spec.filter, Finish(Done(std::move(condition), filter.location)));
  }
  const auto known = std::find(aggregates_.begin(), aggregates_.end(), spec);
  Expr out = MakeExpr(Op::kColumn, spec.type, {});
  out.index =
      static_cast<int32_t>(groups_.size()) + 2 + static_cast<int32_t>(known - aggregates_.begin());
  if (known == aggregates_.end()) aggregates_.push_back(std::move(spec));
  return Done(std::move(out), syntax.location);
}

Result<Type> ExpressionPlanner::AggregateType(Aggregate kind, Type argument,
                                              const Syntax& syntax) const {
  const auto refuse = [&](std::string_view hint) {
    return source_.At(syntax.location,
                      syntax.text + "() does not take " + std::string(TypeName(argument)), hint);
  };
  switch (kind) {
    case Aggregate::kCountStar:
    case Aggregate::kCount:
      return Type::kBigint;
    case Aggregate::kMin:
    case Aggregate::kMax:
      if (argument == Type::kBool) return refuse("write count(*) FILTER (WHERE x)");
      return argument;
    case Aggregate::kSum:
      if (argument == Type::kInt) return Type::kBigint;
      if (argument == Type::kBigint) return Type::kNumeric;
      if (argument == Type::kDouble) return Type::kDouble;
      break;
    case Aggregate::kAvg:
      if (IsNumber(argument)) return Type::kDouble;
      break;
  }
  if (argument == Type::kText) return refuse("write CAST(... AS bigint) or double precision");
  if (argument == Type::kBool) return refuse("write count(*) FILTER (WHERE x)");
  return refuse("");
}

}  // namespace millrace
