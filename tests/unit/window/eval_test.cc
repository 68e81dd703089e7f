#include "eval.h"

#include <rapidcheck.h>

#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <optional>
#include <variant>

#include "millrace/model/row.h"
#include "support/catch.h"
#include "support/expressions.h"

using namespace millrace;
using namespace millrace::window;

namespace {

using Op = Expr::Op;
using test::ColumnOf;
using test::Make;

Expr Literal(Type type, int64_t v) {
  Expr e = Make(Op::kLiteral, type, {});
  e.integer = v;
  return e;
}
Expr NullOf(Type type) {
  Expr e = Make(Op::kLiteral, type, {});
  e.is_null = true;
  return e;
}
Expr Cast(Expr from, Type to) { return Make(Op::kCast, to, {std::move(from)}); }
Expr OneByZero() {
  return Make(Op::kDivide, Type::kInt, {Literal(Type::kInt, 1), Literal(Type::kInt, 0)});
}

/// A value, NULL (a Value without data) or an error, in row `row`.
using Outcome = std::variant<EvalError, Value>;

Outcome At(const Vec& v, size_t row) {
  if (v.Error(row) != 0) return static_cast<EvalError>(v.Error(row));
  ColumnData storage(v.type);
  return Value::From(ToColumn(v, row + 1, &storage), row);
}

/// Over one row.
Outcome Run(const Expr& e, const std::vector<Value>& row = {}) {
  std::vector<ColumnData> data;
  for (const Value& v : row) {
    ColumnData& c = data.emplace_back(v.type);
    if (v.is_null()) {
      c.AppendNull();
    } else if (v.type == Type::kText) {
      c.AppendText(std::get<std::string>(v.data));
    } else if (v.type == Type::kDouble) {
      c.AppendDouble(std::get<double>(v.data));
    } else if (v.type == Type::kNumeric) {
      c.AppendNumeric(std::get<Int128>(v.data));
    } else {
      c.AppendInteger(std::get<int64_t>(v.data));
    }
  }
  std::vector<millrace::Column> columns;
  for (const ColumnData& c : data) columns.push_back(c.View());
  Evaluator evaluator(e);
  return At(evaluator.Run(columns, 1), 0);
}

Outcome Bool(bool v) { return Value{Type::kBool, int64_t{v}}; }
Outcome Nothing(Type type) { return Value{type, {}}; }

/// T, F, N (NULL) and E (an error, each operand its own) as a boolean operand.
Expr Operand(char c, bool second) {
  if (c == 'N') return NullOf(Type::kBool);
  if (c != 'E') return Literal(Type::kBool, c == 'T');
  if (second) return Cast(OneByZero(), Type::kBool);
  Expr bad = Make(Op::kLiteral, Type::kText, {});
  bad.text = "perhaps";
  return Cast(bad, Type::kBool);
}
char Letter(const Outcome& outcome) {
  if (const auto* error = std::get_if<EvalError>(&outcome)) return *error == kBadCast ? 'E' : 'e';
  const Value& v = std::get<Value>(outcome);
  return v.is_null() ? 'N' : std::get<int64_t>(v.data) != 0 ? 'T' : 'F';
}
std::string Row(Op op, char left) {
  std::string row;
  for (const char right : {'T', 'F', 'N', 'E'})
    row += Letter(Run(Make(op, Type::kBool, {Operand(left, false), Operand(right, true)})));
  return row;
}

Outcome TextTo(Type to, const std::string& text) {
  return Run(Cast(ColumnOf(0, Type::kText), to), {{Type::kText, text}});
}
Outcome DoubleTo(Type to, double v) {
  return Run(Cast(ColumnOf(0, Type::kDouble), to), {{Type::kDouble, v}});
}

}  // namespace

// The columns are the right operand: true, false, NULL, an error. e is the right operand's error.

