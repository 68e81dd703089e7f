#pragma once

#include <cmath>

#include "millrace/resultfile/result_file.h"
#include "support/catch.h"
#include "support/test_executor.h"
#include "support/vector_rows.h"

namespace millrace::test {

inline std::vector<OutputColumn> FileColumns() {
  std::vector<OutputColumn> columns;
  for (const auto& [name, type] :
       {std::pair("i", Type::kInt), std::pair("b", Type::kBigint), std::pair("d", Type::kDouble),
        std::pair("t", Type::kText), std::pair("o", Type::kBool), std::pair("u", Type::kTimestamp),
        std::pair("n", Type::kNumeric)}) {
    OutputColumn c;
    c.name = name;
    c.expr.type = type;
    columns.push_back(c);
  }
  return columns;
}

/// Every third value of a column is NULL.
inline std::vector<OutputRow> FileRows(int64_t count) {
  std::vector<OutputRow> rows;
  for (int64_t i = 0; i < count; ++i) {
    OutputRow row;
    row.output = Output::kFiles;
    row.seq = 100 + i;
    row.result_seq = 2 * i;
    row.revision = 1 + i % 3;
    row.values = {{Type::kInt, -i},
                  {Type::kBigint, i << 40},
                  {Type::kDouble, i == 4 ? std::nan("") : static_cast<double>(i) / 8},
                  {Type::kText, "text \xc3\xa9 " + std::to_string(i)},
                  {Type::kBool, i % 2},
                  {Type::kTimestamp, kMinEventTime + i},
                  {Type::kNumeric, i % 2 ? kMaxNumeric - i : -kMaxNumeric + i}};
    for (size_t c = 0; c < row.values.size(); ++c)
      if ((static_cast<size_t>(i) + c) % 3 == 2) row.values[c].data = std::monostate();
    rows.push_back(std::move(row));
  }
  return rows;
}

/// What every body of the port `resultfile` promises.
inline void CheckResultFileContract(TestExecutor& executor, ResultFileWriter& writer) {
  const auto columns = FileColumns();
  const auto encode = [&](std::vector<OutputRow> rows) {
    auto source = std::make_shared<VectorRows>(std::move(rows));
    return executor.RunUntilDone(writer.Encode(columns, std::move(source)));
  };

  SECTION("the same rows give the same bytes, other rows others") {
    const auto rows = FileRows(300);
    const std::string bytes(encode(rows).value().bytes);
    CHECK_FALSE(bytes.empty());
    CHECK(encode(rows).value().bytes == bytes);
    auto other = rows;
    other[299].values[1].data = int64_t{1};
    CHECK(encode(other).value().bytes != bytes);
    other = rows;
    other[0].revision = 9;
    CHECK(encode(other).value().bytes != bytes);
  }

  SECTION("an error of whoever makes the rows is given back") {
    struct Broken : FileRows {
      Result<std::vector<OutputRow>> Next(size_t) override { return Internal("broken"); }
    };
    auto source = std::make_shared<Broken>();
    const auto refused = executor.RunUntilDone(writer.Encode(columns, source));
    CHECK(refused.error().message == "broken");
  }

  SECTION("rows that are not file rows of these columns are our bug") {
    auto rows = FileRows(2);
    switch (GENERATE(0, 1, 2, 3, 4, 5)) {
      case 0:
        rows[1].output = Output::kResults;
        break;
      case 1:
        rows[1].file_end = true;
        break;
      case 4:
        std::swap(rows[0], rows[1]);
        break;
      case 5:
        ++rows[1].seq;
        break;
      case 2:
        rows[1].values.pop_back();
        break;
      default:
        rows[1].values[0].type = Type::kBigint;
    }
    CHECK(encode(rows).error().code == Code::kInternal);
  }
}

}  // namespace millrace::test
