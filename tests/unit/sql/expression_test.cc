#include <string>
#include <vector>

#include "sql_test_support.h"
#include "support/catch.h"

using namespace millrace;
using namespace millrace::sql_test;

namespace {

struct Lowering {
  std::string sql;
  std::string plan;
};

const std::string kJ = "(column [int] 2)";
const std::string kV = "(column [bigint] 3)";
const std::string kD = "(column [double precision] 4)";

}  // namespace

TEST_CASE("each construct of WHERE becomes the expression that the language defines") {
  const auto c = GENERATE(values<Lowering>({
      {"b", "(column [boolean] 5)"},
      {"s.b", "(column [boolean] 5)"},
      {"b AND j = 1 AND NOT b", "(and [boolean] (column [boolean] 5) (equal [boolean] " + kJ +
                                    " (literal [int] 1)) (not [boolean] (column [boolean] 5)))"},
      {"b OR true", "(or [boolean] (column [boolean] 5) (literal [boolean] 1))"},
      {"NULL", "(literal [boolean] null)"},
      {"j <> 1", "(not_equal [boolean] " + kJ + " (literal [int] 1))"},
      {"j != 1", "(not_equal [boolean] " + kJ + " (literal [int] 1))"},
      {"j < 1", "(less [boolean] " + kJ + " (literal [int] 1))"},
      {"j <= 1", "(less_equal [boolean] " + kJ + " (literal [int] 1))"},
      {"j > 1", "(greater [boolean] " + kJ + " (literal [int] 1))"},
      {"j >= 1", "(greater_equal [boolean] " + kJ + " (literal [int] 1))"},
      {"k = 'it''s'", "(equal [boolean] (column [text] 1) (literal [text] \"it's\"))"},
      {"k = 'é\"\\'",
       "(equal [boolean] (column [text] 1) (literal [text] \"\\xc3\\xa9\\x22\\x5c\"))"},
      {"ts >= '2001-01-01T00:00:00Z'",
       "(greater_equal [boolean] (column [timestamptz] 0) (literal [timestamptz] "
       "978307200000000))"},
      {"t2 = NULL", "(equal [boolean] (column [timestamptz] 6) (literal [timestamptz] null))"},
      {"j IS NULL", "(is_null [boolean] " + kJ + ")"},
      {"j IS NOT NULL", "(is_not_null [boolean] " + kJ + ")"},
      {"j IN (1)", "(equal [boolean] " + kJ + " (literal [int] 1))"},
      {"j IN (1, 2.5)", "(or [boolean] (equal [boolean] " + kJ +
                            " (literal [int] 1)) (equal [boolean] (cast "
                            "[double precision] " +
                            kJ + ") (literal [double precision] 4004000000000000)))"},
      {"k NOT IN ('a', 'b')",
       "(not [boolean] (or [boolean] (equal [boolean] (column [text] 1) (literal [text] \"a\")) "
       "(equal [boolean] (column [text] 1) (literal [text] \"b\"))))"},
      {"j BETWEEN 1 AND 2", "(and [boolean] (greater_equal [boolean] " + kJ +
                                " (literal [int] 1)) (less_equal "
                                "[boolean] " +
                                kJ + " (literal [int] 2)))"},
      {"j NOT BETWEEN 1 AND 2", "(not [boolean] (and [boolean] (greater_equal [boolean] " + kJ +
                                    " (literal [int] 1)) "
                                    "(less_equal [boolean] " +
                                    kJ + " (literal [int] 2))))"},
      {"CASE WHEN b THEN j END = 1", "(equal [boolean] (case [int] (column [boolean] 5) " + kJ +
                                         " (literal [int] null)) "
                                         "(literal [int] 1))"},
      {"CASE j WHEN 1 THEN b WHEN 2 THEN NULL ELSE false END",
       "(case [boolean] (equal [boolean] " + kJ +
           " (literal [int] 1)) (column [boolean] 5) "
           "(equal [boolean] " +
           kJ +
           " (literal [int] 2)) (literal [boolean] null) (literal "
           "[boolean] 0))"},
      {"coalesce(b, false)", "(coalesce [boolean] (column [boolean] 5) (literal [boolean] 0))"},
      {"coalesce(b)", "(column [boolean] 5)"},
      {"nullif(b, true)", "(null_if [boolean] (column [boolean] 5) (literal [boolean] 1))"},
      {"nullif(j, 2.5) = 1",
       "(equal [boolean] (case [int] (equal [boolean] (cast [double precision] " + kJ +
           ") (literal [double precision] 4004000000000000)) (literal [int] null) " + kJ +
           ") (literal [int] 1))"},
  }));
  CAPTURE(c.sql);
  CHECK(Where(c.sql) == c.plan);
}