TEST_CASE("AND stops at the first false or error") {
  CHECK(Row(Op::kAnd, 'T') == "TFNe");
  CHECK(Row(Op::kAnd, 'F') == "FFFF");
  CHECK(Row(Op::kAnd, 'N') == "NFNe");
  CHECK(Row(Op::kAnd, 'E') == "EEEE");
}

TEST_CASE("OR stops at the first true or error") {
  CHECK(Row(Op::kOr, 'T') == "TTTT");
  CHECK(Row(Op::kOr, 'F') == "TFNe");
  CHECK(Row(Op::kOr, 'N') == "TNNe");
  CHECK(Row(Op::kOr, 'E') == "EEEE");
}

TEST_CASE("AND and OR of three go on over a NULL until something decides") {
  const auto three = [](Op op, const char* operands) {
    return Letter(Run(Make(
        op, Type::kBool,
        {Operand(operands[0], false), Operand(operands[1], false), Operand(operands[2], true)})));
  };
  CHECK(three(Op::kAnd, "NTE") == 'e');
  CHECK(three(Op::kAnd, "NFE") == 'F');
  CHECK(three(Op::kAnd, "NTT") == 'N');
  CHECK(three(Op::kOr, "NFE") == 'e');
  CHECK(three(Op::kOr, "NTE") == 'T');
  CHECK(three(Op::kOr, "NFF") == 'N');
}

TEST_CASE("NOT, IS NULL and comparisons pass NULLs and errors on") {
  const auto one = [](Op op, char operand) {
    return Letter(Run(Make(op, Type::kBool, {Operand(operand, false)})));
  };
  CHECK(one(Op::kNot, 'T') == 'F');
  CHECK(one(Op::kNot, 'F') == 'T');
  CHECK(one(Op::kNot, 'N') == 'N');
  CHECK(one(Op::kNot, 'E') == 'E');
  CHECK(one(Op::kIsNull, 'N') == 'T');
  CHECK(one(Op::kIsNull, 'F') == 'F');
  CHECK(one(Op::kIsNull, 'E') == 'E');
  CHECK(one(Op::kIsNotNull, 'N') == 'F');
  CHECK(Row(Op::kEqual, 'T') == "TFNe");
  CHECK(Row(Op::kEqual, 'N') == "NNNe");
  CHECK(Row(Op::kEqual, 'E') == "EEEE");
}

TEST_CASE("an operator with an error is an error even if another operand is NULL") {
  const Expr sum = Make(Op::kAdd, Type::kInt, {NullOf(Type::kInt), OneByZero()});
  CHECK(Run(sum) == Outcome(kDivisionByZero));
  CHECK(Run(Make(Op::kAdd, Type::kInt, {NullOf(Type::kInt), Literal(Type::kInt, 1)})) ==
        Nothing(Type::kInt));
}

TEST_CASE("CASE evaluates up to the first true condition only") {
  const auto when = [](char condition, Expr then, std::vector<Expr> rest) {
    std::vector<Expr> args = {Operand(condition, false), std::move(then)};
    for (Expr& e : rest) args.push_back(std::move(e));
    return Run(Make(Op::kCase, Type::kInt, std::move(args)));
  };
  const Outcome one = Value{Type::kInt, int64_t{1}};
  const Outcome two = Value{Type::kInt, int64_t{2}};
  const Expr first = Literal(Type::kInt, 1);
  const Expr other = Literal(Type::kInt, 2);
  CHECK(when('T', first, {OneByZero()}) == one);
  CHECK(when('T', OneByZero(), {other}) == Outcome(kDivisionByZero));
  CHECK(when('F', OneByZero(), {other}) == two);
  CHECK(when('N', OneByZero(), {other}) == two);
  CHECK(when('E', first, {other}) == Outcome(kBadCast));
  CHECK(when('F', first, {}) == Nothing(Type::kInt));
  CHECK(when('T', first, {Operand('E', false), other, OneByZero()}) == one);
  CHECK(when('F', first, {Operand('T', false), other, OneByZero()}) == two);
}

