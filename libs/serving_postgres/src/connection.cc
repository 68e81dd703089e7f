#include "connection.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "millrace/base/facts.h"
#include "millrace/serving_postgres/postgres_serving_store.h"

namespace millrace::serving_postgres {
namespace {

using Clock = std::chrono::steady_clock;

/// A statement without an answer for so long has lost its connection.
constexpr std::chrono::seconds kAnswerWithin{30};

enum class Failure { kLost, kAgain, kForGood };

Failure KindOf(std::string_view state) {
  const std::string_view kind = state.substr(0, 2);
  if (state.empty() || kind == "08" || state == "25006" || state == "53300" ||
      (state.substr(0, 4) == "57P0" && state != "57P04"))
    return Failure::kLost;
  if (kind == "22" || kind == "23" || kind == "42" || kind == "54" || kind == "2B" || kind == "0A")
    return Failure::kForGood;
  return Failure::kAgain;
}

std::string OneLine(const char* text) {
  std::string line = text == nullptr ? "" : text;
  // Where in its source the server found the error is in longer texts.
  for (size_t at; (at = line.find("LOCATION: ")) != line.npos;)
    line.erase(at, line.find('\n', at) - at);
  std::replace(line.begin(), line.end(), '\n', ' ');
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

/// What must be changed before a connection that was refused can be made; empty: the refusal may
/// pass. The text of the error has the server's code, which stands in no language.
std::string_view MistakeOf(PGconn* refused) {
  struct Mistake {
    std::string_view text;
    std::string_view what;
  };
  constexpr std::string_view kLogin =
      "PostgreSQL refuses this user: check user and password of the connection, and pg_hba.conf";
  constexpr std::string_view kDatabase =
      "the database does not exist: make it, or configure another";
  constexpr std::string_view kRights =
      "this user may not connect to the database: GRANT CONNECT ON DATABASE to it";
  constexpr std::string_view kTls =
      "the server's certificate, or a file for TLS that the connection names, does not fit: check "
      "sslmode and sslrootcert";
  constexpr Mistake kMistakes[] = {
      {" 28P01: ", kLogin},
      {" 28000: ", kLogin},
      {" 3D000: ", kDatabase},
      {" 42501: ", kRights},
      // PgBouncer has one code for everything.
      {" 08P01: password authentication failed", kLogin},
      {" 08P01: no such user", kLogin},
      {" 08P01: no such database", kDatabase},
      // What libpq says itself, which has no code and is not translated.
      {"certificate verify failed", kTls},
      {"server certificate for", kTls},
      {"root certificate file", kTls},
      {"server does not support SSL", kTls},
  };
  if (PQconnectionNeedsPassword(refused) == 1)
    return "PostgreSQL asks for a password: write one into the connection string";
  const std::string_view said = PQerrorMessage(refused);
  for (const Mistake& mistake : kMistakes)
    if (said.find(mistake.text) != said.npos) return mistake.what;
  return {};
}

/// What holds for this transaction only. A synchronous_commit that the operator made stronger
/// stays.
constexpr const char* kSettings =
    "SELECT pg_catalog.pg_is_in_recovery(), "
    "set_config('search_path', 'pg_catalog', true), "
    "set_config('idle_in_transaction_session_timeout', '30s', true), "
    "set_config('lock_timeout', '2s', true), "
    "set_config('statement_timeout', '0', true), "
    "set_config('client_connection_check_interval', '1s', true), "
    "set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', "
    "'local') THEN 'on' ELSE current_setting('synchronous_commit') END, true)";

}  // namespace

int64_t Answer::Touched() const { return std::atoll(PQcmdTuples(result_.get())); }

std::string_view Answer::Bytes(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column),
          static_cast<size_t>(PQgetlength(result_.get(), row, column))};
}

bool Connection::Open() {
  // What the connection string says stands behind these, so it counts more.
  const char* const keywords[] = {
      "connect_timeout",  "tcp_user_timeout", "keepalives_idle", "target_session_attrs",
      "application_name", "client_encoding",  "dbname",          nullptr};
  const char* const values[] = {"5",    "30000",           "10",   "read-write", "millrace",
                                "UTF8", conninfo_.c_str(), nullptr};
  db_.reset(PQconnectdbParams(keywords, values, 1));
  return db_ && PQstatus(db_.get()) == CONNECTION_OK;
}

Error Connection::NotOpen() {
  const std::string why = OneLine(db_ ? PQerrorMessage(db_.get()) : "out of memory");
  db_.reset();
  return Unavailable("PostgreSQL cannot be reached: check that it runs, and the connection string",
                     {{"error", why}});
}

Status Connection::Connect() {
  if (!Open()) return NotOpen();
  const char* encoding = PQparameterStatus(db_.get(), "server_encoding");
  if (encoding == nullptr || std::string_view(encoding) != "UTF8") {
    db_.reset();
    return InvalidArgument("the database does not store UTF8: make one with ENCODING 'UTF8'",
                           {{"encoding", encoding == nullptr ? "unknown" : "other"}});
  }
  PQsetNoticeProcessor(db_.get(), [](void*, const char*) {}, nullptr);
  PQsetnonblocking(db_.get(), 1);
  return {};
}

