// The forms that become several nodes: IN, BETWEEN, CASE, coalesce, nullif.
#include "expression.h"

namespace millrace {
namespace {

using Op = Expr::Op;
using Kind = Syntax::Kind;

}  // namespace

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
  return MakeTyped(std::move(any), syntax.location);
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
  return MakeTyped(std::move(out), at);
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
  return MakeTyped(std::move(out), syntax.location);
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
  return MakeTyped(std::move(out), syntax.location);
}

Result<Typed> ExpressionPlanner::NullIf(const Syntax& syntax, Clause clause) {
  MILLRACE_ASSIGN(auto left, Lower(syntax.args[0], clause));
  MILLRACE_ASSIGN(auto right, Lower(syntax.args[1], clause));
  MILLRACE_ASSIGN(auto value, Copy(left));
  MILLRACE_TRY(types_.Unify(&left, &right, syntax.location, "nullif()"));
  const Type common = left.expr.type;
  if (value.open || value.expr.type == common) {
    return MakeTyped(MakeExpr(Op::kNullIf, common, {std::move(left.expr), std::move(right.expr)}),
                     syntax.location);
  }
  // The result has the first operand's type, which is not the type they are compared in.
  const Type type = value.expr.type;
  Expr null = IntegerLiteral(type, 0);
  null.is_null = true;
  Expr equal = MakeExpr(Op::kEqual, Type::kBool, {std::move(left.expr), std::move(right.expr)});
  return MakeTyped(
      MakeExpr(Op::kCase, type, {std::move(equal), std::move(null), std::move(value.expr)}),
      syntax.location);
}

}  // namespace millrace
