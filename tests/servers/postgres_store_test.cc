#include <future>
#include <thread>

#include "contract/serving_rows.h"
#include "millrace/base/crash_point.h"
#include "millrace/serving_postgres/postgres_serving_store.h"
#include "support/catch.h"
#include "support/deaf_relay.h"
#include "support/postgres_server.h"
#include "support/raw_postgres.h"
#include "support/read_all.h"
#include "support/servers.h"

using namespace millrace;
using serving_postgres::PostgresServingStore;

namespace {

struct Fixture {
  explicit Fixture(test::PostgresServer& s)
      : server(s), raw(s.direct()), store(std::make_unique<PostgresServingStore>(s.direct())) {
    raw.Run("DROP SCHEMA IF EXISTS _millrace, \"default\" CASCADE");
    REQUIRE(Define(shard.incarnation, test::ServingStream(), test::ServingPipeline()).ok());
    REQUIRE(run(store->TakeOver(shard, Epoch(1))).ok());
  }
  template <typename T>
  T run(Task<T> task) {
    return executor.RunUntilDone(std::move(task));
  }
  Status Define(const Incarnation& incarnation, StreamSpec stream, PipelineSpec pipeline) {
    MILLRACE_TRY(run(store->Define(incarnation, stream, pipeline)));
    return run(store->Attach(incarnation, stream, pipeline));
  }
  /// The rows follow `low`.
  Status Apply(int64_t low, std::vector<OutputRow> rows) {
    const int64_t high = low + static_cast<int64_t>(rows.size());
    return batches.Apply(executor, store.get(), shard, Epoch(1), Output::kResults, low, high,
                         std::move(rows));
  }
  int64_t Seq() { return run(store->ReadFences({shard})).value().at(0)->seq(Output::kResults); }

  test::PostgresServer& server;
  test::RawPostgres raw;
  test::TestExecutor executor{std::chrono::seconds(60)};
  std::unique_ptr<PostgresServingStore> store;
  ShardId shard = test::ServingShard();
  test::ServingBatches batches;
};

test::PostgresServer& Server() {
  static test::PostgresServer server;
  return server;
}

/// What is done at a crash point, once.
std::function<void()> at_commit;
void AtCrashPoint(std::string_view name) {
  if (name == "serving.apply.before_commit" && at_commit) std::exchange(at_commit, nullptr)();
}

}  // namespace

TEST_CASE("a batch goes on after PostgreSQL was killed and came back") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  test::PostgresServer server;
  Fixture f(server);
  REQUIRE(f.Apply(0, {test::ServingRow(1, "a", 0, 1)}).ok());
  server.Kill();
  CHECK(f.Apply(1, {test::ServingRow(2, "b", 0, 2)}).error().code == Code::kUnavailable);
  CHECK(f.run(f.store->TakeOver(f.shard, Epoch(1))).error().code == Code::kUnavailable);
  server.Start();
  CHECK(f.Seq() == 1);
  REQUIRE(f.Apply(1, {test::ServingRow(2, "b", 0, 2)}).ok());
  ServingQuery q;
  q.name = "r";
  CHECK(f.run(test::ReadAll(f.store.get(), q)).value().rows.size() == 2);
}

TEST_CASE("a server process that is ended at COMMIT leaves the fence where it was") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  Fixture f(Server());
  at_commit = [&] {
    CHECK(f.raw.Run("SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE "
                    "application_name = 'millrace' AND state = 'idle in transaction'") == "1\n");
  };
  InstallCrashPointHandler(AtCrashPoint);
  const Status applied = f.Apply(0, {test::ServingRow(1, "a", 0, 1)});
  InstallCrashPointHandler(nullptr);
  CHECK(applied.error().code == Code::kUnavailable);
  CHECK(f.Seq() == 0);
  CHECK(f.Apply(0, {test::ServingRow(1, "a", 0, 1)}).ok());
}

