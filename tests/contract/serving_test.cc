#include <sys/resource.h>

#include <atomic>
#include <fstream>
#include <future>

#include "contract/serving_contract.h"
#include "contract/serving_reader_contract.h"
#include "millrace/driver/thread_driver.h"
#include "millrace/serving/in_memory_serving_store.h"
#include "millrace/serving/table_shape.h"
#include "millrace/serving_sqlite/sqlite_serving_store.h"
#include "sqlite.h"
#include "support/temp_dir.h"

#include <sqlite3.h>

using namespace millrace;
using serving_sqlite::SqliteServingStore;

namespace {

/// What another program sees: rows as text, or the error.
std::string Sql(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr);
  std::string out;
  char* error = nullptr;
  sqlite3_exec(
      db, sql.c_str(),
      [](void* to, int n, char** values, char**) {
        auto& text = *static_cast<std::string*>(to);
        for (int i = 0; i < n; ++i)
          text += std::string(i ? "|" : "") + (values[i] ? values[i] : "");
        text += "\n";
        return 0;
      },
      &out, &error);
  if (error != nullptr) out += std::string("error: ") + error;
  sqlite3_free(error);
  sqlite3_close(db);
  return out;
}

struct Fixture {
  test::TempDir dir;
  test::TestExecutor executor;
  std::unique_ptr<SqliteServingStore> store;
  const std::string path = dir.Sub("serving.db");
  const ShardId shard = test::ServingShard();
  test::ServingBatches batches;

  Fixture() { Open(); }
  void Open() {
    store.reset();
    store = SqliteServingStore::Open(path).value();
    Define(shard.incarnation, test::ServingStream(), test::ServingPipeline());
  }
  void Define(const Incarnation& incarnation, const StreamSpec& stream, const PipelineSpec& p) {
    REQUIRE(executor.RunUntilDone(store->Define(incarnation, stream, p)).ok());
    REQUIRE(executor.RunUntilDone(store->Attach(incarnation, stream, p)).ok());
  }
  /// The first row of a shard.
  Status ApplyFirst(const ShardId& to, OutputRow row) {
    return batches.Apply(executor, store.get(), to, Epoch(1), row.output, 0, 1, {row});
  }
  Status Apply(int64_t low, std::vector<OutputRow> rows) {
    const int64_t high = rows.back().seq;
    const Output output = rows[0].output;
    return batches.Apply(executor, store.get(), shard, Epoch(1), output, low, high,
                         std::move(rows));
  }
};

/// SQLite's own way to files as its default, with the syncs of write-ahead logs counted.
class CountedSyncs {
 public:
  CountedSyncs() {
    real_vfs = sqlite3_vfs_find(nullptr);
    vfs_ = *real_vfs;
    vfs_.zName = "counted";
    vfs_.xOpen = [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
      const int opened = real_vfs->xOpen(real_vfs, name, file, flags, out);
      if (opened != SQLITE_OK || (flags & SQLITE_OPEN_WAL) == 0) return opened;
      real = file->pMethods;
      counting = *real;
      counting.xSync = [](sqlite3_file* synced, int how) {
        ++count;
        return real->xSync(synced, how);
      };
      file->pMethods = &counting;
      return opened;
    };
    sqlite3_vfs_register(&vfs_, 1);
    count = 0;
  }
  ~CountedSyncs() { sqlite3_vfs_unregister(&vfs_); }

  static inline std::atomic<int> count = 0;

 private:
  static inline sqlite3_vfs* real_vfs = nullptr;
  static inline const sqlite3_io_methods* real = nullptr;
  static inline sqlite3_io_methods counting;
  sqlite3_vfs vfs_;
};

}  // namespace

TEST_CASE("result tables in memory keep the contract of serving stores") {
  test::TestExecutor executor;
  test::CheckServingContract<InMemoryServingStore>(
      executor, [] { return std::make_unique<InMemoryServingStore>(); },
      [](InMemoryServingStore* store) {
        store->Refuse([](const OutputRow& row) {
          const auto* n = std::get_if<int64_t>(&row.values[3].data);
          return n != nullptr && *n == 100;
        });
      });
}