TEST_CASE("coalesce stops at the first value, nullif looks at both") {
  const auto of = [](Op op, std::vector<Expr> args) {
    return Run(Make(op, Type::kInt, std::move(args)));
  };
  const Expr null = NullOf(Type::kInt);
  const Expr one = Literal(Type::kInt, 1);
  CHECK(of(Op::kCoalesce, {null, one, OneByZero()}) == Outcome(Value{Type::kInt, int64_t{1}}));
  CHECK(of(Op::kCoalesce, {null, OneByZero(), one}) == Outcome(kDivisionByZero));
  CHECK(of(Op::kCoalesce, {null, null}) == Nothing(Type::kInt));
  CHECK(of(Op::kNullIf, {one, one}) == Nothing(Type::kInt));
  CHECK(of(Op::kNullIf, {one, null}) == Outcome(Value{Type::kInt, int64_t{1}}));
  CHECK(of(Op::kNullIf, {null, one}) == Nothing(Type::kInt));
  CHECK(of(Op::kNullIf, {null, OneByZero()}) == Outcome(kDivisionByZero));
}

TEST_CASE("integers are exact, or an error beyond their range") {
  CHECK(rc::check([] {
    const Type type = *rc::gen::element(Type::kInt, Type::kBigint, Type::kNumeric);
    const Int128 high = type == Type::kInt      ? std::numeric_limits<int32_t>::max()
                        : type == Type::kBigint ? Int128{std::numeric_limits<int64_t>::max()}
                                                : kMaxNumeric;
    const Int128 low = type == Type::kNumeric ? -high : -high - 1;
    const auto any = [&] {
      return *rc::gen::oneOf(
          rc::gen::map(rc::gen::inRange(-20, 20), [](int v) { return Int128{v}; }),
          rc::gen::map(rc::gen::inRange(0, 3), [&](int v) { return high - v; }),
          rc::gen::map(rc::gen::inRange(0, 3), [&](int v) { return low + v; }),
          rc::gen::map(rc::gen::arbitrary<int64_t>(), [&](int64_t v) {
            return type == Type::kInt ? Int128{static_cast<int32_t>(v)} : Int128{v};
          }));
    };
    const Int128 a = any();
    const Int128 b = any();
    const Op op =
        *rc::gen::element(Op::kAdd, Op::kSubtract, Op::kMultiply, Op::kDivide, Op::kModulo);
    if (type == Type::kNumeric && op == Op::kModulo) return;  // there is none
    // Exact, in 128 bits or with the overflow of 128 bits noticed.
    Int128 exact = 0;
    bool over = false;
    if (b == 0 && (op == Op::kDivide || op == Op::kModulo)) {
      const Value zero = type == Type::kNumeric ? Value{type, Int128{0}} : Value{type, int64_t{0}};
      const Value left =
          type == Type::kNumeric ? Value{type, a} : Value{type, static_cast<int64_t>(a)};
      RC_ASSERT(Run(Make(op, type, {ColumnOf(0, type), ColumnOf(1, type)}), {left, zero}) ==
                Outcome(kDivisionByZero));
      return;
    }
    switch (op) {
      case Op::kAdd:
        over = __builtin_add_overflow(a, b, &exact);
        break;
      case Op::kSubtract:
        over = __builtin_sub_overflow(a, b, &exact);
        break;
      case Op::kMultiply:
        over = __builtin_mul_overflow(a, b, &exact);
        break;
      case Op::kDivide:
        exact = a / b;
        break;
      default:
        exact = a - a / b * b;
    }
    const auto value = [&](Int128 v) {
      return type == Type::kNumeric ? Value{type, v} : Value{type, static_cast<int64_t>(v)};
    };
    const Outcome expected =
        over || exact < low || exact > high ? Outcome(kOverflow) : Outcome(value(exact));
    RC_ASSERT(Run(Make(op, type, {ColumnOf(0, type), ColumnOf(1, type)}), {value(a), value(b)}) ==
              expected);
    const Outcome negated = -a > high ? Outcome(kOverflow) : Outcome(value(-a));
    RC_ASSERT(Run(Make(Op::kNegate, type, {ColumnOf(0, type)}), {value(a)}) == negated);
  }));
}

