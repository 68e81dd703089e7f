#include "tables.h"

#include <map>

#include "sqlite.h"

namespace millrace::serving_sqlite {

std::string TableName(const Incarnation& incarnation, Output output) {
  return ServingViewName(incarnation.name_space, incarnation.name, output) + "@" +
         std::to_string(incarnation.defined_at.value);
}

TableSql MakeTable(const Incarnation& incarnation, const StreamSpec& stream,
                   const PipelineSpec& pipeline, Output output) {
  TableSql t;
  t.view = ServingViewName(incarnation.name_space, incarnation.name, output);
  t.table = TableName(incarnation, output);
  t.output = output;
  t.columns = ServingColumns(stream, pipeline, output);
  std::vector<ServingColumn> taken = t.columns;
  for (size_t i = 0; i < t.columns.size(); ++i) {
    if (t.columns[i].type != Type::kNumeric) continue;
    t.exact.emplace_back(i, FreeColumnName(taken, t.columns[i].name + "__exact"));
    taken.push_back({t.exact.back().second, Type::kText, false});
  }
  if (output == Output::kResults) {
    std::map<int32_t, size_t> by_group;
    for (size_t i = 0; i < pipeline.select.size(); ++i) {
      if (pipeline.select[i].group_column >= 0)
        by_group.try_emplace(pipeline.select[i].group_column, i);
    }
    for (const auto& [group, column] : by_group) {
      if (t.keys.size() < kIndexedKeys) t.keys.push_back(column);
    }
  }
  return t;
}

namespace {

/// `f(number's column, hash's column)` of every served output, with `between` in between.
template <typename F>
std::string OfOutputs(std::string_view between, F&& f) {
  std::string sql;
  for (const Output output : kServedOutputs) {
    const std::string name(OutputName(output));
    if (!sql.empty()) sql += between;
    sql += f(name + "_seq", name + "_hash");
  }
  return sql;
}

}  // namespace

std::string CreateOwnTables() {
  return "CREATE TABLE IF NOT EXISTS _millrace_fence (incarnation TEXT NOT NULL, partition INTEGER "
         "NOT NULL, epoch INTEGER NOT NULL, " +
         OfOutputs(", ",
                   [](const std::string& seq, const std::string& hash) {
                     return seq + " INTEGER NOT NULL DEFAULT 0, " + hash +
                            " BLOB NOT NULL DEFAULT (zeroblob(16))";
                   }) +
         ", PRIMARY KEY (incarnation, partition)) WITHOUT ROWID;"
         "CREATE TABLE IF NOT EXISTS _millrace_view (view TEXT NOT NULL PRIMARY KEY, namespace "
         "TEXT NOT NULL, name TEXT NOT NULL, defined_at INTEGER NOT NULL, longest_window INTEGER "
         "NOT NULL) WITHOUT ROWID;"
         "CREATE TABLE IF NOT EXISTS _millrace_cluster (one INTEGER PRIMARY KEY CHECK (one = 1), "
         "mark "
         "TEXT NOT NULL);"
         "PRAGMA user_version = 3";
}

std::string TakeFence() {
  return "INSERT INTO _millrace_fence (incarnation, partition, epoch) VALUES (?, ?, ?) ON CONFLICT "
         "DO UPDATE SET epoch = excluded.epoch WHERE epoch < excluded.epoch";
}

std::string ReadFence() {
  return "SELECT epoch, " +
         OfOutputs(", ", [](const auto& seq, const auto& hash) { return seq + ", " + hash; }) +
         " FROM _millrace_fence WHERE incarnation = ? AND partition = ?";
}

std::string MoveFence() {
  const auto set = [](const std::string& seq, const std::string& hash) {
    return seq + " = ?, " + hash + " = ?";
  };
  const auto is = [](const std::string& seq, const std::string& hash) {
    return seq + " = ? AND " + hash + " = ?";
  };
  return "UPDATE _millrace_fence SET " + OfOutputs(", ", set) +
         " WHERE incarnation = ? AND partition = ? AND epoch = ? AND " + OfOutputs(" AND ", is);
}

std::string ShardsWith(Output output) {
  return "SELECT incarnation || '/p' || partition FROM _millrace_fence WHERE " +
         std::string(OutputName(output)) + "_seq > 0";
}

std::string CreateTable(const TableSql& table) {
  const bool results = table.output == Output::kResults;
  std::string sql = "CREATE TABLE IF NOT EXISTS " + Quoted(table.table) + " (";
  for (const ServingColumn& c : table.columns) {
    const bool key = c.name == "_key";
    sql += Quoted(c.name) + " " + std::string(key ? "BLOB" : DeclaredType(c.type)) +
           (c.meta ? " NOT NULL" : "") + ", ";
  }
  for (const auto& [numeric, name] : table.exact)
    sql += Quoted(name) + " " + std::string(kExactDeclared) + ", ";
  // The primary keys are the orders in which rows are read. With it at hand an index on one column
  // gives its rows in that order too.
  sql += results ? "_deleted BOOLEAN NOT NULL, PRIMARY KEY (_key)) WITHOUT ROWID"
                 : "PRIMARY KEY (\"partition\", _seq)) WITHOUT ROWID";
  for (size_t i = 0; i < table.keys.size(); ++i) {
    sql += "; CREATE INDEX IF NOT EXISTS " + Quoted(table.table + "_key" + std::to_string(i + 1)) +
           " ON " + Quoted(table.table) + " (" + Quoted(table.columns[table.keys[i]].name) + ")";
  }
  return sql;
}

std::string CreateView(const TableSql& table) {
  std::string sql = "CREATE VIEW " + Quoted(table.view) + " AS SELECT ";
  for (const ServingColumn& c : table.columns) {
    sql += (&c == &table.columns.front() ? "" : ", ") + Quoted(c.name);
    // SQLite gives a view's column of such a name another one, and takes "true" for a constant.
    if (sqlite3_stricmp(c.name.c_str(), "true") == 0 ||
        sqlite3_stricmp(c.name.c_str(), "false") == 0)
      sql += " AS " + Quoted(FreeColumnName(table.columns, c.name));
  }
  for (const auto& [numeric, name] : table.exact) sql += ", " + Quoted(name);
  sql += " FROM " + Quoted(table.table);
  return table.output == Output::kResults ? sql + " WHERE NOT _deleted" : sql;
}

std::string Upsert(const TableSql& table) {
  std::string sql = "INSERT INTO " + Quoted(table.table) + " (";
  std::string marks;
  std::string sets;
  const auto add = [&](const std::string& quoted) {
    const char* comma = marks.empty() ? "" : ", ";
    sql += comma + quoted;
    marks += std::string(comma) + "?";
    if (quoted != "\"_key\"")
      sets += std::string(sets.empty() ? "" : ", ") + quoted + " = excluded." + quoted;
  };
  for (const ServingColumn& c : table.columns) add(Quoted(c.name));
  for (const auto& [numeric, name] : table.exact) add(Quoted(name));
  if (table.output != Output::kResults)
    return sql + ") VALUES (" + marks + ") ON CONFLICT DO NOTHING";
  add("_deleted");
  const std::string stands = Quoted(table.table);
  return sql + ") VALUES (" + marks + ") ON CONFLICT (_key) DO UPDATE SET " + sets + " WHERE " +
         stands + "._shard = excluded._shard AND (" + stands + "._revision > 0, " + stands +
         "._seq) < (excluded._revision > 0, excluded._seq)";
}

std::string OldestIsBefore(const std::string& table) {
  return "SELECT EXISTS (SELECT 1 FROM (SELECT _updated_at FROM " + Quoted(table) +
         " WHERE \"partition\" = ?1 ORDER BY _seq LIMIT ?3) WHERE _updated_at < ?2)";
}

std::string DeleteOldest(const std::string& table) {
  return "DELETE FROM " + Quoted(table) +
         " WHERE \"partition\" = ?1 AND _seq IN (SELECT _seq FROM (SELECT _seq, _updated_at FROM " +
         Quoted(table) +
         " WHERE \"partition\" = ?1 ORDER BY _seq LIMIT ?3) WHERE _updated_at < ?2)";
}

}  // namespace millrace::serving_sqlite
