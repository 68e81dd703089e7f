#pragma once

#include <optional>
#include <string>
#include <vector>

#include "millrace/model/spec.h"
#include "syntax.h"
#include "typed.h"

namespace millrace {

/// Where an expression stands; decides what it may read.
enum class Clause : uint8_t { kWhere, kGroupBy, kArgument, kFilter, kSelect, kHaving };

/// Plans the expressions of one view. WHERE, GROUP BY and what is inside aggregates read the
/// stream's columns; SELECT and HAVING read the group row, whose aggregates gather here.
class ExpressionPlanner {
 public:
  /// `qualifier`: the name that may stand before a column.
  ExpressionPlanner(const Source& source, const StreamSpec& stream, std::string qualifier)
      : source_(source), types_(source), stream_(stream), qualifier_(std::move(qualifier)) {}

  Result<Expr> Plan(const Syntax& syntax, Clause clause);
  /// The same, and it must be boolean.
  Result<Expr> Condition(const Syntax& syntax, Clause clause);

  /// The columns that SELECT and HAVING may name; set once before planning these.
  void SetGroups(std::vector<GroupColumn> groups) { groups_ = std::move(groups); }
  const std::vector<GroupColumn>& groups() const { return groups_; }

  /// Names that SELECT gives, which no expression may use; for hints.
  void SetAliases(std::vector<std::string> aliases) { aliases_ = std::move(aliases); }

  const std::vector<AggregateSpec>& aggregates() const { return aggregates_; }

  /// Index of the stream's column that `syntax` names, or -1 if it names none.
  int32_t StreamColumn(const Syntax& syntax) const;

 private:
  Result<Typed> Lower(const Syntax& syntax, Clause clause);
  Result<Typed> LowerNode(const Syntax& syntax, Clause clause);
  Result<std::vector<Typed>> LowerAll(const std::vector<Syntax>& list, Clause clause);
  Result<Expr> LowerCondition(const Syntax& syntax, Clause clause, std::string_view what);
  Result<Typed> Column(const Syntax& syntax, Clause clause);
  Result<Typed> Unary(const Syntax& syntax, Clause clause);
  Result<Typed> Binary(const Syntax& syntax, Clause clause);
  Result<Typed> Arithmetic(Expr::Op op, Typed left, Typed right, const Syntax& syntax);
  Result<Typed> Compare(Expr::Op op, Typed left, Typed right, int64_t location);
  Result<Typed> In(const Syntax& syntax, Clause clause);
  Result<Typed> Between(const Syntax& syntax, Clause clause);
  Result<Typed> Case(const Syntax& syntax, Clause clause);
  Result<Typed> Coalesce(const Syntax& syntax, Clause clause);
  Result<Typed> NullIf(const Syntax& syntax, Clause clause);
  Result<Typed> Call(const Syntax& syntax, Clause clause);
  Result<Typed> AggregateCall(Aggregate kind, const Syntax& syntax);
  Result<Type> AggregateType(Aggregate kind, Type argument, const Syntax& syntax) const;
  /// The group column that `syntax` is, if it is one.
  std::optional<Typed> AsGroup(const Syntax& syntax);
  Error UnknownColumn(const Syntax& syntax) const;
  Result<Expr> Finish(Typed typed) const;
  /// Spends `nodes` of the expression's budget.
  Status Spend(size_t nodes, int64_t location);
  Result<Typed> Copy(const Typed& value);

  const Source& source_;
  TypeRules types_;
  const StreamSpec& stream_;
  std::string qualifier_;
  std::vector<GroupColumn> groups_;
  std::vector<std::string> aliases_;
  std::vector<AggregateSpec> aggregates_;
  size_t spent_ = 0;
};

}  // namespace millrace
