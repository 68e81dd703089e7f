#include "window_test_support.h"

// A hint says what to write instead of a form that is not there. It must have the value of that
// form: each is run here and compared with what PostgreSQL 15 gave for the form itself.

using namespace millrace;
using namespace millrace::window;

namespace {

constexpr const char* kHead =
    "CREATE TABLE s (ts timestamptz NOT NULL, a int, b int, p boolean, d double precision) WITH "
    "(event_time = 'ts', watermark_delay = '0 s', partitions = 1);\n";

std::string ViewOf(const std::string& expression) {
  return std::string(kHead) + "CREATE MATERIALIZED VIEW r AS SELECT " + expression +
         " AS x, window_start, window_end, count(*) AS n FROM tumble(s, ts, INTERVAL '1 s') GROUP "
         "BY " +
         expression + ", window_start, window_end;";
}

/// What the error for the form says to write.
std::string Hint(const std::string& form) {
  const auto refused = PlanScript(ViewOf(form));
  REQUIRE_FALSE(refused.ok());
  const std::string& message = refused.error().message;
  const size_t at = message.find("hint: write ");
  REQUIRE(at != std::string::npos);
  const std::string hint = message.substr(at + 12);
  // What stands behind a blank and a parenthesis is for people.
  return hint.substr(0, hint.find(" (a NaN"));
}

/// The value of an expression over one event. Columns as text, empty: NULL.
std::string ValueOf(const std::string& expression, const std::string& a, const std::string& b,
                    const std::string& p, const std::string& d) {
  const auto statements = PlanScript(ViewOf(expression));
  INFO(expression << (statements.ok() ? "" : statements.error().message));
  REQUIRE(statements.ok());
  const FoldSpec spec{std::get<StreamSpec>(statements->at(0)),
                      std::get<PipelineSpec>(statements->at(1)), PartitionId(0), kMinusInfinity};
  ShardFold fold(spec);
  BatchBuilder builder(spec.stream);
  builder.BeginRecord(Offset(0), 0);
  // A column that no row appends to is NULL.
  builder.column(0).AppendInteger(0);
  if (!a.empty()) builder.column(1).AppendInteger(std::stoll(a));
  if (!b.empty()) builder.column(2).AppendInteger(std::stoll(b));
  if (!p.empty()) builder.column(3).AppendInteger(p == "true" ? 1 : 0);
  if (!d.empty()) builder.column(4).AppendDouble(std::stod(d));
  builder.EndRow(-1, 0);
  fold.Add(builder.Build());
  fold.Apply(Advance{Offset(1), 0, kPlusInfinity});
  for (const OutputRow& row : TakeRows(&fold))
    if (row.output == Output::kResults) return ValueText(row.values.at(0));
  return "no row";
}

/// `text` with the name x replaced.
std::string WithX(std::string text, const std::string& column) {
  for (size_t i = 0; (i = text.find('x', i)) != std::string::npos; ++i) {
    const auto part = [&](size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    if (!part(i + 1) && (i == 0 || !part(i - 1))) text.replace(i, 1, column);
  }
  return text;
}

}  // namespace

TEST_CASE("the hint for a form of two operands has the value that PostgreSQL gives the form") {
  struct Case {
    std::string form;
    std::vector<std::string> postgres;  ///< for the operands below
  };
  const auto c = GENERATE(values<Case>({
      {"least(a, b)", {"NULL", "1", "1", "1", "1", "1"}},
      {"greatest(a, b)", {"NULL", "1", "1", "2", "2", "1"}},
      {"a IS DISTINCT FROM b", {"false", "true", "true", "true", "true", "false"}},
      {"a IS NOT DISTINCT FROM b", {"true", "false", "false", "false", "false", "true"}},
  }));
  const std::vector<std::pair<std::string, std::string>> operands = {
      {"", ""}, {"", "1"}, {"1", ""}, {"1", "2"}, {"2", "1"}, {"1", "1"}};
  const std::string hint = Hint(c.form);
  for (size_t i = 0; i < operands.size(); ++i) {
    CAPTURE(c.form, hint, operands[i].first, operands[i].second);
    CHECK(ValueOf(hint, operands[i].first, operands[i].second, "", "") == c.postgres[i]);
  }
}

TEST_CASE("the hint for a form of a boolean has the value that PostgreSQL gives the form") {
  struct Case {
    std::string form;
    std::vector<std::string> postgres;  ///< for NULL, true, false
  };
  const auto c = GENERATE(values<Case>({
      {"p IS TRUE", {"false", "true", "false"}},
      {"p IS NOT TRUE", {"true", "false", "true"}},
      {"p IS FALSE", {"false", "false", "true"}},
      {"p IS NOT FALSE", {"true", "true", "false"}},
      {"p IS UNKNOWN", {"true", "false", "false"}},
      {"p IS NOT UNKNOWN", {"false", "true", "true"}},
  }));
  const std::string hint = WithX(Hint(c.form), "p");
  const std::vector<std::string> operands = {"", "true", "false"};
  for (size_t i = 0; i < operands.size(); ++i) {
    CAPTURE(c.form, hint, operands[i]);
    CHECK(ValueOf(hint, "", "", operands[i], "") == c.postgres[i]);
  }
}

TEST_CASE("the hint for sign and abs has the value that PostgreSQL gives the function") {
  const std::string sign = Hint("sign(a)");
  const std::string abs = Hint("abs(a)");
  const std::vector<std::string> ints = {"", "-7", "0", "7"};
  const std::vector<std::string> doubles = {"", "-1.5", "-0", "2.5"};
  const std::vector<std::string> signs = {"NULL", "-1", "0", "1"};
  const std::vector<std::string> int_sizes = {"NULL", "7", "0", "7"};
  const std::vector<std::string> double_sizes = {"NULL", "1.5", "0", "2.5"};
  for (size_t i = 0; i < 4; ++i) {
    CAPTURE(sign, abs, i);
    CHECK(ValueOf(WithX(sign, "a"), ints[i], "", "", "") == signs[i]);
    CHECK(ValueOf(WithX(sign, "d"), "", "", "", doubles[i]) == signs[i]);
    CHECK(ValueOf(WithX(abs, "a"), ints[i], "", "", "") == int_sizes[i]);
    CHECK(ValueOf(WithX(abs, "d"), "", "", "", doubles[i]) == double_sizes[i]);
  }
}
