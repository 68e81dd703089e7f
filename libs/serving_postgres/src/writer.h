#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "connection.h"
#include "millrace/serving/serving_writer.h"
#include "tables.h"

namespace millrace::serving_postgres {

/// What ServingTables and ServingWriter promise, each call on the connection that it is given.
/// Threads: any.
class Writer {
 public:
  Result<std::string> ReadMark(Connection& connection);
  Result<std::string> Mark(Connection& connection, const std::string& mark, bool replace);
  Status Define(Connection& connection, const Incarnation& incarnation, const StreamSpec& stream,
                const PipelineSpec& pipeline);
  Status DropViews(Connection& connection, const Incarnation& incarnation);
  Result<std::vector<Incarnation>> ListViews(Connection& connection);
  Status Attach(Connection& connection, const Incarnation& incarnation, const StreamSpec& stream,
                const PipelineSpec& pipeline);
  Result<Fence> TakeOver(Connection& connection, const ShardId& shard, Epoch epoch);
  Result<std::vector<std::optional<Fence>>> ReadFences(Connection& connection,
                                                       const std::vector<ShardId>& shards);
  Status Apply(Connection& connection, const ServingBatch& batch);
  Result<int64_t> DeleteRaw(Connection& connection, Micros appended_before, int64_t max_rows);

 private:
  struct Attached {
    PipelineSpec pipeline;
    std::map<Output, TableSql> tables;
  };
  using Rows = std::map<std::string, const OutputRow*>;

  Status ShowInView(Connection& connection, const Incarnation& incarnation, const TableSql& table,
                    Micros longest_window);
  Status TryApply(Connection& connection, const ServingBatch& batch, const Attached& incarnation);
  Status WriteRows(Connection& connection, const ServingBatch& batch, const Attached& incarnation);
  Status WriteTable(Connection& connection, const ShardId& shard, const PipelineSpec& pipeline,
                    const TableSql& table, const Rows& rows);
  Error NameRow(Connection& connection, const ServingBatch& batch, const Attached& incarnation,
                Error refused);

  std::mutex mutex_;
  std::map<Incarnation, std::shared_ptr<const Attached>> attached_;
};

}  // namespace millrace::serving_postgres