TEST_CASE("readers of result tables in memory keep the contract of pages") {
  test::TestExecutor executor;
  test::CheckServingReaderContract<InMemoryServingStore>(
      executor, [] { return std::make_unique<InMemoryServingStore>(); });
}

TEST_CASE("readers of result tables in SQLite keep the contract of pages") {
  const test::TempDir dir;
  test::TestExecutor executor;
  test::CheckServingReaderContract<SqliteServingStore>(
      executor, [&] { return SqliteServingStore::Open(dir.Sub("serving.db")).value(); });
}

TEST_CASE("result tables in SQLite keep the contract of serving stores") {
  const test::TempDir dir;
  test::TestExecutor executor;
  test::CheckServingContract<SqliteServingStore>(
      executor, [&] { return SqliteServingStore::Open(dir.Sub("serving.db")).value(); },
      [&](SqliteServingStore*) {
        REQUIRE(Sql(dir.Sub("serving.db"),
                    "CREATE TRIGGER never BEFORE INSERT ON \"r@17\" WHEN NEW.n = 100 BEGIN "
                    "SELECT RAISE(ABORT, 'no hundreds'); END") == "");
      });
}

TEST_CASE("a value that SQLite does not take is an error, and no NULL") {
  const test::TempDir dir;
  using serving_sqlite::Connection;
  const auto connection = Connection::Open(dir.Sub("new.db"), Connection::Use::kWrite).value();
  auto statement = connection->Prepare("SELECT ? IS NULL, ?").value();
  // SQLite looks at the length first.
  statement.BindText(1, std::string_view("x", size_t{1} << 31));
  statement.BindInteger(2, 1);
  const auto stepped = statement.Step();
  REQUIRE_FALSE(stepped.ok());
  CHECK_THAT(stepped.error().message, ContainsText("too big"));
  CHECK(statement.refused());
  statement.Reset();
  statement.BindText(1, "x");
  REQUIRE(statement.Step().ok());
  CHECK(statement.Integer(0) == 0);
}

TEST_CASE_METHOD(Fixture, "other programs read the view while the store is open") {
  REQUIRE(executor.RunUntilDone(store->TakeOver(shard, Epoch(1))).ok());
  OutputRow nan = test::ServingRow(2, "b", 0, 3);
  nan.values[4].data = std::nan("");
  REQUIRE(Apply(0, {test::ServingRow(1, "a", 0, 2), nan,
                    test::Deleted(test::ServingRow(3, "c", 0, 0, 2))})
              .ok());
  CHECK(Sql(path,
            "SELECT k, window_start, n, mean, total__exact, flag, typeof(mean), typeof(total), "
            "_revision, _provisional, _gap, _overflow, _shard, _seq, _updated_at FROM r") ==
        "a|1970-01-01T00:00:00.000000Z|2|0.5|" + FormatNumeric(kMaxNumeric - 2) +
            "|0|real|real|1|0|0|0|p2|1|2001-09-09T01:46:40.000001Z\n"
            "b|1970-01-01T00:00:00.000000Z|3|NaN|" +
            FormatNumeric(kMaxNumeric - 3) +
            "|1|text|real|1|0|0|0|p2|2|2001-09-09T01:46:40.000002Z\n");
  CHECK(Sql(path, "SELECT count(*), sum(_deleted) FROM \"r@17\"") == "3|1\n");
  CHECK(Sql(path, "SELECT count(*) FROM r_late; SELECT count(*) FROM r_quarantine") == "0\n0\n");
}