TEST_CASE("a batch whose answer is lost has taken effect once, as its fence says") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  Fixture f(Server());
  test::DeafRelay relay(f.server.port());
  f.store = std::make_unique<PostgresServingStore>(test::PostgresServer::Conninfo(relay.port()));
  REQUIRE(
      f.run(f.store->Attach(f.shard.incarnation, test::ServingStream(), test::ServingPipeline()))
          .ok());
  // As the statement stands on the wire; BEGIN says COMMITTED.
  relay.Lose(std::string("\0COMMIT\0", 8));
  CHECK(f.Apply(0, {test::ServingRow(1, "a", 0, 1)}).error().code == Code::kUnavailable);
  CHECK(relay.lost());
  CHECK(f.Apply(0, {test::ServingRow(1, "a", 0, 1)}).error().code == Code::kConflict);
  CHECK(f.Seq() == 1);
  CHECK(f.raw.Run("SELECT count(*), sum(n) FROM \"default\".r") == "1|1\n");
  f.store.reset();
}

TEST_CASE("a transaction that the server refuses at COMMIT is no success") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  Fixture f(Server());
  CHECK(f.raw.Run("CREATE FUNCTION \"default\".refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
                  "BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '40001'; END $$") == "");
  CHECK(f.raw.Run("CREATE CONSTRAINT TRIGGER t AFTER INSERT ON \"default\".\"r@17\" DEFERRABLE "
                  "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION \"default\".refuse()") == "");
  CHECK(f.Apply(0, {test::ServingRow(1, "a", 0, 1)}).error().code == Code::kUnavailable);
  CHECK(f.Seq() == 0);
  CHECK(f.raw.Run("DROP TRIGGER t ON \"default\".\"r@17\"") == "");
  CHECK(f.Apply(0, {test::ServingRow(1, "a", 0, 1)}).ok());
}

TEST_CASE("a writer that deadlocks with another goes through") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  Fixture f(Server());
  REQUIRE(f.Apply(0, {test::ServingRow(1, "a", 0, 1)}).ok());
  // The writer looks for deadlocks first, so it is the one that loses.
  REQUIRE(f.raw.Run("SET deadlock_timeout = '1min'") == "");
  REQUIRE(f.raw.Run("BEGIN") == "");
  REQUIRE(f.raw.Run("UPDATE \"default\".\"r@17\" SET n = n") == "");
  auto applied = std::async(std::launch::async,
                            [&] { return f.Apply(1, {test::ServingRow(2, "a", 0, 2, 2)}); });
  test::RawPostgres watch(f.server.direct());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (watch.Run("SELECT 1 FROM pg_stat_activity WHERE application_name = 'millrace' AND "
                   "wait_event_type = 'Lock'") != "1\n") {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
  }
  // It holds the fence and waits for the row; now each waits for the other.
  f.raw.Run("SELECT 1 FROM _millrace.fence FOR UPDATE");
  f.raw.Run("ROLLBACK");
  CHECK(applied.get().ok());
  CHECK(f.Seq() == 2);
}

TEST_CASE("a row that the table will not take is named, and nothing is written") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  Fixture f(Server());
  REQUIRE(f.raw.Run("ALTER TABLE \"default\".\"r@17\" ADD CHECK (n < 100)") == "");
  const Status applied =
      f.Apply(0, {test::ServingRow(1, "a", 0, 1), test::ServingRow(2, "b", 0, 100)});
  REQUIRE_FALSE(applied.ok());
  CHECK(applied.error().code == Code::kInvalidArgument);
  INFO(applied.error().message);
  CHECK(applied.error().message.find("row=2 offset=102") != std::string::npos);
  CHECK(applied.error().message.find("23514") != std::string::npos);
  CHECK(f.Seq() == 0);
  CHECK(f.raw.Run("SELECT count(*) FROM \"default\".r") == "0\n");
}