TEST_CASE("an infinity out of finite doubles is an error, an underflow is not") {
  const auto of = [](Op op, double a, double b) {
    return Run(Make(op, Type::kDouble, {ColumnOf(0, Type::kDouble), ColumnOf(1, Type::kDouble)}),
               {{Type::kDouble, a}, {Type::kDouble, b}});
  };
  const auto value = [](double v) { return Outcome(Value{Type::kDouble, v}); };
  CHECK(of(Op::kMultiply, 1e308, 10) == Outcome(kOverflow));
  CHECK(of(Op::kAdd, DBL_MAX, DBL_MAX) == Outcome(kOverflow));
  CHECK(of(Op::kAdd, HUGE_VAL, 1) == value(HUGE_VAL));
  CHECK(of(Op::kMultiply, 1e-308, 1e-308) == value(0));
  for (const double a : {1.0, 0.0, HUGE_VAL, std::nan("")}) {
    CHECK(of(Op::kDivide, a, 0.0) == Outcome(kDivisionByZero));
    CHECK(of(Op::kDivide, a, -0.0) == Outcome(kDivisionByZero));
  }
}

TEST_CASE("doubles compare with NaN as the largest and -0 as 0") {
  const double order[] = {-HUGE_VAL, -1, 0, DBL_TRUE_MIN, HUGE_VAL, std::nan("")};
  const auto is = [](Op op, double a, double b) {
    return Run(Make(op, Type::kBool, {ColumnOf(0, Type::kDouble), ColumnOf(1, Type::kDouble)}),
               {{Type::kDouble, a}, {Type::kDouble, b}});
  };
  for (const double& a : order) {
    for (const double& b : order) {
      CHECK(is(Op::kLess, a, b) == Bool(&a < &b));
      CHECK(is(Op::kLessEqual, a, b) == Bool(&a <= &b));
      CHECK(is(Op::kEqual, a, b) == Bool(&a == &b));
      CHECK(is(Op::kNotEqual, a, b) == Bool(&a != &b));
      CHECK(is(Op::kGreater, a, b) == Bool(&a > &b));
      CHECK(is(Op::kGreaterEqual, a, b) == Bool(&a >= &b));
    }
  }
  CHECK(is(Op::kEqual, 0.0, -0.0) == Bool(true));
  CHECK(is(Op::kEqual, std::nan(""), -std::nan("7")) == Bool(true));
}

TEST_CASE("text reads as a double if it is a decimal number, nan, inf or infinity") {
  const auto value = [](double v) { return Outcome(Value{Type::kDouble, v}); };
  for (const auto& [text, v] :
       std::vector<std::pair<std::string, double>>{{"1", 1},
                                                   {"+1", 1},
                                                   {"-1.5e3", -1500},
                                                   {"1.", 1},
                                                   {".5", 0.5},
                                                   {"-.5E-1", -0.05},
                                                   {" \t\n\r\f\v7 ", 7},
                                                   {"0.1", 0.1},
                                                   {"1e-400", 0},
                                                   {"4.9e-324", DBL_TRUE_MIN},
                                                   {"1e308", 1e308},
                                                   {"9007199254740993", 9007199254740992},
                                                   {"inf", HUGE_VAL},
                                                   {"+Infinity", HUGE_VAL},
                                                   {"-INF", -HUGE_VAL}}) {
    INFO(text);
    CHECK(TextTo(Type::kDouble, text) == value(v));
  }
  for (const char* text : {"nan", "NaN", " NAN "}) {
    INFO(text);
    const auto outcome = TextTo(Type::kDouble, text);
    REQUIRE(std::holds_alternative<Value>(outcome));
    CHECK(std::isnan(std::get<double>(std::get<Value>(outcome).data)));
  }
  for (const char* text :
       {"",      " ",   "+",    "-",    ".",      "e5",    "1e",    "1e+",       "+-5",   "-+5",
        "--5",   "++5", "-nan", "+nan", "nan(x)", "nan()", "infin", "infinityx", "+-inf", "0x10",
        "1_000", "1,5", "1 2",  "1f",   "1e5.5",  "..5",   "5..",   "1d",        "٣"}) {
    INFO(text);
    CHECK(TextTo(Type::kDouble, text) == Outcome(kBadCast));
  }
  CHECK(TextTo(Type::kDouble, "1e309") == Outcome(kOverflow));
  CHECK(TextTo(Type::kDouble, "-1e999") == Outcome(kOverflow));
}

