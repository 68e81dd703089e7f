#pragma once

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "millrace/model/batch_builder.h"
#include "millrace/model/row.h"
#include "millrace/sql/planner.h"
#include "millrace/window/shard_fold.h"
#include "support/catch.h"
#include "support/output_rows.h"
#include "support/take_all.h"

namespace millrace::window {

/// Columns of most streams here.
inline constexpr const char* kColumns =
    "ts timestamptz NOT NULL, k text, v bigint, i int, d double precision";

/// A stream `s` and a view `r` on it, planned.
inline FoldSpec Plan(const std::string& columns, const std::string& stream_options,
                     const std::string& view) {
  const auto statements =
      PlanScript("CREATE TABLE s (" + columns + ") WITH (event_time = 'ts', partitions = 1, " +
                 stream_options + "); " + view);
  INFO((statements.ok() ? std::string() : statements.error().message));
  REQUIRE(statements.ok());
  return {std::get<StreamSpec>(statements.value()[0]),
          std::get<PipelineSpec>(statements.value()[1]), PartitionId(0), kMinusInfinity};
}

/// The chain hash behind the rows of a piece of output, made from their bytes.
inline Hash128 ChainOf(const OutputRows& piece) {
  Hash128 hash = piece.before;
  for (ByteReader in(piece.bytes); !in.done();) {
    const std::string_view bytes = in.Text();
    if (!DecodeRow(bytes).value().file_end) hash = ChainHash(hash, bytes);
  }
  return hash;
}

/// Rows of all outputs, in the order of each; checks that encoding a decoded row gives its bytes
/// back, and the chain hashes.
inline std::vector<OutputRow> TakeRows(ShardFold* fold) {
  std::vector<OutputRow> rows;
  for (const OutputRows& made : TakeAll(fold)) {
    std::string again;
    for (ByteReader in(made.bytes); !in.done();) EncodeRow(DecodeRow(&in).value(), &again);
    for (OutputRow& row : DecodeRows(made.bytes)) rows.push_back(std::move(row));
    CHECK(again == made.bytes);
    CHECK(ChainOf(made) == made.after);
  }
  return rows;
}

/// What stands in a table that takes every result row: values by (window start, end, key bytes).
using Standing = std::map<std::tuple<Micros, Micros, std::string>, std::vector<Value>>;
inline void Apply(const std::vector<OutputRow>& rows, Standing* table) {
  for (const OutputRow& row : rows) {
    if (row.output != Output::kResults) continue;
    const auto key = std::make_tuple(row.window_start, row.window_end, row.key);
    if (row.deleted) {
      table->erase(key);
    } else {
      (*table)[key] = row.values;
    }
  }
}

inline Value Bigint(int64_t v) { return {Type::kBigint, v}; }
inline Value Text(std::string v) { return {Type::kText, std::move(v)}; }
inline Value Double(double v) { return {Type::kDouble, v}; }
inline Value Null(Type type) { return {type, {}}; }

}  // namespace millrace::window
