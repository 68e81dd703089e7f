#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <random>

#include "contract/serving_rows.h"
#include "millrace/serving/serving_reader.h"
#include "millrace/serving/serving_tables.h"
#include "millrace/serving/serving_writer.h"
#include "support/catch.h"
#include "support/read_all.h"

namespace millrace::test {

/// What every body of the port `serving` promises. `make` gives an empty store, which is its own
/// reader. `refuse` makes the table of ServingShard() refuse rows whose n is 100.
template <typename Store>
void CheckServingContract(TestExecutor& executor,
                          const std::function<std::unique_ptr<Store>()>& make,
                          const std::function<void(Store*)>& refuse) {
  const std::unique_ptr<Store> store = make();
  const auto run = [&](auto task) { return executor.RunUntilDone(std::move(task)); };
  const ShardId shard = ServingShard();
  const Epoch epoch(3);
  ServingBatches batches;
  const auto apply_to = [&](const ShardId& to, Output output, int64_t low, int64_t high,
                            std::vector<OutputRow> rows, Epoch e = Epoch(3)) {
    return batches.Apply(executor, store.get(), to, e, output, low, high, std::move(rows));
  };
  const auto apply = [&](int64_t low, int64_t high, std::vector<OutputRow> rows,
                         Epoch e = Epoch(3)) {
    const Output output = rows.empty() ? Output::kResults : rows[0].output;
    return apply_to(shard, output, low, high, std::move(rows), e);
  };
  const auto fence_of = [&](const ShardId& s) { return run(store->ReadFences({s})).value()[0]; };
  const auto query = [&](ServingQuery q = {}) {
    q.name = "r";
    return run(ReadAll(store.get(), q));
  };
  const auto counts = [&](ServingQuery q = {}) {
    std::string text;
    const auto table = query(std::move(q)).value();
    for (const auto& row : table.rows)
      text += ValueText(row[0]) + "@" + std::to_string(std::get<int64_t>(row[1].data) / kSecond) +
              "=" + ValueText(row[3]) + " ";
    return text;
  };
  const auto define = [&](const Incarnation& incarnation, const PipelineSpec& pipeline) {
    const Status defined = run(store->Define(incarnation, ServingStream(), pipeline));
    if (!defined.ok()) return defined;
    return run(store->Attach(incarnation, ServingStream(), pipeline));
  };
  CHECK(run(store->Attach(shard.incarnation, ServingStream(), ServingPipeline())).error().code ==
        Code::kNotFound);
  REQUIRE(define(shard.incarnation, ServingPipeline()).ok());
  CHECK(apply(0, 1, {ServingRow(1, "a", 0, 1)}).error().code == Code::kConflict);
  CHECK(run(store->TakeOver(shard, epoch)).value() == Fence{epoch});

  SECTION("values read back as they are, whatever they are") {
    OutputRow odd = ServingRow(1, std::nullopt, -20, 1);
    odd.values[3].data = std::numeric_limits<int64_t>::min();
    odd.values[4].data = std::nan("");
    odd.values[5].data = Int128{-5};
    OutputRow empty = ServingRow(2, "", 0, 2);
    empty.values[4].data = -std::numeric_limits<double>::infinity();
    OutputRow quoted = ServingRow(3, "it's \"q\"\n\xc3\xa9", 0, 3);
    quoted.values[4].data = 0.1;
    for (size_t i = 3; i < 7; ++i) empty.values[i].data = std::monostate();
    empty.values[4].data = std::numeric_limits<double>::infinity();
    REQUIRE(apply(0, 3, {odd, empty, quoted}).ok());
    const auto table = query().value();
    CHECK(table.names == std::vector<std::string>{"k", "window_start", "window_end", "n", "mean",
                                                  "total", "flag"});
    REQUIRE(table.rows.size() == 3);
    CHECK(TableText(table) ==
          "NULL,1969-12-31T23:59:40.000000Z,1969-12-31T23:59:50.000000Z,-9223372036854775808,NaN,"
          "-5,true\n"
          ",1970-01-01T00:00:00.000000Z,1970-01-01T00:00:10.000000Z,NULL,Infinity,NULL,NULL\n"
          "it's \"q\"\n\xc3\xa9,1970-01-01T00:00:00.000000Z,1970-01-01T00:00:10.000000Z,3,0.1," +
              FormatNumeric(kMaxNumeric - 3) + ",true\n");
    CHECK(table.rows[0][5].type == Type::kNumeric);
  }

  SECTION("numbers read back to the last digit and bit") {
    const Int128 beyond = Int128{std::numeric_limits<int64_t>::max()} + 1;
    const Int128 numerics[] = {0,       -1,          beyond - 1,  beyond,      beyond + 1,
                               -beyond, -beyond - 1, kMaxNumeric, -kMaxNumeric};
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const double doubles[] = {0.0,
                              -0.0,
                              5e-324,
                              1e300,
                              9007199254740993.0,
                              -kInfinity,
                              kInfinity,
                              0.1,
                              -9223372036854775808.0};
    std::vector<OutputRow> rows;
    for (size_t i = 0; i < std::size(numerics); ++i) {
      const auto seq = static_cast<int64_t>(i) + 1;
      rows.push_back(ServingRow(seq, "k", seq, 0));
      rows.back().values[4].data = doubles[i];
      rows.back().values[5].data = numerics[i];
    }
    REQUIRE(apply(0, std::size(numerics), rows).ok());
    const auto table = query().value();
    REQUIRE(table.rows.size() == std::size(numerics));
    for (size_t i = 0; i < std::size(numerics); ++i) {
      CHECK(FormatNumeric(std::get<Int128>(table.rows[i][5].data)) == FormatNumeric(numerics[i]));
      CHECK(std::get<double>(table.rows[i][4].data) == doubles[i]);
      ServingQuery q;
      q.keys = {{"total", FormatNumeric(numerics[i])}};
      CHECK(query(q).value().rows.size() == 1);
    }
  }

  SECTION("a row is replaced by one of a larger number") {
    REQUIRE(apply(0, 1, {ServingRow(1, "a", 0, 10, 1)}).ok());
    REQUIRE(apply(1, 2, {ServingRow(2, "a", 0, 20, 2)}).ok());
    CHECK(counts() == "a@0=20 ");
    REQUIRE(apply(2, 4, {ServingRow(3, "a", 0, 40, 3), ServingRow(4, "a", 0, 50, 4)}).ok());
    CHECK(counts() == "a@0=50 ");
    // A skip went back: the window is made again, from its first revision on, under new numbers.
    REQUIRE(apply(4, 5, {ServingRow(5, "a", 0, 60, 1)}).ok());
    CHECK(counts() == "a@0=60 ");
    REQUIRE(apply(5, 7, {ServingRow(6, "a", 0, 70, 2), ServingRow(7, "a", 0, 80, 1)}).ok());
    CHECK(counts() == "a@0=80 ");
  }

  SECTION("a deletion hides its row, and a later revision brings it back") {
    REQUIRE(apply(0, 2, {ServingRow(1, "a", 0, 1), ServingRow(2, "b", 0, 2)}).ok());
    REQUIRE(apply(2, 3, {Deleted(ServingRow(3, "a", 0, 0, 2))}).ok());
    CHECK(counts() == "b@0=2 ");
    REQUIRE(apply(3, 4, {ServingRow(4, "a", 0, 7, 3)}).ok());
    CHECK(counts() == "a@0=7 b@0=2 ");
  }

  SECTION("provisional rows stand until a result does") {
    const auto provisional = [](int64_t seq, int64_t n) {
      return ServingRow(seq, "a", 0, n, 0, Output::kProvisional);
    };
    REQUIRE(apply(0, 1, {provisional(1, 1)}).ok());
    CHECK(counts() == "a@0=1 ");
    ServingQuery with_meta;
    with_meta.meta = true;
    CHECK(TableText(query(with_meta).value()).find(",0,true,false,false,p2,1,") !=
          std::string::npos);
    REQUIRE(apply(1, 2, {Deleted(provisional(2, 2))}).ok());
    CHECK(counts() == "");
    REQUIRE(apply(2, 3, {provisional(3, 3)}).ok());
    CHECK(counts() == "a@0=3 ");
    REQUIRE(apply(0, 1, {ServingRow(1, "a", 0, 10, 1)}).ok());
    CHECK(counts() == "a@0=10 ");
    REQUIRE(apply(3, 5, {provisional(4, 4), Deleted(provisional(5, 5))}).ok());
    CHECK(counts() == "a@0=10 ");
    CHECK(TableText(query(with_meta).value()).find(",1,false,false,false,p2,1,") !=
          std::string::npos);
  }

  SECTION("a batch that does not begin where the fence is writes nothing") {
    REQUIRE(apply(0, 2, {ServingRow(1, "a", 0, 1), ServingRow(2, "b", 0, 2)}).ok());
    CHECK(apply(0, 2, {ServingRow(1, "a", 0, 5), ServingRow(2, "c", 0, 2)}).error().code ==
          Code::kConflict);
    CHECK(apply(3, 4, {ServingRow(4, "c", 0, 1)}).error().code == Code::kConflict);
    CHECK(apply(2, 3, {ServingRow(3, "c", 0, 1)}, Epoch(2)).error().code == Code::kConflict);
    CHECK(apply(2, 3, {ServingRow(3, "c", 0, 1)}, Epoch(4)).error().code == Code::kConflict);
    CHECK(counts() == "a@0=1 b@0=2 ");
    CHECK(fence_of(shard)->epoch == epoch);
    CHECK(fence_of(shard)->last[1] == ServingBatches::At(2));
    CHECK(fence_of(shard)->seq(Output::kLate) == 0);
    CHECK(apply(2, 3, {ServingRow(4, "c", 0, 1)}).error().code == Code::kInternal);
    REQUIRE(apply(2, 2, {}).ok());
    REQUIRE(apply(2, 9, {}).ok());
    REQUIRE(apply(9, 10, {ServingRow(10, "c", 0, 3)}).ok());
  }

  SECTION("a batch that begins behind other rows writes nothing") {
    REQUIRE(apply(0, 2, {ServingRow(1, "a", 0, 1), ServingRow(2, "b", 0, 2)}).ok());
    for (const bool same_low_half : {false, true}) {
      ServingBatch other =
          batches.Make(shard, epoch, Output::kResults, 2, 3, {ServingRow(3, "c", 0, 1)});
      (same_low_half ? other.from[1].hash.hi : other.from[1].hash.lo) ^= 1;
      CHECK(run(store->Apply(other)).error().code == Code::kConflict);
    }
    // Of an output that has no rows in it, too.
    ServingBatch late = batches.Make(shard, epoch, Output::kResults, 2, 3, {});
    late.from[static_cast<size_t>(Output::kLate)].hash.lo = 1;
    CHECK(run(store->Apply(late)).error().code == Code::kConflict);
    CHECK(counts() == "a@0=1 b@0=2 ");
    CHECK(fence_of(shard)->last[1] == ServingBatches::At(2));
    ServingBatch files = batches.Make(shard, epoch, Output::kResults, 2, 3, {});
    files.to[static_cast<size_t>(Output::kFiles)].seq = 1;
    CHECK(run(store->Apply(files)).error().code == Code::kInternal);
    REQUIRE(apply(2, 3, {ServingRow(3, "c", 0, 3)}).ok());
  }

  SECTION("a row that the store will never take is named, and nothing of its batch is written") {
    refuse(store.get());
    const Status applied = apply(
        0, 3, {ServingRow(1, "a", 0, 1), ServingRow(2, "b", 0, 100), ServingRow(3, "c", 0, 3)});
    REQUIRE_FALSE(applied.ok());
    CHECK(applied.error().code == Code::kInvalidArgument);
    CHECK_THAT(applied.error().message, ContainsText("output=results row=2 offset=102"));
    CHECK(counts() == "");
    CHECK(fence_of(shard) == Fence{epoch});
    REQUIRE(apply(0, 1, {ServingRow(1, "a", 0, 1)}).ok());
    CHECK(counts() == "a@0=1 ");
  }

  SECTION("one batch moves all outputs of a shard, or none") {
    ServingBatch both =
        batches.Make(shard, epoch, Output::kResults, 0, 1,
                     {ServingRow(1, "a", 0, 1, 0, Output::kProvisional), ServingRow(1, "b", 0, 2)});
    both.to[static_cast<size_t>(Output::kProvisional)] = ServingBatches::At(1);
    ServingBatch short_one = both;
    short_one.to[static_cast<size_t>(Output::kProvisional)] = {};
    CHECK(run(store->Apply(short_one)).error().code == Code::kInternal);
    CHECK(fence_of(shard) == Fence{epoch});
    REQUIRE(run(store->Apply(both)).ok());
    CHECK(counts() == "a@0=1 b@0=2 ");
    CHECK(fence_of(shard) == Fence{epoch, both.to});
    CHECK(run(store->Apply(both)).error().code == Code::kConflict);
  }

  SECTION("a newer owner takes over, and the older one is fenced") {
    REQUIRE(apply(0, 1, {ServingRow(1, "a", 0, 1)}).ok());
    CHECK(run(store->TakeOver(shard, epoch)).value().seq(Output::kResults) == 1);
    const Fence taken = run(store->TakeOver(shard, Epoch(5))).value();
    CHECK(taken.epoch == Epoch(5));
    CHECK(taken.last[1] == ServingBatches::At(1));
    CHECK(run(store->TakeOver(shard, epoch)).error().code == Code::kFenced);
    CHECK(apply(1, 2, {ServingRow(2, "a", 0, 2, 2)}).error().code == Code::kConflict);
    REQUIRE(apply(1, 2, {ServingRow(2, "a", 0, 2, 2)}, Epoch(5)).ok());
    const ShardId other = ServingShard(17, 3);
    const auto fences = run(store->ReadFences({other, shard, ServingShard(99), shard})).value();
    REQUIRE(fences.size() == 4);
    CHECK_FALSE(fences[0]);
    CHECK(fences[1]->seq(Output::kResults) == 2);
    CHECK_FALSE(fences[2]);
    CHECK(fences[3] == fences[1]);
    CHECK(run(store->ReadFences({})).value().empty());
  }

  SECTION("rows come by window end, window start and group key, and can be filtered") {
    std::vector<OutputRow> rows;
    int64_t seq = 0;
    for (const int64_t start : {20, 0, 10})
      for (const char* k : {"b", "a", "ab"}) {
        ++seq;
        rows.push_back(ServingRow(seq, k, start, seq));
      }
    rows.push_back(ServingRow(10, std::nullopt, 10, 10));
    REQUIRE(apply(0, 10, rows).ok());
    CHECK(counts() == "a@0=5 ab@0=6 b@0=4 NULL@10=10 a@10=8 ab@10=9 b@10=7 a@20=2 ab@20=3 b@20=1 ");
    ServingQuery q;
    q.keys = {{"k", "a"}};
    CHECK(counts(q) == "a@0=5 a@10=8 a@20=2 ");
    q.from = 10 * kSecond;
    q.to = 20 * kSecond;
    CHECK(counts(q) == "a@10=8 ");
    q.keys = {};
    CHECK(counts(q) == "NULL@10=10 a@10=8 ab@10=9 b@10=7 ");
    q.keys = {{"k", std::string(1, '\0')}};
    CHECK(counts(q) == "NULL@10=10 ");
    q = {};
    q.keys = {{"window_start", "1970-01-01T01:00:20+01:00"}, {"n", "3"}, {"flag", "true"}};
    CHECK(counts(q) == "ab@20=3 ");
    q.keys = {{"mean", "0.75"}, {"total", FormatNumeric(kMaxNumeric - 3)}};
    CHECK(counts(q) == "ab@20=3 ");
    q.keys = {{"mean", "0.75"}, {"total", "1"}};
    CHECK(counts(q) == "");
    q.keys = {{"n", "three"}};
    CHECK(query(q).error().code == Code::kInvalidArgument);
    q.keys = {{"nobody", "x"}};
    CHECK(query(q).error().code == Code::kInvalidArgument);
    q.keys = {{"_seq", "1"}};
    CHECK(query(q).error().code == Code::kInvalidArgument);
  }

  SECTION("late and quarantined events have tables of their own, written once") {
    OutputRow late;
    late.output = Output::kLate;
    late.seq = 1;
    late.cause = Offset(7);
    late.cause_row = 3;
    late.caused_at = 5;
    late.event_time = 11 * kSecond;
    late.missed = 2;
    late.first_missed_end = 20 * kSecond;
    late.last_missed_end = 30 * kSecond;
    late.values = {
        {Type::kTimestamp, late.event_time}, {Type::kText, {}}, {Type::kInt, int64_t{4}}};
    OutputRow event;
    event.output = Output::kQuarantine;
    event.seq = 1;
    event.cause = Offset(8);
    event.reason = Reason::kUnreadable;
    event.detail = "detail";
    event.payload = std::string("{not\0\xff", 6);
    OutputRow failed = event;
    failed.seq = 2;
    failed.is_row = true;
    failed.reason = Reason::kEvaluationError;
    failed.payload.clear();
    failed.key = ServingRow(1, "a\"b", 0, 0).key;
    failed.window_end = 10 * kSecond;
    REQUIRE(apply(0, 1, {late}).ok());
    REQUIRE(apply(0, 2, {event, failed}).ok());
    ServingQuery q;
    q.output = Output::kLate;
    const auto rows = query(q).value();
    CHECK(rows.names == std::vector<std::string>{"partition", "offset", "row", "event_time",
                                                 "missed", "first_missed_end", "last_missed_end",
                                                 "ts", "k", "row_"});
    CHECK(TableText(rows) ==
          "2,7,3,1970-01-01T00:00:11.000000Z,2,1970-01-01T00:00:20.000000Z,"
          "1970-01-01T00:00:30.000000Z,1970-01-01T00:00:11.000000Z,NULL,4\n");
    q.from = 11 * kSecond;
    CHECK(query(q).value().rows.size() == 1);
    q.from = 11 * kSecond + 1;
    CHECK(query(q).value().rows.empty());
    q = {};
    q.output = Output::kQuarantine;
    CHECK(TableText(query(q).value()) ==
          "2,8,0,event,UNREADABLE,detail," + event.payload +
              "\n2,8,0,row,EVALUATION_ERROR,detail,"
              "{\"window_start\":\"1970-01-01T00:00:00.000000Z\",\"window_end\":"
              "\"1970-01-01T00:00:10.000000Z\",\"k\":\"a\\\"b\"}\n");
    q.meta = true;
    CHECK(query(q).value().names.back() == "_updated_at");
    q.to = 0;
    CHECK(query(q).error().code == Code::kInvalidArgument);
  }

  SECTION("raw events are deleted by the age of their record, fences and results are not") {
    const Micros begin = 1'000'000'000 * kSecond;
    const auto raw = [&](Output output, int64_t seq) {
      OutputRow row;
      row.output = output;
      row.seq = seq;
      row.cause = Offset(seq);
      row.caused_at = begin + seq * kSecond;
      row.detail = "d";
      row.payload = "p";
      if (output == Output::kLate)
        row.values = {{Type::kTimestamp, int64_t{0}}, {Type::kText, {}}, {Type::kInt, int64_t{4}}};
      return row;
    };
    const auto apply_raw = [&](const ShardId& to, Output output, int64_t low, int64_t high) {
      std::vector<OutputRow> rows;
      for (int64_t seq = low + 1; seq <= high; ++seq) rows.push_back(raw(output, seq));
      return apply_to(to, output, low, high, rows);
    };
    const auto rows_of = [&](Output output) {
      ServingQuery q;
      q.output = output;
      return static_cast<int64_t>(query(q).value().rows.size());
    };
    const ShardId second = ServingShard(17, 3);
    for (const ShardId& s : {shard, second}) {
      for (const Output o : {Output::kLate, Output::kQuarantine}) {
        REQUIRE(run(store->TakeOver(s, epoch)).ok());
        REQUIRE(apply_raw(s, o, 0, 10).ok());
      }
    }
    REQUIRE(apply(0, 1, {ServingRow(1, "a", 0, 1)}).ok());
    const auto remove = [&](int64_t before_seq, int64_t max_rows) {
      return run(store->DeleteRaw(begin + before_seq * kSecond, max_rows)).value();
    };
    CHECK(remove(1, 100) == 0);
    // Records 1 to 4 of each table and shard, a few at a time.
    CHECK(remove(5, 7) == 7);
    CHECK(rows_of(Output::kLate) + rows_of(Output::kQuarantine) == 33);
    CHECK(remove(5, 7) == 7);
    CHECK(remove(5, 7) == 2);
    CHECK(remove(5, 7) == 0);
    CHECK(rows_of(Output::kLate) == 12);
    CHECK(rows_of(Output::kQuarantine) == 12);
    ServingQuery late;
    late.output = Output::kLate;
    CHECK(ValueText(query(late).value().rows[0][1]) == "5");
    CHECK(counts() == "a@0=1 ");
    for (const Output o : {Output::kLate, Output::kQuarantine}) {
      CHECK(fence_of(shard)->seq(o) == 10);
      CHECK(apply_raw(shard, o, 0, 4).error().code == Code::kConflict);
      CHECK(apply_raw(shard, o, 10, 11).ok());
    }
    CHECK(rows_of(Output::kLate) == 13);
    // Rows of a moment at which the clock was ahead do not keep what is behind them.
    CHECK(apply_raw(second, Output::kLate, 10, 12).ok());
    OutputRow ahead = raw(Output::kLate, 13);
    ahead.caused_at += 3600 * kSecond;
    REQUIRE(apply_to(second, Output::kLate, 12, 13, {ahead}).ok());
    CHECK(apply_raw(second, Output::kLate, 13, 15).ok());
    // A dropped incarnation's rows go too.
    REQUIRE(run(store->DropViews(shard.incarnation)).ok());
    REQUIRE(
        run(store->Define(ServingShard(40).incarnation, ServingStream(), ServingPipeline())).ok());
    CHECK(rows_of(Output::kLate) == 0);
    CHECK(remove(16, 100) == 30);
    CHECK(remove(16, 100) == 0);
    CHECK(remove(3700, 100) == 1);
    CHECK(remove(3700, 100) == 0);
  }

  SECTION("the name shows the youngest incarnation, and tables outlive their views") {
    REQUIRE(apply(0, 1, {ServingRow(1, "old", 0, 1)}).ok());
    const ShardId young = ServingShard(40);
    PipelineSpec other = ServingPipeline();
    other.select.erase(other.select.begin() + 4, other.select.end());
    REQUIRE(run(store->Define(young.incarnation, ServingStream(), other)).ok());
    CHECK(counts() == "");
    CHECK(query().value().names.size() == 4);
    const std::vector<Incarnation> shown = {young.incarnation};
    CHECK(run(store->ListViews()).value() == shown);
    REQUIRE(run(store->Define(shard.incarnation, ServingStream(), ServingPipeline())).ok());
    CHECK(query().value().names.size() == 4);
    REQUIRE(apply(1, 2, {ServingRow(2, "still", 0, 1)}).ok());
    CHECK(counts() == "");
    REQUIRE(run(store->DropViews(shard.incarnation)).ok());
    CHECK(query().ok());
    REQUIRE(run(store->DropViews(young.incarnation)).ok());
    CHECK(query().error().code == Code::kNotFound);
    CHECK(run(store->ListViews()).value().empty());
    REQUIRE(run(store->Define(shard.incarnation, ServingStream(), ServingPipeline())).ok());
    CHECK(counts() == "old@0=1 still@0=1 ");
  }

  SECTION("a mark stays until it is replaced") {
    CHECK(run(store->ReadMark()).value().empty());
    CHECK(run(store->Mark("cluster=one", false)).value() == "cluster=one");
    CHECK(run(store->Mark("cluster=two", false)).value() == "cluster=one");
    CHECK(run(store->Mark("cluster=two", true)).value() == "cluster=two");
    CHECK(run(store->Mark("cluster=one", false)).value() == "cluster=two");
    CHECK(run(store->ReadMark()).value() == "cluster=two");
  }

  SECTION("names of namespaces and of outputs do not meet") {
    Incarnation elsewhere{"team", "r", Offset(18)};
    PipelineSpec p = ServingPipeline();
    p.name_space = "team";
    REQUIRE(run(store->Define(elsewhere, ServingStream(), p)).ok());
    REQUIRE(apply(0, 1, {ServingRow(1, "a", 0, 1)}).ok());
    ServingQuery q;
    q.name_space = "team";
    CHECK(counts(q) == "");
    q.name_space = "nobody";
    CHECK(query(q).error().code == Code::kNotFound);
    const auto conflict =
        run(store->Define({"default", "r_late", Offset(50)}, ServingStream(), ServingPipeline()));
    REQUIRE_FALSE(conflict.ok());
    CHECK(conflict.error().code == Code::kConflict);
    CHECK(apply_to(ServingShard(99), Output::kResults, 0, 0, {}).error().code == Code::kNotFound);
  }
}

}  // namespace millrace::test