TEST_CASE("operands of different number types meet in the wider one") {
  const auto c = GENERATE(values<Lowering>({
      {"j + 1", "(add [int] " + kJ + " (literal [int] 1))"},
      {"j - v", "(subtract [bigint] (cast [bigint] " + kJ + ") " + kV + ")"},
      {"v * 2", "(multiply [bigint] " + kV + " (literal [bigint] 2))"},
      {"v / d", "(divide [double precision] (cast [double precision] " + kV + ") " + kD + ")"},
      {"j % 3", "(modulo [int] " + kJ + " (literal [int] 3))"},
      {"j + 2147483648", "(add [bigint] (cast [bigint] " + kJ +
                             ") (literal [bigint] "
                             "2147483648))"},
      {"j + 0.5", "(add [double precision] (cast [double precision] " + kJ +
                      ") (literal [double precision] 3fe0000000000000))"},
      {"d + 1", "(add [double precision] " + kD +
                    " (literal [double precision] "
                    "3ff0000000000000))"},
      {"-v", "(negate [bigint] " + kV + ")"},
      {"+v", kV},
      {"j + NULL", "(add [int] " + kJ + " (literal [int] null))"},
      {"NULL + NULL", "(add [int] (literal [int] null) (literal [int] null))"},
      {"coalesce(j, v, 0.5)", "(coalesce [double precision] (cast [double precision] " + kJ +
                                  ") (cast [double precision] " + kV +
                                  ") (literal [double precision] "
                                  "3fe0000000000000))"},
      {"CAST(k AS double precision)", "(cast [double precision] (column [text] 1))"},
      {"k::int", "(cast [int] (column [text] 1))"},
      {"j::bigint::text", "(cast [text] (cast [bigint] " + kJ + "))"},
      {"j::int", kJ},
      {"(j = 1)::int", "(cast [int] (equal [boolean] " + kJ + " (literal [int] 1)))"},
      {"j::boolean", "(cast [boolean] " + kJ + ")"},
      {"NULL::bigint", "(literal [bigint] null)"},
      {"'x'::text", "(literal [text] \"x\")"},
      {"'7'::int", "(cast [int] (literal [text] \"7\"))"},
      {"'2001-01-01T00:00:00+01:00'::timestamptz", "(literal [timestamptz] 978303600000000)"},
      {"k::timestamptz", "(cast [timestamptz] (column [text] 1))"},
      {"ts::text", "(cast [text] (column [timestamptz] 0))"},
      {"CASE WHEN b THEN j ELSE d END",
       "(case [double precision] (column [boolean] 5) (cast [double precision] " + kJ + ") " + kD +
           ")"},
      {"CASE WHEN b THEN NULL END",
       "(case [text] (column [boolean] 5) (literal [text] null) "
       "(literal [text] null))"},
  }));
  CAPTURE(c.sql);
  CHECK(Where("(" + c.sql + ") IS NULL") == "(is_null [boolean] " + c.plan + ")");
}

TEST_CASE("number literals have the smallest type that holds them, signs and comments included") {
  const auto c = GENERATE(values<Lowering>({
      {"0", "[int] 0"},
      {"-0", "[int] 0"},
      {"-5", "[int] -5"},
      {"- /* 7 */ 5", "[int] -5"},
      {"-(5)", "[int] -5"},
      {"- -5", "[int] 5"},
      {"- - -5", "[int] -5"},
      {"2147483647", "[int] 2147483647"},
      {"-2147483647", "[int] -2147483647"},
      {"-2147483648", "[int] -2147483648"},
      {"2147483648", "[bigint] 2147483648"},
      {"9223372036854775807", "[bigint] 9223372036854775807"},
      {"-9223372036854775808", "[bigint] -9223372036854775808"},
      {"1.0", "[double precision] 3ff0000000000000"},
      {".5", "[double precision] 3fe0000000000000"},
      {"1e3", "[double precision] 408f400000000000"},
      {"-0.0", "[double precision] 8000000000000000"},
      {"12345678901234567890.", "[double precision] 43e56a95319d63e1"},
  }));
  CAPTURE(c.sql);
  CHECK(Where("(" + c.sql + ") IS NULL") == "(is_null [boolean] (literal " + c.plan + "))");
}

TEST_CASE("SELECT reads the group row: group columns, window bounds, aggregates") {
  View view;
  view.select =
      "window_end AS until, j % 10 AS digit, k AS key, sum(v) AS total, count(*), window_start, "
      "(j % 10) * 2 AS twice, count(*) + count(j) AS sum2";
  view.group = "2, key, window_end, window_start";
  const PipelineSpec spec = PlanPipeline(view);
  REQUIRE(spec.group_by.size() == 2);
  CHECK(Line(spec, "group") == "(modulo [int] " + kJ + " (literal [int] 10))");
  REQUIRE(spec.aggregates.size() == 3);
  REQUIRE(spec.select.size() == 8);
  const std::vector<std::string> names = {"until", "digit",        "key",   "total",
                                          "count", "window_start", "twice", "sum2"};
  const std::vector<int> groups = {-1, 0, 1, -1, -1, -1, -1, -1};
  const std::vector<int> columns = {3, 0, 1, 4, 5, 2, -1, -1};
  for (size_t i = 0; i < names.size(); ++i) {
    CAPTURE(i);
    CHECK(spec.select[i].name == names[i]);
    CHECK(spec.select[i].group_column == groups[i]);
    if (columns[i] < 0) continue;
    CHECK(spec.select[i].expr.op == Expr::Op::kColumn);
    CHECK(spec.select[i].expr.index == columns[i]);
  }
  CHECK(Select("count(*) + count(j)") == "(add [bigint] (column [bigint] 3) (column [bigint] 4))");
}

