#include "cursor.h"

#include <map>

#include "millrace/base/check.h"
#include "millrace/base/facts.h"
#include "millrace/serving/table_shape.h"
#include "tables.h"

namespace millrace::serving_sqlite {
namespace {

/// What a reader calls a column, and how SQL reads it.
struct Column {
  std::string name;
  Type type = Type::kText;
  std::string sql;
  bool meta = false;
};

/// The columns of a table but `_deleted`. Exact columns are no columns to a reader: the numeric
/// ones, in the same order, have their digits.
Result<std::vector<Column>> ReadColumns(Connection& connection, const std::string& table) {
  MILLRACE_ASSIGN(Statement all, connection.Prepare("SELECT * FROM " + Quoted(table)));
  std::vector<Column> columns;
  std::vector<std::string> exact;
  for (int i = 0; i < all.Columns(); ++i) {
    if (all.Declared(i) == kExactDeclared) {
      exact.push_back(Quoted(all.Name(i)));
      continue;
    }
    const std::string name = all.Name(i);
    if (name == "_deleted") continue;
    columns.push_back({name, TypeOfDeclared(all.Declared(i)), Quoted(name), IsServingMeta(name)});
  }
  size_t numeric = 0;
  for (Column& c : columns) {
    if (c.name == "_key") {
      c.type = Type::kText;
      c.sql = "lower(hex(_key))";
    } else if (c.type == Type::kNumeric) {
      if (numeric == exact.size())
        return Corruption("a table has no exact column for a numeric one",
                          {{"table", table}, {"column", c.name}});
      c.sql = "coalesce(" + exact[numeric++] + ", " + c.sql + ")";
    }
  }
  return columns;
}

std::string Ordered(Micros t) {
  std::string bytes;
  AppendOrdered(&bytes, t);
  return bytes;
}

/// `t` + `by`, at most plus infinity.
Micros Later(Micros t, Micros by) { return t > kPlusInfinity - by ? kPlusInfinity : t + by; }

}  // namespace

Result<std::shared_ptr<RowCursor>> Cursor::Open(std::weak_ptr<Lane> lane, Connection& connection,
                                                const ServingQuery& query) {
  const std::string view = ServingViewName(query.name_space, query.name, query.output);
  MILLRACE_ASSIGN(
      Statement owner,
      connection.Prepare(
          "SELECT namespace, name, defined_at, longest_window FROM _millrace_view WHERE view = ?"));
  owner.BindText(1, view);
  MILLRACE_ASSIGN(const bool found, owner.Step());
  if (!found || owner.Text(0) != query.name_space || owner.Text(1) != query.name)
    return NotFound("the serving store has no view of this pipeline", {{"pipeline", query.name}});
  const Incarnation incarnation{query.name_space, query.name, Offset(owner.Integer(2))};
  const Micros longest_window = owner.Integer(3);
  owner.Reset();
  if (query.output == Output::kQuarantine && (query.from || query.to))
    return InvalidArgument("quarantined records have no window to filter by");

  auto state = std::make_shared<State>();
  state->results = query.output == Output::kResults;
  const std::string table = TableName(incarnation, query.output);
  MILLRACE_ASSIGN(const std::vector<Column> columns, ReadColumns(connection, table));
  std::vector<std::string> names;
  std::string select;
  std::map<std::string, const Column*> by_name;
  for (const Column& c : columns) {
    if (!c.meta) by_name.emplace(c.name, &c);
    if (c.meta && !query.meta) continue;
    names.push_back(c.name);
    state->types.push_back(c.type);
    select += c.sql + ", ";
  }
  std::string where;
  const auto demand = [&](const std::string& sql, Value value) {
    where += " AND " + sql;
    state->values.push_back(std::move(value));
  };
  for (const auto& [column, text] : query.keys) {
    const auto at = by_name.find(column);
    if (at == by_name.end())
      return InvalidArgument("no column has this name",
                             {{"column", column}, {"pipeline", query.name}});
    MILLRACE_ASSIGN(Value value, ParseKeyText(column, at->second->type, text));
    if (value.is_null()) {
      where += " AND " + at->second->sql + " IS NULL";
    } else if (const auto digits = ExactDigits(value)) {
      demand(at->second->sql + " = ?", {Type::kText, *digits});
    } else {
      demand(at->second->sql + " = ?", std::move(value));
    }
  }
  if (state->results) {
    // A `_key` begins with the window's end, then its start. A window that starts at `from` or
    // later ends after it, and one that starts before `to` ends before `to` and its length.
    const auto bytes = [](Micros t) { return Value{Type::kText, Ordered(t)}; };
    const std::string start = "substr(_key, 9, 8)";
    if (query.from) {
      state->after_key = Ordered(*query.from);
      demand(start + " >= CAST(? AS BLOB)", bytes(*query.from));
    }
    if (query.to) {
      demand(start + " < CAST(? AS BLOB)", bytes(*query.to));
      demand("_key < CAST(? AS BLOB)", bytes(Later(*query.to, longest_window)));
    }
  } else {
    if (query.from) demand("event_time >= ?", {Type::kTimestamp, *query.from});
    if (query.to) demand("event_time < ?", {Type::kTimestamp, *query.to});
  }
  state->sql = state->results
                   ? "SELECT " + select + "_key FROM " + Quoted(table) + " WHERE NOT _deleted" +
                         where + " AND _key > ? ORDER BY _key"
                   : "SELECT " + select + "\"partition\", _seq FROM " + Quoted(table) + " WHERE 1" +
                         where + " AND (\"partition\", _seq) > (?, ?) ORDER BY \"partition\", _seq";
  return std::shared_ptr<RowCursor>(new Cursor(std::move(lane), std::move(state), names));
}

Task<Result<ServingRows>> Cursor::Next(size_t max_rows, size_t max_bytes) {
  const std::shared_ptr<Lane> lane = lane_.lock();
  if (!lane) co_return Unavailable("the serving store is closed");
  auto work = lane->Run([state = state_, max_rows, max_bytes](Connection& connection) {
    return state->Page(connection, max_rows, max_bytes);
  });
  auto page = co_await std::move(work);
  co_return page;
}

Result<ServingRows> Cursor::State::Page(Connection& connection, size_t max_rows, size_t max_bytes) {
  if (cancelled) return Unavailable("the query was cancelled");
  struct Stopping {
    Connection& connection;
    ~Stopping() { connection.StopWhen(nullptr); }
  } const stopping{connection};
  connection.StopWhen(&cancelled);
  MILLRACE_ASSIGN(Statement read, connection.Prepare(sql));
  int at = 0;
  for (const Value& value : values) read.BindValue(++at, value);
  if (results) {
    read.BindBlob(++at, after_key);
  } else {
    read.BindInteger(++at, after_partition);
    read.BindInteger(++at, after_seq);
  }
  const int columns = static_cast<int>(types.size());
  ServingRows rows;
  for (size_t bytes = 0; rows.size() < max_rows && bytes < max_bytes;) {
    MILLRACE_ASSIGN(const bool there, read.Step());
    if (!there) break;
    std::vector<Value>& row = rows.emplace_back();
    row.reserve(types.size());
    for (int i = 0; i < columns; ++i) {
      MILLRACE_ASSIGN(Value value, read.ReadValue(i, types[static_cast<size_t>(i)]));
      row.push_back(std::move(value));
    }
    bytes += RowBytes(row);
    if (results) {
      after_key = read.Text(columns);
    } else {
      after_partition = read.Integer(columns);
      after_seq = read.Integer(columns + 1);
    }
  }
  return rows;
}

}  // namespace millrace::serving_sqlite
