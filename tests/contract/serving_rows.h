#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/serving/serving_reader.h"
#include "millrace/serving/serving_writer.h"
#include "support/test_executor.h"

namespace millrace::test {

inline StreamSpec ServingStream() {
  StreamSpec s;
  s.name = "s";
  s.columns = {
      {"ts", Type::kTimestamp, true}, {"k", Type::kText, false}, {"row", Type::kInt, false}};
  return s;
}

/// SELECT k, window_start, window_end, n, mean, total, flag ... GROUP BY k.
inline PipelineSpec ServingPipeline() {
  PipelineSpec p;
  p.name = "r";
  p.stream = "s";
  p.window = {WindowKind::kTumble, 10 * kSecond, 10 * kSecond, 0, "", {}, 1};
  GroupColumn k;
  k.expr = {Expr::Op::kColumn, Type::kText, 1, false, 0, 0, "", {}};
  p.group_by = {k};
  const auto column = [&](std::string name, Type type, int32_t group) {
    OutputColumn c;
    c.name = std::move(name);
    c.expr.op = Expr::Op::kColumn;
    c.expr.type = type;
    c.group_column = group;
    p.select.push_back(c);
  };
  column("k", Type::kText, 0);
  column("window_start", Type::kTimestamp, -1);
  column("window_end", Type::kTimestamp, -1);
  column("n", Type::kBigint, -1);
  column("mean", Type::kDouble, -1);
  column("total", Type::kNumeric, -1);
  column("flag", Type::kBool, -1);
  return p;
}

inline ShardId ServingShard(int64_t defined_at = 17, int32_t partition = 2) {
  return {{"default", "r", Offset(defined_at)}, PartitionId(partition)};
}

/// A result (or provisional) row of window [start, start + 10 s) with `n` as its values.
inline OutputRow ServingRow(int64_t seq, std::optional<std::string> key, int64_t start_s, int64_t n,
                            int64_t revision = 1, Output output = Output::kResults) {
  OutputRow row;
  row.output = output;
  row.seq = seq;
  row.cause = Offset(100 + seq);
  row.caused_at = 1'000'000'000 * kSecond + seq;
  row.window_start = start_s * kSecond;
  row.window_end = (start_s + 10) * kSecond;
  ColumnData k(Type::kText);
  key ? k.AppendText(*key) : k.AppendNull();
  AppendKeyValue(&row.key, k.View(), 0);
  row.revision = revision;
  row.values = {Value::From(k.View(), 0),
                {Type::kTimestamp, row.window_start},
                {Type::kTimestamp, row.window_end},
                {Type::kBigint, n},
                {Type::kDouble, static_cast<double>(n) / 4},
                {Type::kNumeric, kMaxNumeric - n},
                {Type::kBool, n % 2}};
  return row;
}

/// Batches of one output at a time, as an owner of shards makes them who knows where their fences
/// stand. The chain hash that a row has here is a function of its number.
class ServingBatches {
 public:
  static LastRow At(int64_t seq) {
    return {seq, seq == 0 ? Hash128() : Hash128{static_cast<uint64_t>(seq), 0x0123456789abcdef}};
  }
  ServingBatch Make(const ShardId& shard, Epoch epoch, Output output, int64_t low, int64_t high,
                    std::vector<OutputRow> rows) {
    ServingBatch batch{shard, epoch, at_[shard], at_[shard], std::move(rows)};
    batch.from[static_cast<size_t>(output)] = At(low);
    batch.to[static_cast<size_t>(output)] = At(high);
    return batch;
  }
  /// Makes a batch and applies it.
  template <typename Store>
  Status Apply(TestExecutor& executor, Store* store, const ShardId& shard, Epoch epoch,
               Output output, int64_t low, int64_t high, std::vector<OutputRow> rows) {
    const ServingBatch batch = Make(shard, epoch, output, low, high, std::move(rows));
    const Status applied = executor.RunUntilDone(store->Apply(batch));
    if (applied.ok()) at_[shard] = batch.to;
    return applied;
  }

 private:
  std::map<ShardId, LastRows> at_;
};

inline OutputRow Deleted(OutputRow row) {
  row.deleted = true;
  for (size_t i = 3; i < row.values.size(); ++i) row.values[i].data = std::monostate();
  return row;
}

inline std::string TableText(const ServingTable& table) {
  std::string text;
  for (const auto& row : table.rows) {
    for (const Value& v : row) text += ValueText(v) + ",";
    text.back() = '\n';
  }
  return text;
}

}  // namespace millrace::test
