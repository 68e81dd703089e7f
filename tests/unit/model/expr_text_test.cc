#include "millrace/model/expr_text.h"

#include "support/catch.h"
#include "support/expressions.h"

using namespace millrace;

namespace {

using Op = Expr::Op;
using test::ColumnOf;
using test::Make;

Expr TextLiteral(std::string text) {
  Expr e = Make(Op::kLiteral, Type::kText, {});
  e.text = std::move(text);
  return e;
}

Expr TimeLiteral(int64_t micros) {
  Expr e = Make(Op::kLiteral, Type::kTimestamp, {});
  e.integer = micros;
  return e;
}

StreamSpec Stream(const std::vector<std::string>& columns) {
  StreamSpec stream;
  for (const std::string& name : columns) stream.columns.push_back({name, Type::kInt});
  return stream;
}

}  // namespace

TEST_CASE("an expression is written as SQL that could be typed") {
  const StreamSpec stream = Stream({"a", "Mixed", "a \"b\"", "9"});
  const auto text = [&](const Expr& e) { return ExprText(e, stream); };
  CHECK(text(Make(Op::kDivide, Type::kInt, {ColumnOf(0), ColumnOf(1)})) == "a / \"Mixed\"");
  CHECK(text(Make(Op::kNegate, Type::kInt, {ColumnOf(2)})) == "-\"a \"\"b\"\"\"");
  CHECK(text(Make(Op::kCast, Type::kDouble, {ColumnOf(3)})) == "CAST(\"9\" AS double precision)");
  const Expr sum = Make(Op::kAdd, Type::kInt, {ColumnOf(0), ColumnOf(0)});
  CHECK(text(Make(Op::kMultiply, Type::kInt, {sum, ColumnOf(0)})) == "(a + a) * a");
  CHECK(text(Make(Op::kAnd, Type::kBool,
                  {Make(Op::kIsNull, Type::kBool, {sum}), Make(Op::kNot, Type::kBool, {sum}),
                   ColumnOf(0)})) == "((a + a) IS NULL) AND (NOT (a + a)) AND a");
  CHECK(text(Make(Op::kCase, Type::kText, {ColumnOf(0), TextLiteral("it's"), TextLiteral("")})) ==
        "CASE WHEN a THEN 'it''s' ELSE '' END");
  CHECK(text(Make(Op::kNullIf, Type::kTimestamp, {TimeLiteral(0), TimeLiteral(1)})) ==
        "nullif(TIMESTAMPTZ '1970-01-01T00:00:00.000000Z', "
        "TIMESTAMPTZ '1970-01-01T00:00:00.000001Z')");
}

TEST_CASE("a group row's columns are written as what they were made from") {
  const StreamSpec stream = Stream({"a", "b"});
  PipelineSpec view;
  view.group_by.push_back({Make(Op::kAdd, Type::kInt, {ColumnOf(0), ColumnOf(1)})});
  view.aggregates.push_back({Aggregate::kCountStar, {}, {}, Type::kBigint});
  view.aggregates.push_back(
      {Aggregate::kMax, ColumnOf(1), Make(Op::kIsNotNull, Type::kBool, {ColumnOf(0)}), Type::kInt});
  const auto text = [&](const Expr& e) { return GroupExprText(e, stream, view); };
  CHECK(text(Make(Op::kModulo, Type::kInt, {ColumnOf(0), ColumnOf(4)})) ==
        "(a + b) % max(b) FILTER (WHERE a IS NOT NULL)");
  CHECK(text(Make(Op::kCoalesce, Type::kInt, {ColumnOf(0), ColumnOf(3)})) ==
        "coalesce(a + b, count(*))");
  CHECK(text(Make(Op::kLess, Type::kBool, {ColumnOf(1), ColumnOf(2)})) ==
        "window_start < window_end");
}

TEST_CASE("a long expression is cut before a character") {
  const StreamSpec stream = Stream({"a"});
  // 199 bytes of text behind the quote would split the character that begins at byte 199.
  const std::string text = ExprText(TextLiteral(std::string(198, 'x') + "\u00e9\u00e9"), stream);
  CHECK(text == "'" + std::string(198, 'x') + "...");
  CHECK(ExprText(TextLiteral(std::string(198, 'x')), stream) == "'" + std::string(198, 'x') + "'");
}