TEST_CASE_METHOD(Fixture, "SQL compares numerics as numbers, whatever their size") {
  REQUIRE(executor.RunUntilDone(store->TakeOver(shard, Epoch(1))).ok());
  const Int128 beyond = Int128{std::numeric_limits<int64_t>::max()} + 1;
  const std::vector<std::optional<Int128>> totals = {9,
                                                     1200,
                                                     150,
                                                     -20,
                                                     0,
                                                     beyond,
                                                     -beyond,
                                                     std::nullopt,
                                                     -beyond - 1,
                                                     kMaxNumeric,
                                                     -kMaxNumeric,
                                                     beyond - 1,
                                                     beyond * 1000};
  std::vector<OutputRow> rows;
  for (size_t i = 0; i < totals.size(); ++i) {
    rows.push_back(test::ServingRow(static_cast<int64_t>(i) + 1, "k" + std::to_string(i), 0, 0));
    rows.back().values[5].data = std::monostate();
    if (totals[i]) rows.back().values[5].data = *totals[i];
  }
  REQUIRE(Apply(0, rows).ok());
  CHECK(Sql(path, "SELECT coalesce(total__exact, total) FROM r ORDER BY total DESC") ==
        FormatNumeric(kMaxNumeric) +
            "\n9223372036854775808000\n9223372036854775808\n"
            "9223372036854775807\n1200\n150\n9\n0\n-20\n-9223372036854775808\n"
            "-9223372036854775809\n" +
            FormatNumeric(-kMaxNumeric) + "\n\n");
  CHECK(Sql(path, "SELECT k FROM r WHERE total > 1000 AND total < 2000") == "k1\n");
  CHECK(Sql(path, "SELECT max(total), min(total) FROM r WHERE total BETWEEN -1000 AND 2000") ==
        "1200|-20\n");
  CHECK(Sql(path, "SELECT sum(total), avg(total) FROM r WHERE k IN ('k0', 'k3')") == "-11|-5.5\n");
  CHECK(Sql(path, "SELECT DISTINCT typeof(total), total__exact IS NULL FROM r ORDER BY 1") ==
        "integer|1\nnull|1\nreal|0\n");
}

TEST_CASE_METHOD(Fixture, "SQL orders doubles with infinities and NaN as PostgreSQL does") {
  REQUIRE(executor.RunUntilDone(store->TakeOver(shard, Epoch(1))).ok());
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<OutputRow> rows;
  for (const double mean : {std::nan(""), kInfinity, 1.5, -kInfinity, -2.5, 1e300}) {
    const auto seq = static_cast<int64_t>(rows.size()) + 1;
    rows.push_back(test::ServingRow(seq, "k" + std::to_string(seq), 0, seq));
    rows.back().values[4].data = mean;
  }
  REQUIRE(Apply(0, rows).ok());
  CHECK(Sql(path, "SELECT k FROM r ORDER BY mean") == "k4\nk5\nk3\nk6\nk2\nk1\n");
  CHECK(Sql(path, "SELECT k FROM r WHERE mean < 0 ORDER BY k") == "k4\nk5\n");
  CHECK(Sql(path, "SELECT k FROM r WHERE mean = 'NaN'") == "k1\n");
}

TEST_CASE_METHOD(Fixture, "a view's own column that is called as an exact one keeps its name") {
  PipelineSpec p = test::ServingPipeline();
  p.select[3].name = "TOTAL__exact";
  p.select[6].name = "total__exact_";
  p.select[6].expr.type = Type::kNumeric;
  const ShardId clash{{"default", "clash", Offset(70)}, PartitionId(0)};
  Define(clash.incarnation, test::ServingStream(), p);
  REQUIRE(executor.RunUntilDone(store->TakeOver(clash, Epoch(1))).ok());
  OutputRow row = test::ServingRow(1, "a", 0, 7);
  row.values[6] = {Type::kNumeric, -kMaxNumeric};
  REQUIRE(ApplyFirst(clash, row).ok());
  CHECK(Sql(path, "SELECT \"TOTAL__exact\", total__exact__, total__exact___exact FROM clash") ==
        "7|" + FormatNumeric(kMaxNumeric - 7) + "|" + FormatNumeric(-kMaxNumeric) + "\n");
  ServingQuery q;
  q.name = "clash";
  const auto table = executor.RunUntilDone(test::ReadAll(store.get(), q)).value();
  CHECK(table.names == std::vector<std::string>{"k", "window_start", "window_end", "TOTAL__exact",
                                                "mean", "total", "total__exact_"});
  CHECK(ValueText(table.rows.at(0)[5]) == FormatNumeric(kMaxNumeric - 7));
  CHECK(ValueText(table.rows.at(0)[6]) == FormatNumeric(-kMaxNumeric));
}

