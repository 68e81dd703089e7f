#include "tables.h"

#include <algorithm>
#include <map>

#include "millrace/base/facts.h"
#include "values.h"

namespace millrace::serving_postgres {
namespace {

/// Every table has columns of these names already.
constexpr std::string_view kSystemColumns[] = {"tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"};

/// A key may be longer than an index takes, so its hash is what is unique. One that nobody can
/// make collide: keys are the senders' text.
constexpr const char* kKeyHash = "substring(sha256(_key), 1, 16)";

}  // namespace

std::string Quoted(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string TableSql::Name() const { return Quoted(schema) + "." + Quoted(table); }

TableSql MakeTable(const Incarnation& incarnation, Output output,
                   std::vector<ServingColumn> columns, std::vector<size_t> keys) {
  TableSql t;
  t.schema = incarnation.name_space;
  t.view = ServingViewName("default", incarnation.name, output);
  // The offset tells incarnations apart, so the name before it is for the eye and may be cut.
  t.table = ServingViewName("default", incarnation.name.substr(0, 32), output) + "@" +
            std::to_string(incarnation.defined_at.value);
  t.output = output;
  t.columns = std::move(columns);
  t.keys = std::move(keys);
  std::vector<ServingColumn> taken = t.columns;
  for (const ServingColumn& c : t.columns) {
    std::string name = c.name;
    if (std::find(std::begin(kSystemColumns), std::end(kSystemColumns), name) !=
        std::end(kSystemColumns)) {
      name = FreeColumnName(taken, name);
      taken.push_back({name, c.type, c.meta});
    }
    t.names.push_back(name);
  }
  return t;
}

std::vector<size_t> IndexedKeys(const PipelineSpec& pipeline) {
  std::map<int32_t, size_t> by_group;
  for (size_t i = 0; i < pipeline.select.size(); ++i) {
    if (pipeline.select[i].group_column >= 0)
      by_group.try_emplace(pipeline.select[i].group_column, i);
  }
  std::vector<size_t> keys;
  for (const auto& [group, column] : by_group) {
    if (keys.size() < kIndexedKeys) keys.push_back(column);
  }
  return keys;
}

Status CheckTable(const TableSql& table) {
  if (table.schema.starts_with("pg_") || table.schema == "information_schema" ||
      table.schema == "_millrace")
    return InvalidArgument(
        "a namespace has the name of a schema that is not for views: choose "
        "another namespace",
        {{"namespace", table.schema}});
  const auto fits = [](std::string_view name) -> Status {
    if (name.size() <= kMaxNameBytes) return {};
    return InvalidArgument("a name is longer than PostgreSQL takes: choose a shorter one",
                           {{"name", std::string(name)}, {"max_bytes", kMaxNameBytes}});
  };
  MILLRACE_TRY(fits(table.schema));
  MILLRACE_TRY(fits(table.view));
  for (const std::string& name : table.names) MILLRACE_TRY(fits(name));
  if (table.columns.size() > kMaxColumns)
    return InvalidArgument(
        "a table has more columns than PostgreSQL takes: select fewer",
        {{"view", table.view}, {"columns", table.columns.size()}, {"max", kMaxColumns}});
  return {};
}

std::vector<std::string> CreateOwnTables() {
  return {"CREATE SCHEMA IF NOT EXISTS _millrace",
          // `number` and `h` have a place for each of results, provisional, late, quarantine.
          // Each batch updates its row: most of a page is kept free, so that this stays in place.
          "CREATE TABLE IF NOT EXISTS _millrace.fence (incarnation text COLLATE \"C\" NOT NULL, "
          "partition integer NOT NULL, epoch bigint NOT NULL, number bigint[] NOT NULL, h bytea[] "
          "NOT NULL, backend integer NOT NULL, PRIMARY KEY (incarnation, partition)) WITH "
          "(fillfactor = 10)",
          "CREATE TABLE IF NOT EXISTS _millrace.view (namespace text COLLATE \"C\" NOT NULL, view "
          "text COLLATE \"C\" NOT NULL, name text NOT NULL, defined_at bigint NOT NULL, "
          "longest_window bigint NOT NULL, columns text[] NOT NULL, types integer[] NOT NULL, "
          "PRIMARY KEY (namespace, view))",
          "CREATE TABLE IF NOT EXISTS _millrace.cluster (one integer PRIMARY KEY CHECK (one = 1), "
          "mark text NOT NULL)"};
}

std::vector<std::string> CreateTable(const TableSql& table) {
  const bool results = table.output == Output::kResults;
  std::string sql = "CREATE TABLE IF NOT EXISTS " + table.Name() + " (";
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const ServingColumn& c = table.columns[i];
    sql += Quoted(table.names[i]) + " " +
           std::string(c.name == "_key" ? "bytea" : DeclaredType(c.type)) +
           (c.meta ? " NOT NULL, " : ", ");
  }
  sql += results ? "_deleted boolean NOT NULL) WITH (fillfactor = 85)"
                 : "PRIMARY KEY (\"partition\", _seq))";
  std::vector<std::string> all = {"CREATE SCHEMA IF NOT EXISTS " + Quoted(table.schema), sql};
  if (!results) return all;
  const auto index = [&](const std::string& name, const std::string& what, bool unique) {
    all.push_back(std::string(unique ? "CREATE UNIQUE" : "CREATE") + " INDEX IF NOT EXISTS " +
                  Quoted(table.table.substr(table.table.rfind('@')) + "_" + name) + " ON " +
                  table.Name() + " (" + what + ")");
  };
  index("hash", kKeyHash, true);
  index("key", std::string(kKeyOrder), false);
  for (size_t i = 0; i < table.keys.size(); ++i) {
    const std::string name = Quoted(table.names[table.keys[i]]);
    const bool text = table.columns[table.keys[i]].type == Type::kText;
    index("key" + std::to_string(i + 1), text ? "\"left\"(" + name + ", 200)" : name, false);
  }
  return all;
}

std::string CreateView(const TableSql& table) {
  std::string sql =
      "CREATE VIEW " + Quoted(table.schema) + "." + Quoted(table.view) + " AS SELECT ";
  for (size_t i = 0; i < table.columns.size(); ++i)
    sql += (i == 0 ? "" : ", ") + Quoted(table.names[i]);
  sql += " FROM " + table.Name();
  return table.output == Output::kResults ? sql + " WHERE NOT _deleted" : sql;
}

std::string Upsert(const TableSql& table) {
  const bool results = table.output == Output::kResults;
  std::string into, from, arrays, aliases, sets;
  size_t n = 0;
  const auto add = [&](const std::string& column, bool numeric, bool set) {
    const std::string comma = n == 0 ? "" : ", ";
    const std::string alias = "c" + std::to_string(++n);
    into += comma + column;
    from += comma + "r." + alias + (numeric ? "::numeric" : "");
    arrays += comma + "$" + std::to_string(n);
    aliases += comma + alias;
    if (set) sets += (sets.empty() ? "" : ", ") + column + " = excluded." + column;
  };
  for (size_t i = 0; i < table.columns.size(); ++i)
    add(Quoted(table.names[i]), table.columns[i].type == Type::kNumeric,
        table.columns[i].name != "_key");
  if (results) add("_deleted", false, true);
  const std::string sql = "INSERT INTO " + table.Name() + " AS t (" + into + ") SELECT " + from +
                          " FROM unnest(" + arrays + ") AS r(" + aliases + ") ON CONFLICT ";
  if (!results) return sql + "DO NOTHING";
  return sql + "((" + kKeyHash + ")) DO UPDATE SET " + sets +
         " WHERE t._key = excluded._key AND t._shard = excluded._shard AND (t._revision > 0, "
         "t._seq) < (excluded._revision > 0, excluded._seq)";
}

std::string ReadColumn(const TableSql& table, size_t column) {
  const std::string name = Quoted(table.names[column]);
  if (table.columns[column].name == "_key") return "encode(_key, 'hex')";
  return table.columns[column].type == Type::kNumeric ? name + "::text" : name;
}

}  // namespace millrace::serving_postgres
