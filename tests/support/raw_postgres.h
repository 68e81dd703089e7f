#pragma once

#include <libpq-fe.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace millrace::test {

/// A connection beside the one under test.
class RawPostgres {
 public:
  explicit RawPostgres(const std::string& conninfo) : db_(PQconnectdb(conninfo.c_str())) {
    if (PQstatus(db_.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(db_.get()));
    PQsetNoticeProcessor(db_.get(), [](void*, const char*) {}, nullptr);
  }

  /// Columns split by '|', rows by line feeds; an error as its SQLSTATE.
  std::string Run(const std::string& sql) {
    const std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQexec(db_.get(), sql.c_str()),
                                                                PQclear);
    const ExecStatusType status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
      return state == nullptr ? "no answer" : state;
    }
    std::string text;
    for (int row = 0; row < PQntuples(result.get()); ++row) {
      for (int column = 0; column < PQnfields(result.get()); ++column)
        text += std::string(column == 0 ? "" : "|") + PQgetvalue(result.get(), row, column);
      text += "\n";
    }
    return text;
  }

 private:
  struct Finish {
    void operator()(PGconn* c) const { PQfinish(c); }
  };
  std::unique_ptr<PGconn, Finish> db_;
};

}  // namespace millrace::test