TEST_CASE_METHOD(Fixture, "columns that are called as SQL's constants have their values") {
  PipelineSpec p = test::ServingPipeline();
  p.select[3].name = "true";
  p.select[4].name = "False";
  p.select[6].name = "null";
  const ShardId words{{"default", "words", Offset(71)}, PartitionId(0)};
  Define(words.incarnation, test::ServingStream(), p);
  REQUIRE(executor.RunUntilDone(store->TakeOver(words, Epoch(1))).ok());
  REQUIRE(ApplyFirst(words, test::ServingRow(1, "a", 0, 7)).ok());
  CHECK(Sql(path, "SELECT true_, False_, \"null\" FROM words") == "7|1.75|1\n");
  ServingQuery q;
  q.name = "words";
  const auto table = executor.RunUntilDone(test::ReadAll(store.get(), q)).value();
  CHECK(table.names.at(3) == "true");
  CHECK(ValueText(table.rows.at(0)[3]) == "7");
}

TEST_CASE_METHOD(Fixture, "an index serves the order of every kind of query") {
  for (const char* where :
       {"FROM \"r@17\" WHERE NOT _deleted AND _key > ? ORDER BY _key",
        "FROM \"r@17\" WHERE NOT _deleted AND k = 'a' AND _key > ? ORDER BY _key",
        "FROM \"r@17\" WHERE NOT _deleted AND k IS NULL AND _key > ? AND _key < ? ORDER BY _key",
        "FROM \"r_late@17\" WHERE (\"partition\", _seq) > (?, ?) ORDER BY \"partition\", _seq",
        "FROM \"r_quarantine@17\" WHERE (\"partition\", _seq) > (?, ?) "
        "ORDER BY \"partition\", _seq"}) {
    const std::string plan = Sql(path, std::string("EXPLAIN QUERY PLAN SELECT * ") + where);
    INFO(where << ": " << plan);
    CHECK(plan.find("SEARCH") != std::string::npos);
    CHECK(plan.find("TEMP B-TREE") == std::string::npos);
  }
  CHECK(Sql(path, "EXPLAIN QUERY PLAN SELECT * FROM r WHERE k = 'a'").find("r@17_key1") !=
        std::string::npos);
}

TEST_CASE("a lock on the store holds up nothing but its writers") {
  const test::TempDir dir;
  const std::string path = dir.Sub("serving.db");
  const auto store = SqliteServingStore::Open(path).value();
  // One thread for everything that blocks, as far as an adapter has none of its own.
  ThreadDriver driver({.cores = 1, .blocking_threads = 1, .on_failure = {}});
  const ShardId shard = test::ServingShard();
  const auto run = [&](auto task) { return RunBlocking(driver.core(0), std::move(task)); };
  REQUIRE(
      run(store->Define(shard.incarnation, test::ServingStream(), test::ServingPipeline())).ok());
  REQUIRE(
      run(store->Attach(shard.incarnation, test::ServingStream(), test::ServingPipeline())).ok());
  REQUIRE(run(store->TakeOver(shard, Epoch(1))).ok());

  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &other) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
  std::promise<Status> applied;
  driver.core(0).Spawn([](SqliteServingStore* s, ServingBatch batch, std::promise<Status>* done)
                           -> Task<void> {
    auto applying = s->Apply(std::move(batch));
    const Status status = co_await std::move(applying);
    done->set_value(status);
  }(store.get(),
                           test::ServingBatches().Make(shard, Epoch(1), Output::kResults, 0, 1,
                                                       {test::ServingRow(1, "a", 0, 1)}),
                           &applied));
  // What others offload, and queries, are through before the lock is given back; the batch is not.
  CHECK(run(Offload([] { return 1; })) == 1);
  ServingQuery q;
  q.name = "r";
  CHECK(run(test::ReadAll(store.get(), q)).value().rows.empty());
  REQUIRE(sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(other);
  CHECK(applied.get_future().get().ok());
  driver.Stop();
}