TEST_CASE("every double reads back from its text") {
  CHECK(rc::check([] {
    const auto v = std::bit_cast<double>(*rc::gen::arbitrary<uint64_t>());
    const auto text = DoubleTo(Type::kText, v);
    const auto back = TextTo(Type::kDouble, std::get<std::string>(std::get<Value>(text).data));
    const double d = std::get<double>(std::get<Value>(back).data);
    RC_ASSERT((std::isnan(v) ? std::isnan(d) : d == v));
  }));
}

TEST_CASE("text reads as an integer if it is decimal digits with a sign") {
  const auto value = [](Type type, int64_t v) { return Outcome(Value{type, v}); };
  CHECK(TextTo(Type::kInt, " -2147483648 ") == value(Type::kInt, -2147483648));
  CHECK(TextTo(Type::kInt, "2147483648") == Outcome(kOverflow));
  CHECK(TextTo(Type::kBigint, "+9223372036854775807") == value(Type::kBigint, INT64_MAX));
  CHECK(TextTo(Type::kBigint, "-9223372036854775808") == value(Type::kBigint, INT64_MIN));
  CHECK(TextTo(Type::kBigint, "9223372036854775808") == Outcome(kOverflow));
  CHECK(TextTo(Type::kBigint, std::string(50, '0') + "7") == value(Type::kBigint, 7));
  const std::string nines(38, '9');
  CHECK(TextTo(Type::kNumeric, nines) == Outcome(Value{Type::kNumeric, kMaxNumeric}));
  CHECK(TextTo(Type::kNumeric, "-" + nines) == Outcome(Value{Type::kNumeric, -kMaxNumeric}));
  CHECK(TextTo(Type::kNumeric, "1" + std::string(38, '0')) == Outcome(kOverflow));
  for (const char* text : {"", "+", "+-1", "1.0", "1e3", "0x1", "1 1", "١"}) {
    INFO(text);
    CHECK(TextTo(Type::kBigint, text) == Outcome(kBadCast));
  }
}

TEST_CASE("text reads as a boolean by any beginning of its words") {
  for (const char* text : {"t", "TRUE", "tr", "y", "yes", "on", "ON", "1", " true "})
    CHECK(TextTo(Type::kBool, text) == Bool(true));
  for (const char* text : {"f", "FALSE", "n", "no", "of", "off", "0"})
    CHECK(TextTo(Type::kBool, text) == Bool(false));
  for (const char* text : {"", "o", "truex", "10", "2", "yess", "offf"})
    CHECK(TextTo(Type::kBool, text) == Outcome(kBadCast));
}

TEST_CASE("doubles become integers by rounding half to even, where they fit") {
  const auto value = [](Type type, int64_t v) { return Outcome(Value{type, v}); };
  CHECK(DoubleTo(Type::kInt, 0.5) == value(Type::kInt, 0));
  CHECK(DoubleTo(Type::kInt, 1.5) == value(Type::kInt, 2));
  CHECK(DoubleTo(Type::kInt, -2.5) == value(Type::kInt, -2));
  CHECK(DoubleTo(Type::kInt, 2147483647.4) == value(Type::kInt, 2147483647));
  CHECK(DoubleTo(Type::kInt, 2147483647.5) == Outcome(kOverflow));
  CHECK(DoubleTo(Type::kInt, -2147483648.5) == value(Type::kInt, -2147483648));
  CHECK(DoubleTo(Type::kInt, -2147483649.0) == Outcome(kOverflow));
  CHECK(DoubleTo(Type::kBigint, 0x1p63) == Outcome(kOverflow));
  CHECK(DoubleTo(Type::kBigint, -0x1p63) == value(Type::kBigint, INT64_MIN));
  CHECK(DoubleTo(Type::kBigint, std::nan("")) == Outcome(kOverflow));
  CHECK(DoubleTo(Type::kNumeric, HUGE_VAL) == Outcome(kOverflow));
}

