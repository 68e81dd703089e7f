#include "contract/serving_contract.h"
#include "contract/serving_reader_contract.h"
#include "millrace/serving_postgres/postgres_serving_store.h"
#include "support/postgres_server.h"
#include "support/raw_postgres.h"
#include "support/servers.h"

using namespace millrace;
using serving_postgres::PostgresServingStore;

namespace {

/// The sections of the suite share a server: each begins without tables.
std::function<std::unique_ptr<PostgresServingStore>()> EmptyStore(
    const test::PostgresServer& server, const std::string& conninfo) {
  return [direct = server.direct(), conninfo] {
    test::RawPostgres(direct).Run("DROP SCHEMA IF EXISTS _millrace, \"default\", team CASCADE");
    return std::make_unique<PostgresServingStore>(conninfo);
  };
}

std::function<void(PostgresServingStore*)> RefuseHundreds(const test::PostgresServer& server) {
  return [direct = server.direct()](PostgresServingStore*) {
    REQUIRE(test::RawPostgres(direct).Run(
                "ALTER TABLE \"default\".\"r@17\" ADD CHECK (n <> 100)") == "");
  };
}

}  // namespace

TEST_CASE("a serving store in PostgreSQL keeps the contract") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  static test::PostgresServer server;
  test::TestExecutor executor(std::chrono::seconds(60));
  test::CheckServingContract(executor, EmptyStore(server, server.direct()), RefuseHundreds(server));
}

TEST_CASE("a serving store behind PgBouncer keeps the contract") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  static test::PostgresServer server;
  test::TestExecutor executor(std::chrono::seconds(60));
  test::CheckServingContract(executor, EmptyStore(server, server.pooled()), RefuseHundreds(server));
}

TEST_CASE("pages of rows from PostgreSQL keep the contract") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  static test::PostgresServer server;
  test::TestExecutor executor(std::chrono::seconds(60));
  test::CheckServingReaderContract(executor, EmptyStore(server, server.direct()));
}

TEST_CASE("pages of rows through PgBouncer keep the contract") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  static test::PostgresServer server;
  test::TestExecutor executor(std::chrono::seconds(60));
  test::CheckServingReaderContract(executor, EmptyStore(server, server.pooled()));
}