TEST_CASE("a page that is being read ends when its query is cancelled") {
  const test::TempDir dir;
  const std::string path = dir.Sub("serving.db");
  const auto store = SqliteServingStore::Open(path).value();
  ThreadDriver driver({.cores = 1, .blocking_threads = 1, .on_failure = {}});
  const ShardId shard = test::ServingShard();
  const auto run = [&](auto task) { return RunBlocking(driver.core(0), std::move(task)); };
  REQUIRE(
      run(store->Define(shard.incarnation, test::ServingStream(), test::ServingPipeline())).ok());
  // The table becomes a view of rows without end, so that a page of it never ends by itself.
  CHECK(Sql(path,
            "ALTER TABLE \"r@17\" RENAME TO kept; CREATE VIEW \"r@17\" AS WITH RECURSIVE n(i) AS "
            "(SELECT 1 UNION ALL SELECT i + 1 FROM n) "
            "SELECT i AS k, CAST(i AS BLOB) AS _key, i > 0 AS _deleted FROM n") == "");
  ServingQuery q;
  q.name = "r";
  const auto cursor = run(store->Open(q)).value();
  std::promise<Code> ended;
  driver.core(0).Spawn([](std::shared_ptr<RowCursor> c, std::promise<Code>* done) -> Task<void> {
    auto reading = c->Next(10, 1 << 20);
    const auto page = co_await std::move(reading);
    done->set_value(page.ok() ? Code::kInternal : page.error().code);
  }(cursor, &ended));
  for (int i = 0; i < 100; ++i) run(Offload([] { return 1; }));
  cursor->Cancel();
  CHECK(ended.get_future().get() == Code::kUnavailable);
  driver.Stop();
}

TEST_CASE_METHOD(Fixture, "rows, fences and views are there after the store is opened again") {
  REQUIRE(executor.RunUntilDone(store->TakeOver(shard, Epoch(1))).ok());
  REQUIRE(Apply(0, {test::ServingRow(1, "a", 0, 2)}).ok());
  Open();
  CHECK(executor.RunUntilDone(store->ReadFences({shard})).value()[0]->seq(Output::kResults) == 1);
  REQUIRE(Apply(1, {test::ServingRow(2, "a", 0, 5, 2)}).ok());
  ServingQuery q;
  q.name = "r";
  CHECK(executor.RunUntilDone(test::ReadAll(store.get(), q)).value().rows.size() == 1);
}

TEST_CASE("a batch is synced to disk before anyone is told that it is applied") {
  const CountedSyncs syncs;
  Fixture f;
  REQUIRE(f.executor.RunUntilDone(f.store->TakeOver(f.shard, Epoch(1))).ok());
  for (int64_t seq = 1; seq <= 3; ++seq) {
    const int before = CountedSyncs::count;
    REQUIRE(f.Apply(seq - 1, {test::ServingRow(seq, "a", 0, seq, seq)}).ok());
    CHECK(CountedSyncs::count > before);
  }
}

TEST_CASE_METHOD(Fixture, "raw events are deleted that no view of this process defines") {
  REQUIRE(executor.RunUntilDone(store->TakeOver(shard, Epoch(1))).ok());
  OutputRow row;
  row.output = Output::kQuarantine;
  row.seq = 1;
  row.caused_at = 5 * kSecond;
  row.payload = "secret";
  REQUIRE(Apply(0, {row}).ok());
  REQUIRE(executor.RunUntilDone(store->DropViews(shard.incarnation)).ok());
  store.reset();
  store = SqliteServingStore::Open(path).value();
  CHECK(executor.RunUntilDone(store->DeleteRaw(5 * kSecond, 10)).value() == 0);
  CHECK(Sql(path, "SELECT payload FROM \"r_quarantine@17\"") == "secret\n");
  CHECK(executor.RunUntilDone(store->DeleteRaw(5 * kSecond + 1, 10)).value() == 1);
  CHECK(Sql(path, "SELECT count(*) FROM \"r_quarantine@17\"") == "0\n");
  CHECK(Sql(path, "DROP TABLE \"r_quarantine@17\"") == "");
  CHECK(executor.RunUntilDone(store->DeleteRaw(kPlusInfinity, 10)).value() == 0);
}

