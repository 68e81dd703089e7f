#include "millrace/serving/table_shape.h"

#include <limits>

#include "millrace/base/facts.h"
#include "support/catch.h"

namespace millrace {
namespace {

const std::string kNull(1, '\0');

Expr GroupRowColumn(int32_t index, Type type) {
  Expr e;
  e.op = Expr::Op::kColumn;
  e.index = index;
  e.type = type;
  return e;
}

/// SELECT shop, size, window_start, count(*) AS n, size + ... AS more ... GROUP BY shop, size, ...
PipelineSpec PerShop() {
  PipelineSpec p;
  p.name = "per_shop";
  p.group_by = {{GroupRowColumn(0, Type::kText)}, {GroupRowColumn(1, Type::kInt)}};
  p.select = {{"shop", GroupRowColumn(0, Type::kText), 0},
              {"size", GroupRowColumn(1, Type::kInt), 1},
              {"window_start", GroupRowColumn(2, Type::kTimestamp), -1},
              {"n", GroupRowColumn(4, Type::kBigint), -1}};
  Expr more = GroupRowColumn(1, Type::kInt);
  more.op = Expr::Op::kNegate;
  p.select.push_back({"more", more, -1});
  return p;
}

Status Check(const std::string& column, const std::string& value) {
  ServingQuery query;
  query.keys = {{column, value}};
  return CheckKeys(PerShop(), query);
}

}  // namespace

TEST_CASE("keys are values of group columns and of the window's bounds") {
  CHECK(Check("shop", "north").ok());
  CHECK(Check("shop", kNull).ok());
  CHECK(Check("size", "-5").ok());
  CHECK(Check("window_start", "2001-01-01T00:00:00Z").ok());
  const std::string other = GENERATE("n", "more", "nothing", "_seq", "");
  const Status refused = Check(other, "1");
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == Code::kInvalidArgument);
  CHECK(refused.error().message ==
        "a key is a value of a group column, which are: shop, size, window_start; filter others in "
        "SQL: column=" +
            FactText(other) + " pipeline=per_shop");
}

TEST_CASE("late columns have names of their own, regardless of case") {
  StreamSpec stream;
  for (const char* name :
       {"Partition", "partition_", "Row", "OFFSET", "Missed", "First_Missed_End"})
    stream.columns.push_back({name, Type::kText, false});
  std::string names;
  const auto columns = ServingColumns(stream, PerShop(), Output::kLate);
  for (size_t i = 7; i < columns.size(); ++i) names += columns[i].name + " ";
  CHECK(names ==
        "Partition_ partition__ Row_ OFFSET_ Missed_ First_Missed_End_ _shard _seq _updated_at ");
  CHECK(CheckServingTables(stream, PerShop()).ok());
}

TEST_CASE("tables that a store cannot have are refused before there are any") {
  const auto message = [](const PipelineSpec& pipeline) {
    const Status status = CheckServingTables({}, pipeline);
    REQUIRE(!status.ok());
    CHECK(status.error().code == Code::kInvalidArgument);
    return status.error().message;
  };
  const std::string name = GENERATE("SHOP", "_Key", "_DELETED", "");
  PipelineSpec clash = PerShop();
  clash.select.back().name = name;
  CHECK(message(clash) ==
        "a result column needs a name of its own, regardless of case: rename it with AS: column=" +
            FactText(name == "_Key" ? "_key" : name) + " view=per_shop");
  PipelineSpec own = PerShop();
  own.name = "sqlite_sales";
  CHECK_THAT(message(own), EndsWith("choose another name for the view: view=sqlite_sales"));
  PipelineSpec wide = PerShop();
  for (size_t i = wide.select.size(); i < kMaxServingColumns - 7; ++i)
    wide.select.push_back({"c" + std::to_string(i), {}, -1});
  CHECK_THAT(message(wide), EndsWith("columns=2000 limit=1999"));
  wide.select.pop_back();
  CHECK(CheckServingTables({}, wide).ok());
  // A store may need a second column for the digits of a numeric one.
  wide.select.back().expr.type = Type::kNumeric;
  CHECK_THAT(message(wide), EndsWith("columns=2000 limit=1999"));
}

TEST_CASE("a key that is no value of its column names both and what was expected") {
  CHECK(Check("size", "two").error().message ==
        "a key is not a value of its column: expected an integer from -2147483648 to 2147483647: "
        "column=size type=int value=two");
  CHECK(!Check("size", "2147483648").ok());
  CHECK(!Check("size", "1.0").ok());
  CHECK(!Check("size", "").ok());
  CHECK(!Check("window_start", "yesterday").ok());
}

TEST_CASE("keys are read by their column's type") {
  const auto parsed = [](Type type, const std::string& text) {
    return ValueText(ParseKeyText("c", type, text).value());
  };
  CHECK(parsed(Type::kBigint, "9223372036854775807") == "9223372036854775807");
  CHECK(parsed(Type::kNumeric, "-99999999999999999999999999999999999999") ==
        "-99999999999999999999999999999999999999");
  CHECK(parsed(Type::kNumeric, "007") == "7");
  CHECK(parsed(Type::kDouble, "0.5e1") == "5");
  CHECK(parsed(Type::kDouble, "-Infinity") == "-Infinity");
  CHECK(parsed(Type::kDouble, "NaN") == "NaN");
  CHECK(parsed(Type::kBool, "true") == "true");
  CHECK(parsed(Type::kTimestamp, "2001-01-01T01:00:00+01:00") == "2001-01-01T00:00:00.000000Z");
  for (const Type type : {Type::kInt, Type::kBigint, Type::kNumeric, Type::kDouble, Type::kBool,
                          Type::kText, Type::kTimestamp}) {
    CHECK(ParseKeyText("c", type, kNull).value().is_null());
    if (type != Type::kText) CHECK(!ParseKeyText("c", type, "NULL").ok());
  }
  const std::string none =
      GENERATE("100000000000000000000000000000000000000", "1.5", "", "-", "+1", " 1");
  CHECK(!ParseKeyText("c", Type::kNumeric, none).ok());
  const std::string no_double = GENERATE("nan", "-nan", "nan(x)", "inf", "infinity", "+5", "");
  CHECK(!ParseKeyText("c", Type::kDouble, no_double).ok());
}

}  // namespace millrace
