#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "millrace/serving/serving_writer.h"
#include "millrace/serving/table_shape.h"

namespace millrace::serving_postgres {

/// The table of one output of one incarnation, as SQL. Names are unquoted.
struct TableSql {
  std::string schema;  ///< the namespace
  std::string view;
  std::string table;
  Output output = Output::kResults;
  std::vector<ServingColumn> columns;
  std::vector<std::string> names;  ///< of `columns`, in the table
  std::vector<size_t> keys;        ///< group columns that have an index, in GROUP BY order

  std::string Name() const;  ///< quoted, with its schema
};

/// Group columns behind these have no index: each costs at every row.
inline constexpr size_t kIndexedKeys = 4;
/// PostgreSQL takes 1,600, and `_deleted` is one.
inline constexpr size_t kMaxColumns = 1'599;
/// PostgreSQL cuts longer names.
inline constexpr size_t kMaxNameBytes = 63;

std::string Quoted(std::string_view name);

/// A table whose columns and keys are known.
TableSql MakeTable(const Incarnation& incarnation, Output output,
                   std::vector<ServingColumn> columns, std::vector<size_t> keys);
/// The group columns of a SELECT that are indexed.
std::vector<size_t> IndexedKeys(const PipelineSpec& pipeline);
/// kInvalidArgument: PostgreSQL cannot have such a table.
Status CheckTable(const TableSql& table);

/// The store's own schema and tables. Idempotent.
std::vector<std::string> CreateOwnTables();
/// The table, its schema and its indexes. Idempotent.
std::vector<std::string> CreateTable(const TableSql& table);
std::string CreateView(const TableSql& table);

/// Rows from one array for each column, then for results one of `_deleted`.
std::string Upsert(const TableSql& table);
/// A column so that DecodeCell reads it.
std::string ReadColumn(const TableSql& table, size_t column);
/// The beginning of `_key` by which rows are read, which an index can hold whatever the key's
/// length.
inline constexpr std::string_view kKeyOrder = "substring(_key, 1, 256)";

}  // namespace millrace::serving_postgres
