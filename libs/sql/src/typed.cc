#include "typed.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "millrace/base/time.h"
#include "suggest.h"

namespace millrace {
namespace {

using Op = Expr::Op;

struct TypeAlias {
  std::string_view name;
  Type type;
};

constexpr TypeAlias kTypes[] = {
    {"int4", Type::kInt},
    {"int", Type::kInt},
    {"integer", Type::kInt},
    {"int8", Type::kBigint},
    {"bigint", Type::kBigint},
    {"float8", Type::kDouble},
    {"text", Type::kText},
    {"varchar", Type::kText},
    {"bool", Type::kBool},
    {"boolean", Type::kBool},
    {"timestamptz", Type::kTimestamp},
};

struct TypeHint {
  std::string_view name;
  std::string_view hint;
};

constexpr std::string_view kTypeNames =
    "types are int, bigint, double precision, text, boolean, timestamptz";

constexpr TypeHint kTypeHints[] = {
    {"timestamp", "write timestamptz: every time is a moment, with a zone in its text"},
    {"datetime", "write timestamptz"},
    {"timestamp_ltz", "write timestamptz"},
    {"date", "date is not available yet: write timestamptz or text"},
    {"time", "write timestamptz or text"},
    {"timetz", "write timestamptz or text"},
    {"interval", "intervals stand in window functions and options only; write bigint"},
    {"numeric", "numeric comes from sum(bigint) only: write bigint or double precision"},
    {"decimal", "numeric comes from sum(bigint) only: write bigint or double precision"},
    {"json", "json is not available yet: write text"},
    {"jsonb", "json is not available yet: write text"},
    {"float4", "write double precision"},
    {"double", "write double precision"},
    {"float", "write double precision"},
    {"uint64", "write bigint: it holds up to 9223372036854775807; a text holds more"},
    {"uint32", "write bigint"},
    {"uint16", "write int"},
    {"uint8", "write int"},
    {"uint", "write bigint"},
    {"int64", "write bigint"},
    {"long", "write bigint"},
    {"int32", "write int"},
    {"int16", "write int"},
    {"number", "write bigint or double precision"},
    {"int2", "write int"},
    {"smallint", "write int"},
    {"tinyint", "write int"},
    {"serial", "write int"},
    {"bigserial", "write bigint"},
    {"string", "write text"},
    {"bpchar", "write text"},
    {"char", "write text"},
    {"name", "write text"},
    {"uuid", "write text"},
    {"bytea", "write text"},
    {"bytes", "write text"},
    {"map", "flatten it into columns"},
    {"struct", "flatten it into columns"},
};

int NumberRank(Type type) {
  switch (type) {
    case Type::kInt:
      return 1;
    case Type::kBigint:
      return 2;
    case Type::kNumeric:
      return 3;
    case Type::kDouble:
      return 4;
    default:
      return 0;
  }
}

Expr NullLiteral(Type type) {
  Expr out;
  out.type = type;
  out.is_null = true;
  return out;
}

}  // namespace

bool CanCast(Type from, Type to) {
  if (IsNumber(from) && IsNumber(to)) return true;
  switch (from) {
    case Type::kText:
      return to != Type::kNumeric;
    case Type::kBool:
      return to == Type::kText || to == Type::kInt;
    case Type::kInt:
      return to == Type::kText || to == Type::kBool;
    case Type::kBigint:
    case Type::kDouble:
    case Type::kNumeric:
    case Type::kTimestamp:
      return to == Type::kText;
  }
  return false;
}

std::optional<Type> AggregateResult(Aggregate kind, Type argument) {
  switch (kind) {
    case Aggregate::kCountStar:
    case Aggregate::kCount:
      return Type::kBigint;
    case Aggregate::kMin:
    case Aggregate::kMax:
      if (argument != Type::kBool && argument != Type::kNumeric) return argument;
      return std::nullopt;
    case Aggregate::kSum:
      if (argument == Type::kInt) return Type::kBigint;
      if (argument == Type::kBigint) return Type::kNumeric;
      if (argument == Type::kDouble) return Type::kDouble;
      return std::nullopt;
    case Aggregate::kAvg:
      if (IsNumber(argument) && argument != Type::kNumeric) return Type::kDouble;
      return std::nullopt;
  }
  return std::nullopt;
}

bool IsNumber(Type type) { return NumberRank(type) > 0; }

Typed MakeTyped(Expr expr, int64_t location) {
  Typed out;
  out.expr = std::move(expr);
  out.location = location;
  return out;
}

Expr MakeExpr(Op op, Type type, std::vector<Expr> args) {
  Expr out;
  out.op = op;
  out.type = type;
  out.args = std::move(args);
  return out;
}

Expr IntegerLiteral(Type type, int64_t value) {
  Expr out;
  out.type = type;
  out.integer = value;
  return out;
}

Expr BoolLiteral(bool value) { return IntegerLiteral(Type::kBool, value ? 1 : 0); }

size_t ExprNodes(const Expr& expr) {
  size_t out = 1;
  for (const Expr& arg : expr.args) out += ExprNodes(arg);
  return out;
}

int ExprDepth(const Expr& expr) {
  int out = 0;
  for (const Expr& arg : expr.args) out = std::max(out, ExprDepth(arg));
  return out + 1;
}

Result<Type> TypeRules::Common(const std::vector<Typed>& operands, int64_t location,
                               std::string_view what) const {
  const Typed* first = nullptr;
  Type common = Type::kText;
  for (const Typed& operand : operands) {
    if (operand.open) continue;
    const Type type = operand.expr.type;
    if (first == nullptr) {
      first = &operand;
      common = type;
    } else if (IsNumber(common) && IsNumber(type)) {
      if (NumberRank(type) > NumberRank(common)) common = type;
    } else if (type != common) {
      std::string hint = "write CAST(... AS " + std::string(TypeName(common)) + ")";
      if (CanCast(type, common) || CanCast(common, type)) {
        if (!CanCast(type, common)) hint = "write CAST(... AS " + std::string(TypeName(type)) + ")";
      } else {
        hint.clear();
      }
      return source_.At(location,
                        std::string(what) + " cannot bring together " +
                            std::string(TypeName(common)) + " and " + std::string(TypeName(type)),
                        hint);
    }
  }
  return common;
}

Result<Expr> TypeRules::Implicit(Typed value, Type type) const {
  Expr& expr = value.expr;
  if (value.open) {
    if (expr.is_null) return NullLiteral(type);
    if (type == Type::kText) return std::move(expr);
    if (type == Type::kTimestamp) {
      auto time = ParseTimestamp(expr.text);
      if (!time.ok()) {
        return source_.At(value.location, "not a time: '" + expr.text + "'",
                          "write it as '2001-02-03T04:05:06Z' or '2001-02-03T04:05:06+01:00'");
      }
      if (!IsEventTime(*time)) {
        return source_.At(value.location, "the time is out of range: '" + expr.text + "'",
                          kTimeRange);
      }
      return IntegerLiteral(Type::kTimestamp, *time);
    }
    std::string hint = "write the number without quotes";
    if (type == Type::kBool) hint = "write true or false";
    return source_.At(
        value.location,
        "a text stands where " + std::string(TypeName(type)) + " is needed: '" + expr.text + "'",
        hint);
  }
  if (expr.type == type) return std::move(expr);
  if (!IsNumber(expr.type) || NumberRank(expr.type) > NumberRank(type)) {
    return source_.At(value.location,
                      std::string(TypeName(expr.type)) + " stands where " +
                          std::string(TypeName(type)) + " is needed",
                      "write CAST(... AS " + std::string(TypeName(type)) + ")");
  }
  if (expr.op == Op::kLiteral && type == Type::kBigint) {
    return expr.is_null ? NullLiteral(type) : IntegerLiteral(type, expr.integer);
  }
  if (expr.op == Op::kLiteral && type == Type::kDouble) {
    Expr out = NullLiteral(type);
    out.is_null = expr.is_null;
    out.real = static_cast<double>(expr.integer);
    return out;
  }
  return MakeExpr(Op::kCast, type, {std::move(expr)});
}

Status TypeRules::Unify(Typed* left, Typed* right, int64_t location, std::string_view what) const {
  MILLRACE_ASSIGN(const Type type, Common({*left, *right}, location, what));
  MILLRACE_ASSIGN(left->expr, Implicit(std::move(*left), type));
  MILLRACE_ASSIGN(right->expr, Implicit(std::move(*right), type));
  left->open = right->open = false;
  return {};
}

Result<Typed> TypeRules::Explicit(Typed value, const TypeSyntax& syntax, int64_t location) const {
  if (syntax.name == "interval") {
    return source_.At(location, "an interval stands in window functions and options only",
                      "compare times with times");
  }
  MILLRACE_ASSIGN(const Type type, TypeOf(syntax));
  Typed out;
  out.location = location;
  const bool literal_time = type == Type::kTimestamp && !value.expr.is_null;
  if (value.open && (value.expr.is_null || type == Type::kText || literal_time)) {
    MILLRACE_ASSIGN(out.expr, Implicit(std::move(value), type));
    return out;
  }
  const Type from = value.expr.type;
  if (from == type) {
    out.expr = std::move(value.expr);
    return out;
  }
  if (!CanCast(from, type)) {
    std::string hint;
    if (from == Type::kBool && IsNumber(type))
      hint = "write CASE WHEN x THEN 1 WHEN NOT x THEN 0 END";
    if (IsNumber(from) && type == Type::kBool) hint = "write x <> 0";
    return source_.At(
        location,
        "cannot cast " + std::string(TypeName(from)) + " to " + std::string(TypeName(type)), hint);
  }
  if (from == Type::kNumeric && type == Type::kInt) {
    value.expr = MakeExpr(Op::kCast, Type::kBigint, {std::move(value.expr)});
  }
  out.expr = MakeExpr(Op::kCast, type, {std::move(value.expr)});
  return out;
}

Result<Typed> TypeRules::Literal(const Syntax& syntax) const {
  Typed out;
  out.location = syntax.location;
  const char* first = syntax.text.data();
  const char* last = first + syntax.text.size();
  switch (syntax.kind) {
    case Syntax::Kind::kNull:
      out.expr = NullLiteral(Type::kText);
      out.open = true;
      return out;
    case Syntax::Kind::kString:
      out.expr.type = Type::kText;
      out.expr.text = syntax.text;
      out.open = true;
      return out;
    case Syntax::Kind::kBoolean:
      out.expr = BoolLiteral(syntax.flag);
      return out;
    case Syntax::Kind::kInteger: {
      int64_t value = 0;
      if (std::from_chars(first, last, value).ec != std::errc()) {
        return source_.At(syntax.location, "the number does not fit a bigint",
                          "write it with a decimal point to have a double precision");
      }
      const bool small = value == static_cast<int32_t>(value);
      out.expr = IntegerLiteral(small ? Type::kInt : Type::kBigint, value);
      return out;
    }
    default: {
      out.expr.type = Type::kDouble;
      if (std::from_chars(first, last, out.expr.real).ec != std::errc() ||
          !std::isfinite(out.expr.real)) {
        return source_.At(syntax.location, "the number does not fit a double precision");
      }
      return out;
    }
  }
}

Result<Type> TypeRules::TypeOf(const TypeSyntax& syntax) const {
  if (syntax.is_array) {
    return source_.At(syntax.location, "arrays are not supported",
                      "write one column for each value");
  }
  for (const TypeAlias& known : kTypes) {
    if (syntax.name != known.name) continue;
    if (syntax.has_modifier) {
      return source_.At(syntax.location, "a length or precision is not supported",
                        "write " + std::string(TypeName(known.type)));
    }
    return known.type;
  }
  for (const TypeHint& known : kTypeHints) {
    if (syntax.name == known.name)
      return source_.At(syntax.location, "type " + Quoted(syntax.name) + " is not supported",
                        known.hint);
  }
  std::vector<std::string> names;
  for (const TypeAlias& known : kTypes) names.emplace_back(known.name);
  return source_.At(syntax.location, "unknown type " + Quoted(syntax.name),
                    DidYouMean(syntax.name, names, kTypeNames));
}

}  // namespace millrace