TEST_CASE_METHOD(Fixture,
                 "a batch with a row that cannot be written leaves the fence where it was") {
  REQUIRE(executor.RunUntilDone(store->TakeOver(shard, Epoch(1))).ok());
  OutputRow bad = test::ServingRow(2, "b", 0, 3);
  bad.values.pop_back();
  CHECK(Apply(0, {test::ServingRow(1, "a", 0, 2), bad}).error().code == Code::kInternal);
  CHECK(executor.RunUntilDone(store->ReadFences({shard})).value()[0]->seq(Output::kResults) == 0);
  CHECK(Sql(path, "SELECT count(*) FROM \"r@17\"") == "0\n");
  REQUIRE(Apply(0, {test::ServingRow(1, "a", 0, 2)}).ok());
}

TEST_CASE_METHOD(Fixture, "columns that differ only in case are refused with what to do") {
  PipelineSpec p = test::ServingPipeline();
  p.select[3].name = "K";
  const auto refused = executor.RunUntilDone(
      store->Define({"default", "case", Offset(60)}, test::ServingStream(), p));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::kInvalidArgument);
  CHECK(refused.error().message.find("AS") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "a table may be as wide as the limit, and its view and rows too") {
  StreamSpec stream = test::ServingStream();
  PipelineSpec p = test::ServingPipeline();
  for (int i = 0; ServingColumns(stream, p, Output::kResults).size() < kMaxServingColumns - 1; ++i)
    p.select.push_back({"c" + std::to_string(i), p.select[3].expr, -1});
  const ShardId wide{{"default", "wide", Offset(61)}, PartitionId(0)};
  Define(wide.incarnation, stream, p);
  REQUIRE(executor.RunUntilDone(store->TakeOver(wide, Epoch(1))).ok());
  OutputRow row = test::ServingRow(1, "a", 0, 2);
  row.values.resize(p.select.size(), row.values[3]);
  REQUIRE(ApplyFirst(wide, row).ok());
  ServingQuery q;
  q.name = "wide";
  CHECK(executor.RunUntilDone(test::ReadAll(store.get(), q)).value().rows.size() == 1);
}

TEST_CASE("a serving store that cannot be opened for want of descriptors is no wrong file") {
  const test::TempDir dir;
  REQUIRE(SqliteServingStore::Open(dir.Sub("serving.db")).ok());
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{0, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto opened = SqliteServingStore::Open(dir.Sub("serving.db"));
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE_FALSE(opened.ok());
  INFO(opened.error().message);
  CHECK(opened.error().code == Code::kUnavailable);
  CHECK(opened.error().message.find("ulimit -n") != std::string::npos);
}

TEST_CASE("a file that is no serving store is refused with its name") {
  const test::TempDir dir;
  std::ofstream(dir.Sub("text.db")) << std::string(5000, 'x');
  const auto text = SqliteServingStore::Open(dir.Sub("text.db"));
  REQUIRE_FALSE(text.ok());
  CHECK(text.error().code == Code::kCorruption);
  CHECK(text.error().message.find(dir.Sub("text.db")) != std::string::npos);
  const auto nowhere = SqliteServingStore::Open(dir.Sub("no/such/dir.db"));
  REQUIRE_FALSE(nowhere.ok());
  CHECK(nowhere.error().code == Code::kInvalidArgument);
  {
    SqliteServingStore::Open(dir.Sub("new.db")).value();
  }
  CHECK(Sql(dir.Sub("new.db"), "PRAGMA user_version = 9") == "");
  CHECK(SqliteServingStore::Open(dir.Sub("new.db")).error().code == Code::kInvalidArgument);
}
