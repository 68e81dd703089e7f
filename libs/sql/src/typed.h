#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "millrace/model/spec.h"
#include "syntax.h"

namespace millrace {

/// An expression whose type may still be open: a quoted text or NULL takes the type of what it
/// meets.
struct Typed {
  Expr expr;
  bool open = false;
  int64_t location = 0;
};

/// The hint for a time that is none of ours.
inline constexpr std::string_view kTimeRange =
    "times lie between 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z";

bool IsNumber(Type type);  ///< int, bigint, double, numeric
/// Casts of docs/sql.md, and int and bigint to numeric, which the planner alone makes.
bool CanCast(Type from, Type to);
/// The type of an aggregate's result, or nothing if it does not take the argument's type.
std::optional<Type> AggregateResult(Aggregate kind, Type argument);

Typed MakeTyped(Expr expr, int64_t location);
Expr MakeExpr(Expr::Op op, Type type, std::vector<Expr> args);
Expr BoolLiteral(bool value);
Expr IntegerLiteral(Type type, int64_t value);

/// Nodes and levels of an expression.
size_t ExprNodes(const Expr& expr);
int ExprDepth(const Expr& expr);

/// Types and their conversions: what meets what, and where a cast goes in. Places of errors come
/// from the operands.
class TypeRules {
 public:
  explicit TypeRules(const Source& source) : source_(source) {}

  /// The type that all operands can take, or an error at `location` naming `what`.
  Result<Type> Common(const std::vector<Typed>& operands, int64_t location,
                      std::string_view what) const;

  /// `value` as exactly `type`, where the language converts by itself.
  Result<Expr> Implicit(Typed value, Type type) const;

  /// CAST: what the language converts on demand.
  Result<Typed> Explicit(Typed value, const TypeSyntax& type, int64_t location) const;

  /// Both operands in their common type.
  Status Unify(Typed* left, Typed* right, int64_t location, std::string_view what) const;

  Result<Typed> Literal(const Syntax& syntax) const;

  /// The column or cast type that `syntax` names.
  Result<Type> TypeOf(const TypeSyntax& syntax) const;

 private:
  const Source& source_;
};

}  // namespace millrace
