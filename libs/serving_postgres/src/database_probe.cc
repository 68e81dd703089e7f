#include "millrace/serving_postgres/database_probe.h"

#include "lane.h"
#include "tables.h"

// g++ 12 destroys a closure twice that is a temporary of a co_await expression: each gets a name
// first.

namespace millrace::serving_postgres {
namespace {

using doctor::Failed;
using doctor::Finding;
using doctor::Findings;
using doctor::Grade;

constexpr const char* kPart = "serving";

/// Tables of ours: those in `_millrace`, and `name@offset` in the schemas that hold views of ours.
/// The second begins behind a look whether `_millrace.view` is there.
constexpr const char* kHaveViews = "SELECT 1 WHERE to_regclass('_millrace.view') IS NOT NULL";
constexpr const char* kOurs =
    "n.nspname = '_millrace' OR (c.relname ~ '@[0-9]+$' AND EXISTS "
    "(SELECT 1 FROM _millrace.view v WHERE v.namespace = n.nspname))";
/// Dead rows of a table that make reading it slow.
constexpr const char* kManyDead = "n_dead_tup > 10000 AND n_dead_tup > n_live_tup";

/// The answer of one query in a transaction of its own.
Result<Answer> Ask(Connection& connection, const std::string& sql) {
  Transaction transaction(&connection);
  MILLRACE_TRY(transaction.Begin());
  return connection.Run(sql);
}

std::string Text(const Answer& answer, int row, int column) {
  return std::string(answer.Bytes(row, column));
}

/// The first column, with commas between.
std::string Listed(const Answer& answer) {
  std::string list;
  for (int row = 0; row < answer.Rows(); ++row)
    list += (row == 0 ? "" : ", ") + Text(answer, row, 0);
  return list;
}

Finding Rights(Connection& connection, const std::string& schema) {
  constexpr const char* kCheck = "rights";
  const auto made = [&]() -> Status {
    Transaction transaction(&connection);
    MILLRACE_TRY(transaction.Begin());
    MILLRACE_TRY(connection.Run("CREATE SCHEMA " + Quoted(schema)));
    MILLRACE_TRY(connection.Run("CREATE TABLE " + Quoted(schema) + ".t (k bytea PRIMARY KEY)"));
    MILLRACE_TRY(connection.Run("INSERT INTO " + Quoted(schema) +
                                ".t VALUES ('x') ON CONFLICT (k) DO UPDATE SET k = excluded.k"));
    MILLRACE_TRY(connection.Run("CREATE VIEW " + Quoted(schema) + ".v AS SELECT k FROM " +
                                Quoted(schema) + ".t"));
    return {};
  }();
  if (made.ok())
    return {kPart, kCheck, Grade::kOk, "schemas, tables and views can be made and written"};
  return Failed(kPart, kCheck, made.error(),
                "GRANT CREATE ON DATABASE ... TO the user of Millrace");
}

Result<Finding> Durability(Connection& connection) {
  MILLRACE_ASSIGN(const Answer off, Ask(connection,
                                        "SELECT name FROM pg_settings WHERE name IN ('fsync', "
                                        "'full_page_writes', 'autovacuum') AND setting = 'off' "
                                        "ORDER BY name"));
  if (off.Rows() == 0)
    return Finding{kPart, "settings", Grade::kOk, "fsync, full_page_writes and autovacuum are on"};
  return Finding{
      kPart, "settings", Grade::kWarn, "switched off: " + Listed(off),
      "switch them on: a machine that loses power may lose tables, and dead rows pile up"};
}

Result<Finding> Lasting(Connection& connection, bool views) {
  constexpr const char* kCheck = "tables";
  if (!views) return Finding{kPart, kCheck, Grade::kOk, "there are none of Millrace yet"};
  MILLRACE_ASSIGN(
      const Answer found,
      Ask(connection, std::string("SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN "
                                  "pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN "
                                  "('r', 'p', 'f') AND (c.relpersistence <> 'p' OR c.relkind = "
                                  "'f') AND (") +
                          kOurs + ") ORDER BY 1"));
  if (found.Rows() == 0) return Finding{kPart, kCheck, Grade::kOk, "all are logged"};
  return Finding{kPart, kCheck, Grade::kFail,
                 "unlogged or foreign, so a crash could take their rows: " + Listed(found),
                 "ALTER TABLE ... SET LOGGED"};
}

/// A pooler gives its clients numbers of server processes that it makes up.
Result<Finding> Pooler(Connection& connection) {
  MILLRACE_ASSIGN(const Answer answer, Ask(connection, "SELECT pg_backend_pid()"));
  if (answer.Integer(0, 0) == connection.told_backend())
    return Finding{kPart, "pooler", Grade::kOk, "none: the server is reached directly"};
  return Finding{kPart, "pooler", Grade::kOk,
                 "one stands before the server; transactions pass through it"};
}

Result<Finding> Standbys(Connection& connection) {
  constexpr const char* kCheck = "replication";
  MILLRACE_ASSIGN(const Answer answer, Ask(connection,
                                           "SELECT (SELECT count(*) FROM pg_stat_replication), "
                                           "current_setting('synchronous_standby_names')"));
  const int64_t standbys = answer.Integer(0, 0);
  const std::string names = Text(answer, 0, 1);
  const std::string found =
      std::to_string(standbys) + " standbys; synchronous: " + (names.empty() ? "none" : names);
  if (standbys == 0 || !names.empty()) return Finding{kPart, kCheck, Grade::kOk, found};
  return Finding{kPart, kCheck, Grade::kWarn, found,
                 "set synchronous_standby_names, or expect that a standby which takes over lacks "
                 "the newest rows for a while: Millrace writes them again"};
}

Result<Finding> DeadRows(Connection& connection) {
  constexpr const char* kCheck = "dead rows";
  MILLRACE_ASSIGN(const Answer found,
                  Ask(connection, std::string("SELECT schemaname || '.' || relname FROM "
                                              "pg_stat_user_tables WHERE ") +
                                      kManyDead + " ORDER BY n_dead_tup DESC LIMIT 10"));
  if (found.Rows() == 0) return Finding{kPart, kCheck, Grade::kOk, "few"};
  return Finding{kPart, kCheck, Grade::kWarn, "more than live ones in: " + Listed(found),
                 "look for transactions that stay open, and let autovacuum work harder"};
}

Result<Findings> Look(Connection& connection, const std::string& schema) {
  MILLRACE_ASSIGN(const Answer who, Ask(connection,
                                        "SELECT current_database()::text, current_user::text, "
                                        "current_setting('server_version')"));
  Findings findings{{kPart, "reach", Grade::kOk,
                     "the primary answers; database=" + Text(who, 0, 0) +
                         " user=" + Text(who, 0, 1) + " version=" + Text(who, 0, 2)}};
  findings.push_back(Rights(connection, schema));
  MILLRACE_ASSIGN(const Answer views, Ask(connection, kHaveViews));
  const auto add = [&](const Result<Finding>& finding, const char* check) {
    findings.push_back(finding.ok() ? *finding
                                    : Finding{kPart, check, Grade::kWarn, finding.error().message,
                                              "allow the user to look at this, or look yourself"});
  };
  add(Lasting(connection, views.Rows() == 1), "tables");
  add(Durability(connection), "settings");
  add(Pooler(connection), "pooler");
  add(Standbys(connection), "replication");
  add(DeadRows(connection), "dead rows");
  return findings;
}

}  // namespace

Task<Findings> DatabaseProbe::Run() {
  Lane lane(conninfo_, Connection::Use::kWrite, 1);
  auto looking =
      lane.Run([schema = schema_](Connection& connection) { return Look(connection, schema); });
  const Result<Findings> looked = co_await std::move(looking);
  if (looked.ok()) co_return *looked;
  Findings unreached{Failed(kPart, "reach", looked.error())};
  co_return unreached;
}

}  // namespace millrace::serving_postgres
