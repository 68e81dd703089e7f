#pragma once

#include <map>
#include <optional>

#include "millrace/serving/serving_writer.h"
#include "sqlite.h"
#include "tables.h"

namespace millrace::serving_sqlite {

/// What ServingTables and ServingWriter promise, on one connection. Threads: one.
class Writer {
 public:
  /// The connection outlives it.
  explicit Writer(Connection* connection) : connection_(connection) {}

  Result<std::string> ReadMark();
  Result<std::string> Mark(const std::string& mark, bool replace);
  Status Define(const Incarnation& incarnation, const StreamSpec& stream,
                const PipelineSpec& pipeline);
  Status DropViews(const Incarnation& incarnation);
  Result<std::vector<Incarnation>> ListViews();
  Status Attach(const Incarnation& incarnation, const StreamSpec& stream,
                const PipelineSpec& pipeline);
  Result<Fence> TakeOver(const ShardId& shard, Epoch epoch);
  Result<std::vector<std::optional<Fence>>> ReadFences(const std::vector<ShardId>& shards);
  Status Apply(const ServingBatch& batch);
  Result<int64_t> DeleteRaw(Micros appended_before, int64_t max_rows);

 private:
  struct Attached {
    PipelineSpec pipeline;
    std::map<Output, TableSql> tables;
  };

  Result<bool> HasTable(const std::string& name);

  Status ShowInView(const Incarnation& incarnation, const TableSql& table, Micros longest_window);
  Status MoveFence(const ServingBatch& batch);
  Status WriteRows(const ServingBatch& batch, const Attached& incarnation);
  Status WriteRow(const ShardId& shard, const PipelineSpec& pipeline, const TableSql& table,
                  const OutputRow& row, Statement* upsert);
  Result<int64_t> DeleteRawOf(const ShardId& shard, Output output, Micros appended_before,
                              int64_t max_rows);

  Connection* const connection_;
  std::map<Incarnation, Attached> attached_;
};

}  // namespace millrace::serving_sqlite