TEST_CASE("tables that a crash of the server empties are refused") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  Fixture f(Server());
  for (const char* table : {"\"default\".\"r_late@17\"", "_millrace.fence"}) {
    REQUIRE(f.raw.Run(std::string("ALTER TABLE ") + table + " SET UNLOGGED") == "");
    CHECK(f.run(f.store->TakeOver(f.shard, Epoch(2))).error().code == Code::kInvalidArgument);
    REQUIRE(f.raw.Run(std::string("ALTER TABLE ") + table + " SET LOGGED") == "");
  }
  CHECK(f.run(f.store->TakeOver(f.shard, Epoch(2))).ok());
}

TEST_CASE("keys longer than an index takes, bytes that are no text, and names of system columns") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  Fixture f(Server());
  PipelineSpec p = test::ServingPipeline();
  p.name = "odd";
  p.select[3].name = "xmin";
  f.shard.incarnation = {"default", "odd", Offset(80)};
  REQUIRE(f.Define(f.shard.incarnation, test::ServingStream(), p).ok());
  REQUIRE(f.run(f.store->TakeOver(f.shard, Epoch(1))).ok());
  std::string noise;
  uint32_t random = 1;
  while (noise.size() < 20'000)
    noise += static_cast<char>('0' + (random = random * 1664525 + 1013904223) % 75);
  const std::string keys[] = {noise + "1", noise + "2", std::string("\0\xff\xed\xa0\x80", 5),
                              "\xf4\x8f\xbc\x81", "\xf4\x8f\xbb\x81"};
  std::vector<OutputRow> rows;
  for (const std::string& key : keys) {
    const auto seq = static_cast<int64_t>(rows.size()) + 1;
    rows.push_back(test::ServingRow(seq, key, 0, seq));
  }
  REQUIRE(f.Apply(0, rows).ok());
  for (OutputRow& row : rows) {
    row.seq += 5;
    row.revision = 2;
  }
  REQUIRE(f.Apply(5, rows).ok());
  ServingQuery q;
  q.name = "odd";
  const auto table = f.run(test::ReadAll(f.store.get(), q)).value();
  CHECK(table.names[3] == "xmin");
  CHECK(table.rows.size() == 5);
  for (size_t i = 0; i < std::size(keys); ++i) {
    q.keys = {{"k", keys[i]}};
    const auto found = f.run(test::ReadAll(f.store.get(), q)).value();
    REQUIRE(found.rows.size() == 1);
    CHECK(ValueText(found.rows[0][0]) == keys[i]);
    CHECK(ValueText(found.rows[0][3]) == std::to_string(i + 1));
  }
}

TEST_CASE("what PostgreSQL cannot have is refused before a table is made") {
  if (test::SkipWithout(test::PostgresServer::Missing())) return;
  Fixture f(Server());
  const auto code = [&](const Incarnation& incarnation, const PipelineSpec& pipeline) {
    return f.run(f.store->Define(incarnation, test::ServingStream(), pipeline)).error().code;
  };
  PipelineSpec p = test::ServingPipeline();
  CHECK(code({"default", std::string(53, 'n'), Offset(90)}, p) == Code::kInvalidArgument);
  CHECK(code({"pg_own", "r", Offset(91)}, p) == Code::kInvalidArgument);
  p.select[3].name = std::string(64, 'c');
  CHECK(code({"default", "long", Offset(92)}, p) == Code::kInvalidArgument);
  p = test::ServingPipeline();
  for (int i = 0; i < 1'600; ++i)
    p.select.push_back({"c" + std::to_string(i), p.select[3].expr, -1});
  CHECK(code({"default", "wide", Offset(93)}, p) == Code::kInvalidArgument);
  CHECK(f.raw.Run("SELECT count(*) FROM pg_tables WHERE schemaname = 'default'") == "3\n");
  // The longest name, at the largest offset, has a table.
  const Incarnation longest{"default", std::string(52, 'n'), Offset(INT64_MAX)};
  CHECK(f.Define(longest, test::ServingStream(), test::ServingPipeline()).ok());
}
