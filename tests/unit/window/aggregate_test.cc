#include <cmath>
#include <limits>

#include "window_test_support.h"

using namespace millrace;
using namespace millrace::window;

TEST_CASE("aggregates have the types and the values of the rules") {
  const FoldSpec spec = Plan(
      kColumns, "watermark_delay = '0 seconds'",
      "CREATE MATERIALIZED VIEW r AS SELECT window_start, window_end, sum(i) AS si, sum(v) AS sv, "
      "sum(d) AS sd, avg(i) AS ai, avg(v) AS av, avg(d) AS ad, min(d) AS nd, max(d) AS xd, "
      "count(v) AS cv, min(ts) AS nt, sum(i) FILTER (WHERE i < 0) AS none FROM "
      "tumble(s, ts, INTERVAL '1 second') GROUP BY window_start, window_end;");
  ShardFold fold(spec);
  BatchBuilder builder(spec.stream);
  const int32_t most = std::numeric_limits<int32_t>::max();
  const int64_t large = std::numeric_limits<int64_t>::max();
  const double values[] = {-0.0, 0.1, 0.2};
  for (int row = 0; row < 3; ++row) {
    builder.BeginRecord(Offset(row), 0);
    const auto c = [&](size_t column) -> ColumnData& { return builder.column(column); };
    c(0).AppendInteger(row);
    c(1).AppendNull();
    row == 2 ? c(2).AppendNull() : c(2).AppendInteger(large - row);
    c(3).AppendInteger(most);
    c(4).AppendDouble(values[row]);
    builder.EndRow(-1, 0);
  }
  fold.Add(builder.Build());
  fold.Apply(Advance{Offset(3), 0, kPlusInfinity});
  const auto rows = TakeRows(&fold);
  REQUIRE(rows.size() == 3);  // the result, the file row and the file's end
  const auto& v = rows[0].values;
  CHECK(v[2] == Bigint(3 * int64_t{most}));
  CHECK(v[3] == Value{Type::kNumeric, Int128{large} * 2 - 1});
  CHECK(v[4] == Double(0.30000000000000004));  // the exact sum lies nearer to it than to 0.3
  CHECK(v[5] == Double(most));
  CHECK(v[6] == Double(0x1p63));
  CHECK(v[7] == Double(0.1));
  CHECK(v[8] == Double(0));
  CHECK_FALSE(std::signbit(std::get<double>(v[8].data)));
  CHECK(v[9] == Double(0.2));
  CHECK(v[10] == Bigint(2));
  CHECK(v[11] == Value{Type::kTimestamp, int64_t{0}});
  CHECK(v[12] == Null(Type::kBigint));
}

TEST_CASE("min and max of doubles: NaN is the largest, and the one NaN") {
  const FoldSpec spec =
      Plan(kColumns, "watermark_delay = '0 seconds'",
           "CREATE MATERIALIZED VIEW r AS SELECT d, window_start, window_end, min(d) AS lo, "
           "max(d) AS hi FROM tumble(s, ts, INTERVAL '1 second') GROUP BY d, window_start, "
           "window_end;");
  ShardFold fold(spec);
  BatchBuilder builder(spec.stream);
  builder.BeginRecord(Offset(0), 0);
  for (const double d : {std::nan("7"), -std::nan("9"), -0.0, 0.0}) {
    const auto c = [&](size_t column) -> ColumnData& { return builder.column(column); };
    c(0).AppendInteger(0);
    for (size_t i = 1; i < 4; ++i) c(i).AppendNull();
    c(4).AppendDouble(d);
    builder.EndRow(-1, 0);
  }
  fold.Add(builder.Build());
  fold.Apply(Advance{Offset(1), 0, kPlusInfinity});
  auto rows = TakeRows(&fold);
  std::erase_if(rows, [](const OutputRow& row) { return row.output != Output::kResults; });
  REQUIRE(rows.size() == 2);
  for (const size_t column : {0, 3, 4}) {
    const double zero = std::get<double>(rows[0].values[column].data);
    CHECK((zero == 0 && !std::signbit(zero)));
    const double nan = std::get<double>(rows[1].values[column].data);
    CHECK(std::bit_cast<uint64_t>(nan) == 0x7ff8000000000000);
  }
}
