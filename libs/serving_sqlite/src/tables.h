#pragma once

#include <string>
#include <vector>

#include "millrace/serving/table_shape.h"

namespace millrace::serving_sqlite {

/// The table of one output of one incarnation, as SQL.
struct TableSql {
  std::string view;   ///< unquoted
  std::string table;  ///< unquoted: "<view>@<offset>"
  Output output = Output::kResults;
  std::vector<ServingColumn> columns;
  /// Columns of `columns` that make the index of result tables, in GROUP BY order.
  std::vector<size_t> keys;
};

/// Unquoted: of the table of any output but kProvisional.
std::string TableName(const Incarnation& incarnation, Output output);

TableSql MakeTable(const Incarnation& incarnation, const StreamSpec& stream,
                   const PipelineSpec& pipeline, Output output);

/// The store's own tables. Idempotent.
std::string CreateOwnTables();
/// The table and its index. Idempotent.
std::string CreateTable(const TableSql& table);
/// Without a view of the name before it.
std::string CreateView(const TableSql& table);
/// One row: the cells of ServingCells, then for results `_deleted`.
std::string Upsert(const TableSql& table);
/// Of a late or quarantine table: whether the first row of shard ?1 is older than ?2. No row: it
/// has none.
std::string OldestIsBefore(const std::string& table);
/// Of a late or quarantine table: deletes those of the first ?3 rows of shard ?1 that are older
/// than ?2.
std::string DeleteOldest(const std::string& table);

}  // namespace millrace::serving_sqlite
