#pragma once

#include <string>
#include <vector>

#include "millrace/serving/serving_writer.h"
#include "millrace/serving/table_shape.h"

namespace millrace::serving_sqlite {

/// The table of one output of one incarnation, as SQL.
struct TableSql {
  std::string view;   ///< unquoted
  std::string table;  ///< unquoted: "<view>@<offset>"
  Output output = Output::kResults;
  std::vector<ServingColumn> columns;
  /// Behind `columns`, for each numeric one: its place there, and the name of the column with the
  /// digits of those values that no integer holds.
  std::vector<std::pair<size_t, std::string>> exact;
  /// Group columns of `columns` that result tables have an index on each, in GROUP BY order.
  std::vector<size_t> keys;
};

/// Group columns behind these have no index: each costs at every row.
inline constexpr size_t kIndexedKeys = 4;

/// Unquoted: of the table of any output but kProvisional.
std::string TableName(const Incarnation& incarnation, Output output);

TableSql MakeTable(const Incarnation& incarnation, const StreamSpec& stream,
                   const PipelineSpec& pipeline, Output output);

/// The store's own tables. Idempotent.
std::string CreateOwnTables();
/// Makes epoch ?3 the owner of shard (?1, ?2), unless its fence has that epoch or a newer one.
std::string TakeFence();
/// The fence of shard (?1, ?2): its epoch, then number and hash of each served output.
std::string ReadFence();
/// Sets number and hash of each served output; of the shard, epoch, numbers and hashes behind them.
std::string MoveFence();
/// Names of the shards that have given this output rows.
std::string ShardsWith(Output output);
/// The table and its indexes. Idempotent.
std::string CreateTable(const TableSql& table);
/// Without a view of the name before it.
std::string CreateView(const TableSql& table);
/// One row: the cells of ServingCells, those of the exact columns, then for results `_deleted`.
std::string Upsert(const TableSql& table);
/// Of a late or quarantine table: whether one of the first ?3 rows of partition ?1 is older
/// than ?2.
std::string OldestIsBefore(const std::string& table);
/// Of a late or quarantine table: deletes those of the first ?3 rows of partition ?1 that are older
/// than ?2.
std::string DeleteOldest(const std::string& table);

}  // namespace millrace::serving_sqlite