TEST_CASE("a name in GROUP BY is a column first and a name given in SELECT second") {
  View view;
  view.select = "k, window_start, window_end, j AS v, count(*) AS n";
  view.group = "k, v, window_start, window_end";
  CHECK(ErrorOf(view).message.find("\"j\" is neither in GROUP BY") != std::string::npos);
  view.select = "k, window_start, window_end, j AS bucket, count(*) AS n";
  view.group = "k, bucket, window_start, window_end";
  CHECK(PlanPipeline(view).group_by.size() == 2);
}

TEST_CASE("each aggregate has the result type that SQL gives it") {
  const auto c = GENERATE(values<std::pair<std::string, std::string>>({
      {"count(*)", "count_star [bigint]"},
      {"count(1)", "count_star [bigint]"},
      {"count(NULL)", "count [bigint]"},
      {"count(k)", "count [bigint]"},
      {"sum(j)", "sum [bigint]"},
      {"sum(v)", "sum [numeric]"},
      {"sum(d)", "sum [double precision]"},
      {"avg(j)", "avg [double precision]"},
      {"avg(v)", "avg [double precision]"},
      {"avg(d)", "avg [double precision]"},
      {"min(j)", "min [int]"},
      {"max(v)", "max [bigint]"},
      {"min(d)", "min [double precision]"},
      {"max(k)", "max [text]"},
      {"min(ts)", "min [timestamptz]"},
  }));
  CAPTURE(c.first);
  const PipelineSpec spec = PlanPipeline(WithSelect(c.first + " AS x"));
  CHECK(Line(spec, "aggregate") == c.second);
  CHECK(spec.select.back().expr.type == spec.aggregates[0].type);
}

TEST_CASE("FILTER and the argument are expressions over the stream's columns") {
  const PipelineSpec spec = PlanPipeline(WithSelect("sum(j * 2) FILTER (WHERE b AND v > 0) AS x"));
  CHECK(Line(spec, "argument") == "(multiply [int] " + kJ + " (literal [int] 2))");
  CHECK(Line(spec, "filter") ==
        "(and [boolean] (column [boolean] 5) (greater [boolean] " + kV + " (literal [bigint] 0)))");
}

TEST_CASE("identical aggregates are planned once, wherever they stand") {
  View view = WithSelect("sum(v) AS a, sum(v) AS b, sum(v) FILTER (WHERE b) AS c, max(v) AS d");
  view.having = "HAVING sum(v) > 0 AND max(v) > 1 AND min(v) > 2";
  const PipelineSpec spec = PlanPipeline(view);
  CHECK(spec.aggregates.size() == 4);
  CHECK(spec.select[3].expr == spec.select[4].expr);
}

TEST_CASE("numeric results meet integers as numeric and doubles as double precision") {
  const std::string sum = "(column [numeric] 3)";
  CHECK(Select("sum(v) + 1") == "(add [numeric] " + sum + " (cast [numeric] (literal [int] 1)))");
  CHECK(Select("sum(v) * max(v)") ==
        "(multiply [numeric] " + sum + " (cast [numeric] (column [bigint] 4)))");
  CHECK(Select("sum(v) > 1") ==
        "(greater [boolean] " + sum + " (cast [numeric] (literal [int] 1)))");
  CHECK(Select("sum(v) / 2.0") == "(divide [double precision] (cast [double precision] " + sum +
                                      ") (literal [double precision] 4000000000000000))");
  CHECK(Select("CAST(sum(v) AS bigint) / 2") ==
        "(divide [bigint] (cast [bigint] " + sum + ") (literal [bigint] 2))");
  CHECK(Select("sum(v)::int") == "(cast [int] (cast [bigint] " + sum + "))");
  CHECK(Select("-sum(v)") == "(negate [numeric] " + sum + ")");
  CHECK(Select("coalesce(sum(v), NULL)") ==
        "(coalesce [numeric] " + sum + " (literal [numeric] null))");
}

TEST_CASE("an expression may be 100 levels deep and no deeper") {
  std::string nots;
  for (int i = 0; i < 99; ++i) nots += "NOT ";
  CHECK_FALSE(Where(nots + "b").empty());
  CHECK(ErrorOf(WithWhere("NOT " + nots + "b")).message.find("more than 100 levels deep") !=
        std::string::npos);
  std::string sum = "1";
  for (int i = 0; i < 20'000; ++i) sum += "+1";
  CHECK(ErrorOf(WithWhere(sum + " = 1")).message.find("more than 100 levels deep") !=
        std::string::npos);
}

TEST_CASE("copies of an operand do not multiply without bound") {
  std::string sql = "j";
  for (int i = 0; i < 40; ++i) sql = "(CASE " + sql + " WHEN 1 THEN 1 WHEN 2 THEN 2 END)";
  CHECK(ErrorOf(WithWhere(sql + " = 1")).message.find("too large") != std::string::npos);
}
