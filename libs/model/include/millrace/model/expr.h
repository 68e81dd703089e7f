#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "millrace/model/column.h"

namespace millrace {

/// A checked, typed expression. Operands have exactly the types named; the planner inserts casts.
///
/// Evaluation gives per row a value, NULL or an error. AND and OR take operands left to right and
/// stop as soon as the result is known (false AND error = false, error AND x = error); CASE and
/// COALESCE evaluate what they need; any other operator with an error operand gives an error, and
/// with a NULL operand NULL.
struct Expr {
  enum class Op : uint8_t {
    kColumn = 1,  ///< `index` of the input row
    kLiteral,     ///< `integer` (also bool, timestamp), `real`, `text`, or NULL if `is_null`
    kAdd,         ///< int, bigint, double, numeric: both operands of `type`
    kSubtract,
    kMultiply,
    kDivide,  ///< integers truncate; by zero: error
    kModulo,  ///< int, bigint; sign of the dividend
    kNegate,
    kEqual,  ///< comparisons: operands of one type; double: NaN largest and equal to itself, -0 = 0
    kNotEqual,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kAnd,  ///< two or more
    kOr,
    kNot,
    kIsNull,
    kIsNotNull,
    kCast,  ///< args[0] to `type`
    kCase,  ///< when, then, when, then, ..., else
    kCoalesce,
    kNullIf,
  };

  Op op = Op::kLiteral;
  Type type = Type::kInt;
  int32_t index = 0;
  bool is_null = false;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<Expr> args;

  friend bool operator==(const Expr&, const Expr&) = default;
};

}  // namespace millrace
