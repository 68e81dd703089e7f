#include "cursor.h"

#include <algorithm>

#include "millrace/base/bytes.h"
#include "millrace/base/facts.h"
#include "tables.h"

namespace millrace::serving_postgres {
namespace {

/// Rows that one page asks for, whatever the caller takes: libpq holds them all before the first.
constexpr size_t kMaxPageRows = 500;

std::string Ordered(Micros t) {
  std::string bytes;
  AppendOrdered(&bytes, t);
  return bytes;
}

/// `t` + `by`, at most plus infinity.
Micros Later(Micros t, Micros by) { return t > kPlusInfinity - by ? kPlusInfinity : t + by; }

/// The table that a view shows, and how long its windows are at most.
struct Shown {
  TableSql table;
  Micros longest_window = 0;
};

Result<Shown> FindTable(Connection& connection, const ServingQuery& query) {
  Params view;
  view.Text(query.name_space).Text(ServingViewName("default", query.name, query.output));
  Transaction transaction(&connection);
  MILLRACE_TRY(transaction.Begin());
  const auto answer = connection.Run(
      "SELECT v.name, v.defined_at, v.longest_window, v.columns[i], v.types[i] FROM "
      "_millrace.view v, generate_subscripts(v.columns, 1) AS i WHERE v.namespace = $1 AND v.view "
      "= $2 ORDER BY i",
      view);
  // Before the first Define there is no such table.
  if (!answer.ok() && connection.last_state() != "42P01") return answer.error();
  if (!answer.ok() || answer->Rows() == 0 || answer->Bytes(0, 0) != query.name)
    return NotFound("the serving store has no view of this pipeline", {{"pipeline", query.name}});
  std::vector<ServingColumn> columns;
  for (int i = 0; i < answer->Rows(); ++i) {
    const std::string name(answer->Bytes(i, 3));
    columns.push_back({name, static_cast<Type>(answer->Integer(i, 4)), IsServingMeta(name)});
  }
  const Incarnation incarnation{query.name_space, query.name, Offset(answer->Integer(0, 1))};
  Shown shown{MakeTable(incarnation, query.output, std::move(columns), {}), answer->Integer(0, 2)};
  MILLRACE_TRY(transaction.Commit());
  return shown;
}

}  // namespace

Result<std::shared_ptr<RowCursor>> Cursor::Open(std::weak_ptr<Lane> lane, Connection& connection,
                                                const ServingQuery& query) {
  MILLRACE_ASSIGN(const Shown shown, FindTable(connection, query));
  const TableSql& table = shown.table;
  if (query.output == Output::kQuarantine && (query.from || query.to))
    return InvalidArgument("quarantined records have no window to filter by");

  auto state = std::make_shared<State>();
  state->results = query.output == Output::kResults;
  std::vector<std::string> names;
  std::string select;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const ServingColumn& c = table.columns[i];
    if (c.meta && !query.meta) continue;
    names.push_back(c.name);
    state->types.push_back(c.type);
    select += ReadColumn(table, i) + ", ";
  }
  std::string where;
  Params& params = state->params;
  const auto mark = [&] { return "$" + std::to_string(params.size()); };
  for (const auto& [column, text] : query.keys) {
    const auto at = std::find_if(table.columns.begin(), table.columns.end(),
                                 [&](const auto& c) { return c.name == column && !c.meta; });
    if (at == table.columns.end())
      return InvalidArgument("no column has this name",
                             {{"column", column}, {"pipeline", query.name}});
    const std::string name = Quoted(table.names[static_cast<size_t>(at - table.columns.begin())]);
    MILLRACE_ASSIGN(const Value value, ParseKeyText(column, at->type, text));
    where += " AND " + name;
    if (value.is_null()) {
      where += " IS NULL";
      continue;
    }
    params.Cell(value);
    where += " = " + mark() + (at->type == Type::kNumeric ? "::numeric" : "");
    // The index of a text has its beginning only.
    if (at->type == Type::kText)
      where += " AND \"left\"(" + name + ", 200) = \"left\"(" + mark() + ", 200)";
  }
  const std::string order(kKeyOrder);
  if (state->results) {
    // A `_key` begins with the window's end, then its start. A window that starts at `from` or
    // later ends after it, and one that starts before `to` ends before `to` and its length.
    if (query.from) {
      state->after_key = Ordered(*query.from);
      params.Bytes(state->after_key);
      where += " AND substring(_key, 9, 8) >= " + mark();
    }
    if (query.to) {
      params.Bytes(Ordered(*query.to));
      where += " AND substring(_key, 9, 8) < " + mark();
      params.Bytes(Ordered(Later(*query.to, shown.longest_window)));
      where += " AND " + order + " < " + mark();
    }
  } else {
    if (query.from) {
      params.Cell(WithinRange(*query.from));
      where += " AND event_time >= " + mark();
    }
    if (query.to) {
      params.Cell(WithinRange(*query.to));
      where += " AND event_time < " + mark();
    }
  }
  const auto next = [&](size_t by) { return "$" + std::to_string(params.size() + by); };
  // In ORDER BY a bare name means the column of the answer, which may come twice.
  const std::string from = " FROM " + table.Name() + " AS t WHERE ";
  state->sql = state->results
                   ? "SELECT " + select + "_key" + from + "NOT _deleted" + where + " AND (" +
                         order + ", _key) > (substring(" + next(1) + ", 1, 256), " + next(1) +
                         ") ORDER BY " + order + ", t._key LIMIT " + next(2)
                   : "SELECT " + select + "\"partition\"::bigint, _seq" + from + "true" + where +
                         " AND (\"partition\", _seq) > (" + next(1) + ", " + next(2) +
                         ") ORDER BY t.\"partition\", t._seq LIMIT " + next(3);
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
  Params all = params;
  if (results) {
    all.Bytes(after_key);
  } else {
    all.Integer(after_partition).Integer(after_seq);
  }
  all.Integer(static_cast<int64_t>(std::min(max_rows, kMaxPageRows)));
  Transaction transaction(&connection);
  MILLRACE_TRY(transaction.Begin());
  MILLRACE_ASSIGN(const Answer answer, connection.Run(sql, all, &cancelled));
  MILLRACE_TRY(transaction.Commit());
  const int columns = static_cast<int>(types.size());
  ServingRows rows;
  size_t bytes = 0;
  for (int r = 0; r < answer.Rows() && bytes < max_bytes; ++r) {
    std::vector<Value>& row = rows.emplace_back();
    row.reserve(types.size());
    for (int i = 0; i < columns; ++i) {
      const Type type = types[static_cast<size_t>(i)];
      if (answer.IsNull(r, i)) {
        row.push_back({type, {}});
        continue;
      }
      MILLRACE_ASSIGN(Value value, DecodeCell(type, answer.Bytes(r, i)));
      row.push_back(std::move(value));
    }
    bytes += RowBytes(row);
    if (results) {
      after_key = answer.Bytes(r, columns);
    } else {
      after_partition = answer.Integer(r, columns);
      after_seq = answer.Integer(r, columns + 1);
    }
  }
  return rows;
}

}  // namespace millrace::serving_postgres
