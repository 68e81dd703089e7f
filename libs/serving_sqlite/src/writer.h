#pragma once

#include <map>
#include <optional>

#include "millrace/serving/serving_store.h"
#include "sqlite.h"
#include "tables.h"

namespace millrace::serving_sqlite {

/// What ServingStore promises, on one connection. Threads: one.
class Writer {
 public:
  /// The connection outlives it.
  explicit Writer(Connection* connection) : connection_(connection) {}

  Status Define(const Incarnation& incarnation, const StreamSpec& stream,
                const PipelineSpec& pipeline);
  Status DropViews(const Incarnation& incarnation);
  Result<Fence> TakeOver(const ShardId& shard, Output output, Epoch epoch);
  Result<std::optional<Fence>> ReadFence(const ShardId& shard, Output output);
  Status Apply(const ServingBatch& batch);
  Result<int64_t> DeleteRaw(Micros appended_before, int64_t max_rows);

 private:
  struct Defined {
    PipelineSpec pipeline;
    std::map<Output, TableSql> tables;
  };

  Status ShowInView(const Incarnation& incarnation, const TableSql& table, Micros longest_window);
  Status MoveFence(const ServingBatch& batch);
  Status WriteRows(const ServingBatch& batch, const Defined& incarnation);
  Result<int64_t> DeleteRawOf(const ShardId& shard, Output output, Micros appended_before,
                              int64_t max_rows);

  Connection* const connection_;
  std::map<Incarnation, Defined> defined_;
};

}  // namespace millrace::serving_sqlite
