#pragma once

#include <libpq-fe.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.h"
#include "values.h"

namespace millrace::serving_postgres {

/// The rows of an answer, in libpq's binary form.
class Answer {
 public:
  explicit Answer(PGresult* result) : result_(result) {}

  int Rows() const { return PQntuples(result_.get()); }
  /// Rows that the statement wrote.
  int64_t Touched() const;
  std::string_view Tag() const { return PQcmdStatus(result_.get()); }
  bool IsNull(int row, int column) const { return PQgetisnull(result_.get(), row, column) == 1; }
  std::string_view Bytes(int row, int column) const;
  int64_t Integer(int row, int column) const { return ReadInteger(Bytes(row, column)); }

 private:
  struct Clear {
    void operator()(PGresult* r) const { PQclear(r); }
  };
  std::unique_ptr<PGresult, Clear> result_;
};

/// One connection, made again when it is lost. Every statement stands in a transaction, because a
/// pooler in transaction mode gives each one another server process. Threads: one at a time.
class Connection {
 public:
  enum class Use { kWrite, kRead };

  Connection(std::string conninfo, Use use) : conninfo_(std::move(conninfo)), use_(use) {}

  /// Makes a new connection. kInvalidArgument: the server refuses this user, or the database cannot
  /// be used; the message says what to change. kUnavailable: whatever may pass.
  Status Probe();

  /// Connects first if need be. kUnavailable: also of a standby.
  Status Begin();
  /// kUnavailable: it may have taken effect or not.
  Status Commit();
  /// Ends what Commit did not, if the connection still stands.
  void Rollback();

  /// One statement. `stop` ends it soon, and the connection with it. kUnavailable: the connection
  /// is lost, or another try may go well. kInvalidArgument: another try would fail in the same way.
  Result<Answer> Run(const std::string& sql, const Params& params = {},
                     const std::atomic<bool>* stop = nullptr);

  /// The server process, as whoever took the connection named it.
  int told_backend() const { return db_ ? PQbackendPID(db_.get()) : 0; }

  /// SQLSTATE of the error that the last statement gave, ROLLBACK left aside; empty: none came from
  /// the server.
  const std::string& last_state() const { return last_state_; }

 private:
  struct Finish {
    void operator()(PGconn* c) const { PQfinish(c); }
  };

  bool Open();
  Error NotOpen();
  Status Connect();
  Status BeginHere();
  Status Lost(std::string_view what);
  Error Failed(const PGresult* result);

  const std::string conninfo_;
  const Use use_;
  std::unique_ptr<PGconn, Finish> db_;
  std::string last_state_;
};

/// Rolls back unless committed.
class Transaction {
 public:
  explicit Transaction(Connection* connection) : connection_(connection) {}
  ~Transaction() {
    if (open_) connection_->Rollback();
  }
  Transaction(const Transaction&) = delete;

  Status Begin() {
    MILLRACE_TRY(connection_->Begin());
    open_ = true;
    return {};
  }
  Status Commit() {
    MILLRACE_TRY(connection_->Commit());
    open_ = false;
    return {};
  }

 private:
  Connection* connection_;
  bool open_ = false;
};

}  // namespace millrace::serving_postgres
