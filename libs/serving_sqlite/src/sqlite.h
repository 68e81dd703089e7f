#pragma once

#include <sqlite3.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/result.h"
#include "millrace/model/row.h"

namespace millrace::serving_sqlite {

/// `name` as an SQL identifier.
std::string Quoted(std::string_view name);

/// The type a column is declared with. SQLite takes its affinity from parts of it: times keep their
/// text, and the type can be read back.
std::string_view DeclaredType(Type type);
Type TypeOfDeclared(std::string_view declared);
/// What a column is declared with that has the digits of a numeric which no integer holds.
inline constexpr std::string_view kExactDeclared = "NUMERIC_EXACT_TEXT";
/// Digits of a numeric beyond 64 bits: what stands in the exact column. Else nothing.
std::optional<std::string> ExactDigits(const Value& numeric);

class Statement;

/// A connection. Threads: one at a time.
class Connection {
 public:
  /// A reader holds less memory, and changes nothing in the file.
  enum class Use { kWrite, kRead };

  /// Errors as SqliteServingStore::Open.
  static Result<std::unique_ptr<Connection>> Open(const std::string& path, Use use);

  /// Until it is set to null, statements end with kUnavailable soon after `stop` is true.
  void StopWhen(const std::atomic<bool>* stop);

  Status Run(const std::string& sql);
  Result<Statement> Prepare(const std::string& sql);
  /// Rows that the last INSERT, UPDATE or DELETE touched.
  int64_t Touched() const { return sqlite3_changes64(db_.get()); }
  Error LastError(const std::string& what) const;
  /// Of SQLite's result code `code`, and what it says of it.
  Error ErrorOf(const std::string& what, int code, const char* sqlite_says) const;

 private:
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };

  std::string path_;
  std::unique_ptr<sqlite3, Close> db_;
};

/// A prepared statement: bind, step until no row, reset. Lives no longer than its connection.
class Statement {
 public:
  Statement(Connection* connection, sqlite3_stmt* statement)
      : connection_(connection), statement_(statement) {}

  /// Parameters count from 1. The text or blob must outlive the next Step.
  void BindInteger(int at, int64_t v) { Note(sqlite3_bind_int64(statement_.get(), at, v)); }
  void BindText(int at, std::string_view v) {
    Note(sqlite3_bind_text64(statement_.get(), at, v.data(), v.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
  void BindBlob(int at, std::string_view v) {
    Note(sqlite3_bind_blob64(statement_.get(), at, v.data(), v.size(), SQLITE_STATIC));
  }
  void BindNull(int at) { Note(sqlite3_bind_null(statement_.get(), at)); }
  /// Copies what it must. A numeric beyond 64 bits becomes a double.
  void BindValue(int at, const Value& value);

  /// True: a row is there to read. An error also if a value could not be bound: the statement would
  /// take NULL for it.
  Result<bool> Step();
  /// The last Step failed by a value: it is too large, or something that belongs to the table
  /// forbids it.
  bool refused() const { return refused_; }
  void Reset() { sqlite3_reset(statement_.get()); }

  int Columns() const { return sqlite3_column_count(statement_.get()); }
  std::string Name(int column) const { return sqlite3_column_name(statement_.get(), column); }
  std::string Declared(int column) const;
  int64_t Integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  std::string Text(int column) const;
  /// kCorruption: what lies there is no value of `type`.
  Result<Value> ReadValue(int column, Type type) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
  };

  void Note(int bound) {
    if (unbound_ == SQLITE_OK) unbound_ = bound;
  }

  Connection* connection_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int unbound_ = SQLITE_OK;  ///< why a value for the next Step was not bound
  bool refused_ = false;
};

/// Rolls back unless committed.
class Transaction {
 public:
  explicit Transaction(Connection* connection) : connection_(connection) {}
  ~Transaction() {
    if (open_) connection_->Run("ROLLBACK").Ignore("SQLite has rolled back by itself");
  }
  Transaction(const Transaction&) = delete;

  /// Takes the write lock at once, so that nothing read in it can change before it is written.
  Status Begin() {
    MILLRACE_TRY(connection_->Run("BEGIN IMMEDIATE"));
    open_ = true;
    return {};
  }
  Status Commit() {
    MILLRACE_TRY(connection_->Run("COMMIT"));
    open_ = false;
    return {};
  }

 private:
  Connection* connection_;
  bool open_ = false;
};

}  // namespace millrace::serving_sqlite