Status Connection::Probe() {
  if (!Open() && db_) {
    // Once more: libpq gives the code of a refused connection only in a longer text.
    PQsetErrorVerbosity(db_.get(), PQERRORS_VERBOSE);
    PQreset(db_.get());
    if (PQstatus(db_.get()) != CONNECTION_OK) {
      const std::string_view what = MistakeOf(db_.get());
      if (what.empty()) return NotOpen();
      const std::string why = OneLine(PQerrorMessage(db_.get()));
      db_.reset();
      return InvalidArgument(what, {{"error", why}});
    }
  }
  db_.reset();
  MILLRACE_TRY(Begin());
  // The leader makes a schema of its own, and one for each namespace.
  const auto answer =
      Run("SELECT current_user::text, current_database()::text, CASE WHEN "
          "to_regnamespace('_millrace') IS NULL THEN has_database_privilege(current_database(), "
          "'CREATE') ELSE has_schema_privilege('_millrace', 'USAGE') END::integer");
  Rollback();
  if (!answer.ok()) return answer.error();
  if (answer->Integer(0, 2) == 1) return {};
  return InvalidArgument(
      "this user of PostgreSQL may not make tables: GRANT CREATE ON DATABASE to it, and the rights "
      "on the schema _millrace if another user made that",
      {{"user", answer->Bytes(0, 0)}, {"database", answer->Bytes(0, 1)}});
}

Status Connection::Begin() {
  // A connection that was idle may have ended long ago. BEGIN changes nothing, so try it again.
  if (db_ && BeginHere().ok()) return {};
  db_.reset();
  MILLRACE_TRY(Connect());
  return BeginHere();
}

Status Connection::BeginHere() {
  const bool write = use_ == Use::kWrite;
  MILLRACE_TRY(Run(std::string("BEGIN ISOLATION LEVEL READ COMMITTED ") +
                   (write ? "READ WRITE" : "READ ONLY")));
  MILLRACE_ASSIGN(const Answer answer, Run(kSettings));
  if (answer.Rows() == 1 && answer.Integer(0, 0) == 0) return {};
  db_.reset();
  return Unavailable("the PostgreSQL server is a standby: connect to the primary");
}

Status Connection::Commit() {
  MILLRACE_ASSIGN(const Answer answer, Run("COMMIT"));
  // A transaction that failed answers COMMIT with ROLLBACK, and no error.
  if (answer.Tag() != "COMMIT")
    return Unavailable("PostgreSQL rolled a transaction back at COMMIT",
                       {{"answer", std::string(answer.Tag())}});
  return {};
}

void Connection::Rollback() {
  if (!db_) return;
  // Why the transaction failed is still of interest behind this.
  const std::string state = last_state_;
  if (!Run("ROLLBACK").ok()) db_.reset();
  last_state_ = state;
}

Status Connection::Lost(std::string_view what) {
  const std::string why = OneLine(PQerrorMessage(db_.get()));
  db_.reset();
  last_state_.clear();
  return Unavailable("the connection to PostgreSQL is lost",
                     {{"while", std::string(what)}, {"error", why}});
}

Error Connection::Failed(const PGresult* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  last_state_ = state == nullptr ? "" : state;
  const std::string why = OneLine(PQresultErrorMessage(result));
  switch (KindOf(last_state_)) {
    case Failure::kLost:
      db_.reset();
      return Unavailable("PostgreSQL ended the connection",
                         {{"sqlstate", last_state_}, {"error", why}});
    case Failure::kForGood:
      return InvalidArgument("PostgreSQL refused a statement",
                             {{"sqlstate", last_state_}, {"error", why}});
    case Failure::kAgain:
      break;
  }
  return Unavailable("PostgreSQL did not carry a statement out",
                     {{"sqlstate", last_state_}, {"error", why}});
}

Result<Answer> Connection::Run(const std::string& sql, const Params& params,
                               const std::atomic<bool>* stop) {
  if (!db_) return Unavailable("the connection to PostgreSQL is lost");
  last_state_.clear();
  PGconn* const db = db_.get();
  if (params.Send(db, sql) == 0) return Lost("sending").error();
  const auto deadline = Clock::now() + kAnswerWithin;
  std::optional<Answer> answer;
  std::optional<Error> failed;
  for (;;) {
    const int unsent = PQflush(db);
    if (unsent < 0) return Lost("sending").error();
    if (unsent == 0 && PQisBusy(db) == 0) {
      PGresult* const result = PQgetResult(db);
      if (result == nullptr) break;
      answer.emplace(result);
      const ExecStatusType status = PQresultStatus(result);
      if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) continue;
      failed = Failed(result);
      if (!db_) return *failed;
      continue;
    }
    pollfd socket{PQsocket(db), static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN), 0};
    poll(&socket, 1, 50);
    if (stop != nullptr && *stop) {
      db_.reset();
      return Unavailable("the query was cancelled");
    }
    if (Clock::now() > deadline) return Lost("waiting for an answer").error();
    if ((socket.revents & ~POLLOUT) != 0 && PQconsumeInput(db) == 0)
      return Lost("waiting for an answer").error();
  }
  if (failed) return *failed;
  if (!answer) return Lost("reading an answer").error();
  return std::move(*answer);
}

Status CheckConnection(const std::string& conninfo) {
  if (conninfo.empty())
    return InvalidArgument(
        "no connection is given: write one such as postgresql://user@host/database");
  PQconninfoOption* const options = PQconninfoParse(conninfo.c_str(), nullptr);
  PQconninfoFree(options);
  if (options != nullptr) return {};
  // What libpq says of it is left out: it can name a piece of the password.
  return InvalidArgument(
      "this is no connection string or URI of libpq: write one such as "
      "postgresql://user@host/database, with %-signs for odd characters");
}

}  // namespace millrace::serving_postgres