TEST_CASE("the largest double below 10^38 is a numeric, the next one is not") {
  // 1e38 as a double is a little less than 10^38.
  const auto v = static_cast<Int128>(1e38);
  REQUIRE(v <= kMaxNumeric);
  CHECK(DoubleTo(Type::kNumeric, 1e38) == Outcome(Value{Type::kNumeric, v}));
  CHECK(DoubleTo(Type::kNumeric, -1e38) == Outcome(Value{Type::kNumeric, -v}));
  const double next = std::nextafter(1e38, HUGE_VAL);
  CHECK(DoubleTo(Type::kNumeric, next) == Outcome(kOverflow));
  CHECK(DoubleTo(Type::kNumeric, -next) == Outcome(kOverflow));
}

TEST_CASE("a batch is evaluated row by row, whatever its neighbours are") {
  CHECK(rc::check([] {
    const auto left = *rc::gen::container<std::vector<int32_t>>(rc::gen::inRange(-3, 4));
    ColumnData a(Type::kInt);
    ColumnData b(Type::kInt);
    std::vector<std::vector<Value>> rows;
    for (const int32_t v : left) {
      a.AppendInteger(v);
      const auto divisor = *rc::gen::inRange(-1, 3);
      if (divisor < 0) {
        b.AppendNull();
      } else {
        b.AppendInteger(divisor);
      }
      rows.push_back({{Type::kInt, int64_t{v}},
                      divisor < 0 ? Value{Type::kInt, {}} : Value{Type::kInt, int64_t{divisor}}});
    }
    const Expr quotient =
        Make(Op::kDivide, Type::kInt, {ColumnOf(0, Type::kInt), ColumnOf(1, Type::kInt)});
    const Expr e =
        Make(Op::kCase, Type::kText,
             {Make(Op::kIsNull, Type::kBool, {ColumnOf(1, Type::kInt)}), NullOf(Type::kText),
              Make(Op::kLess, Type::kBool, {ColumnOf(0, Type::kInt), Literal(Type::kInt, 0)}),
              Cast(quotient, Type::kText), Cast(ColumnOf(0, Type::kInt), Type::kText)});
    Evaluator evaluator(e);
    for (int again = 0; again < 2; ++again) {
      const Vec v = evaluator.Run({a.View(), b.View()}, rows.size());
      for (size_t i = 0; i < rows.size(); ++i) RC_ASSERT(At(v, i) == Run(e, rows[i]));
    }
  }));
}

TEST_CASE("a text cast to a time lies between 0001-01-01 and 9999-12-31") {
  CHECK(TextTo(Type::kTimestamp, " 0001-01-01T00:00:00Z ") ==
        Outcome(Value{Type::kTimestamp, kMinEventTime}));
  CHECK(TextTo(Type::kTimestamp, "9999-12-31T23:59:59.999999Z") ==
        Outcome(Value{Type::kTimestamp, kMaxEventTime}));
  const char* beyond =
      GENERATE("0001-01-01T00:00:00+00:01", "0000-12-31T23:59:59Z", "-0001-01-01T00:00:00Z",
               "-300000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999-00:01",
               "+10000-01-01T00:00:00Z", "+300000-01-01T00:00:00Z");
  INFO(beyond);
  CHECK(TextTo(Type::kTimestamp, beyond) == Outcome(kOverflow));
}
