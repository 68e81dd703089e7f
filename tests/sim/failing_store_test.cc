#include <algorithm>

#include "sim/scenario.h"
#include "support/catch.h"
#include "support/list_all.h"

namespace millrace::sim {

TEST_CASE(
    "a serving store that is away stops the reading at the outbox's bound, and loses nothing") {
  runtime::Options options = Scenario::Quick();
  options.outbox_bytes = 2000;
  Scenario s("json", options);
  s.Send(20);
  REQUIRE(s.Shard().next_offset == s.End());
  s.cluster.faulty_serving().Fail(true);
  s.Send(200);
  const Offset stopped = s.Shard().next_offset;
  CHECK(stopped < Offset(s.End().value - 50));
  s.Send(50);
  CHECK(s.Shard().next_offset == stopped);
  CHECK(s.Shard().state == "running");
  s.cluster.faulty_serving().Fail(false);
  s.Finish();
  CHECK(s.Shard().next_offset == s.End());
  CHECK(s.Different() == "");
}

TEST_CASE("a result file that cannot be put is encoded once, and one that is there not at all") {
  runtime::Options options = Scenario::Quick();
  options.cut_interval = std::chrono::hours(1);
  Scenario s("json", options);
  s.cluster.faulty_objects().Refuse("/results/");
  s.Send(100);
  REQUIRE(s.cluster.faulty_objects().refusals() > 3);
  CHECK(s.cluster.files.encoded == 1);
  s.cluster.faulty_objects().Refuse("");
  s.Send(20);
  const int before = s.cluster.files.encoded;
  CHECK(before ==
        static_cast<int>(
            s.cluster.Outside(test::ListAll(&s.cluster.objects, "default/results/"))->size()));
  // Everything is folded again, and every file but the open one is there.
  s.cluster.KillNode();
  s.cluster.StartNode();
  s.Sleep(seconds(5));
  CHECK(s.Shard().next_offset == s.End());
  CHECK(s.cluster.files.encoded == before);
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("a reader that is held up has one tick of its own before it, not one for each second") {
  runtime::Options options = Scenario::Quick();
  options.outbox_bytes = 2000;
  Scenario s("json", options);
  s.cluster.faulty_serving().Fail(true);
  s.Send(200);
  REQUIRE(s.Shard().next_offset < s.End());
  const Offset end = s.End();
  s.Sleep(seconds(45));
  CHECK(s.End().value - end.value <= 6);
  s.cluster.faulty_serving().Fail(false);
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("a drain ends in time, though a store does not answer") {
  Scenario s;
  s.Send(20);
  s.cluster.faults.max_delay = std::chrono::hours(10);
  const auto begun = s.world.now();
  const auto drain = [](runtime::AllRoles* roles) -> Task<bool> {
    co_await roles->Drain();
    co_return true;
  };
  REQUIRE(s.cluster.Call(drain(&s.cluster.roles()), seconds(600)).has_value());
  CHECK(s.world.now() - begun < seconds(25));
  s.cluster.faults.max_delay = milliseconds(20);
  s.cluster.KillNode();
  s.cluster.StartNode();
  s.Send(5);
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("a shard that cannot be opened says why until it is") {
  Scenario s;
  s.Send(10);
  s.cluster.KillNode();
  s.cluster.faulty_serving().Fail(true);
  s.cluster.StartNode();
  s.Sleep(seconds(2));
  CHECK(s.Shard().state == "opening");
  CHECK(s.Shard().message == "injected: the serving store is away");
  s.cluster.faulty_serving().Fail(false);
  s.Sleep(seconds(10));
  CHECK(s.Shard().state == "running");
  CHECK(s.Shard().message == "");
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("at a start the tables of many pipelines are made side by side, eight at a time") {
  Scenario s;
  std::string sql;
  for (int n = 0; n < 30; ++n)
    sql += "CREATE MATERIALIZED VIEW r" + std::to_string(n) +
           " AS SELECT k, window_start, window_end, count(*) AS n FROM tumble(s, ts, INTERVAL '2 "
           "seconds') GROUP BY k, window_start, window_end;";
  REQUIRE(s.cluster.Call(s.cluster.coordinator().Apply(sql, false), seconds(60))->ok());
  s.cluster.KillNode();
  FaultyServingStore& tables = s.cluster.faulty_serving();
  tables.HoldDefines(true);
  const int begun = tables.defines_begun();
  s.cluster.StartNode();
  s.world.RunUntil([&] { return tables.defines_begun() >= begun + 8; }, seconds(60));
  s.Sleep(seconds(10));
  CHECK(tables.defines_begun() == begun + 8);
  tables.HoldDefines(false);
  s.Sleep(seconds(20));
  CHECK(tables.defines_begun() == begun + 31);
  const auto shards = s.cluster.Call(s.cluster.coordinator().ListShards(), seconds(60))->value();
  for (const auto& shard : shards) CHECK(shard.state == "running");
}

TEST_CASE("of many shards a few open at a time, and all of them open") {
  runtime::Options options = Scenario::Quick();
  options.opening_shards = 3;
  Scenario s("json", options);
  std::string sql = kSql;
  sql.replace(sql.find("%s"), 2, "json");
  sql.replace(sql.find("TABLE s ("), 9, "TABLE t (");
  sql.replace(sql.find("VIEW r "), 7, "VIEW q ");
  sql.replace(sql.find("tumble(s"), 8, "tumble(t");
  sql.replace(sql.find("partitions = 1"), 14, "partitions = 40");
  REQUIRE(s.cluster.Call(s.cluster.coordinator().Apply(sql, false), seconds(60))->ok());
  const auto all_run = [&] {
    const auto shards = s.cluster.Call(s.cluster.coordinator().ListShards(), seconds(60))->value();
    return shards.size() == 41 && std::all_of(shards.begin(), shards.end(), [](const auto& shard) {
             return shard.state == "running";
           });
  };
  for (int start = 0; start < 2; ++start) {
    s.Sleep(seconds(20));
    CHECK(all_run());
    CHECK(s.cluster.faulty_serving().most_take_overs() == 3);
    s.cluster.KillNode();
    s.cluster.StartNode();
  }
}

TEST_CASE("the same new script applied by many at once is created once and refused to nobody") {
  Scenario s;
  std::string sql = kSql;
  for (size_t at = 0; (at = sql.find("%s")) != sql.npos;) sql.replace(at, 2, "json");
  sql.replace(sql.find("TABLE s ("), 9, "TABLE t (");
  sql.replace(sql.find("VIEW r "), 7, "VIEW q ");
  sql.replace(sql.find("tumble(s"), 8, "tumble(t");
  using Applied = Result<operations::ApplyReport>;
  std::vector<Applied> answers;
  const auto apply = [](runtime::Coordinator* coordinator, std::string text,
                        std::vector<Applied>* out) -> Task<void> {
    auto answer = co_await coordinator->Apply(std::move(text), false);
    out->push_back(std::move(answer));
  };
  for (int i = 0; i < 5; ++i)
    s.cluster.process().Spawn(apply(&s.cluster.coordinator(), sql, &answers));
  s.Sleep(seconds(5));
  REQUIRE(answers.size() == 5);
  int created = 0;
  for (const Applied& answer : answers) {
    INFO((answer.ok() ? std::string() : answer.error().message));
    REQUIRE(answer.ok());
    for (const operations::AppliedStatement& one : answer->statements)
      created += one.outcome == operations::Outcome::kCreated ? 1 : 0;
  }
  CHECK(created == 2);
}

TEST_CASE("an error of a later statement names those applied before it") {
  Scenario s;
  std::string sql = kSql;
  sql.replace(sql.find("%s"), 2, "json");
  sql.replace(sql.find("TABLE s ("), 9, "TABLE t (");
  sql.replace(sql.find("tumble(s"), 8, "tumble(t");
  const auto applied = *s.cluster.Call(s.cluster.coordinator().Apply(sql, false), seconds(60));
  REQUIRE_FALSE(applied.ok());
  CHECK(applied.error().message.find("the pipeline exists with another definition") == 0);
  CHECK(applied.error().message.ends_with("\napplied before it: stream t"));
}

TEST_CASE("a row that the table store will never take halts the shard, which says which row") {
  Scenario s;
  s.Send(20);
  s.cluster.serving.Refuse([](const OutputRow& row) { return row.seq >= 15; });
  s.Send(40);
  REQUIRE(s.Shard().state == "halted");
  CHECK_THAT(s.Shard().message,
             ContainsText("the table store will never take a row of this shard") &&
                 ContainsText("output=results row=15 offset=") && !ContainsText("shard skip"));
  // As long as the cause is there, it halts again.
  REQUIRE(s.Retry().ok());
  s.Sleep(seconds(3));
  REQUIRE(s.Shard().state == "halted");
  s.cluster.serving.Refuse({});
  REQUIRE(s.Retry().ok());
  s.Send(5);
  s.Finish();
  CHECK(s.Shard().state == "running");
  CHECK(s.Different() == "");
}

namespace {

/// The script of a scenario's stream and of a view beside its own.
std::string SecondView() {
  std::string sql = kSql;
  sql.replace(sql.find("%s"), 2, "json");
  return sql.replace(sql.find(" r "), 3, " late_comer ");
}

bool HasViews(Scenario* s, const std::string& name) {
  const auto shown = s->cluster.Outside(s->cluster.serving.ListViews()).value();
  return std::any_of(shown.begin(), shown.end(), [&](const auto& v) { return v.name == name; });
}

}  // namespace

TEST_CASE("a serving store that goes back to before a view was defined gets its tables again") {
  Scenario s;
  s.Send(20);
  s.cluster.serving.Remember();
  REQUIRE(s.cluster.Call(s.cluster.coordinator().Apply(SecondView(), false), seconds(60))->ok());
  s.Send(40);
  s.cluster.serving.GoBack();
  REQUIRE_FALSE(HasViews(&s, "late_comer"));
  const auto all_run = [&] {
    const auto shards = s.cluster.Call(s.cluster.coordinator().ListShards(), seconds(60))->value();
    return std::all_of(shards.begin(), shards.end(),
                       [](const auto& shard) { return shard.state == "running"; });
  };
  for (int i = 0; i < 60 && !(HasViews(&s, "late_comer") && all_run()); ++i) s.Send(5);
  CHECK(all_run());
  s.Finish();
  REQUIRE(s.cluster.Call(s.cluster.coordinator().WaitApplied("default", "late_comer"), seconds(60))
              ->ok());
  s.Sleep(seconds(2));
  CHECK(s.Different() == "");
  auto second = std::get<PipelineSpec>(PlanScript(SecondView()).value()[1]);
  const Incarnation incarnation = *s.cluster.ReadControlLog().fold.Current("default", "late_comer");
  CHECK(Differences(&s.cluster, s.stream, incarnation, second) == "");
}

TEST_CASE("a serving store that goes back to before a view was dropped loses its views again") {
  Scenario s;
  REQUIRE(s.cluster.Call(s.cluster.coordinator().Apply(SecondView(), false), seconds(60))->ok());
  s.Send(20);
  s.cluster.serving.Remember();
  REQUIRE(
      s.cluster.Call(s.cluster.coordinator().DropPipeline("default", "late_comer"), seconds(60))
          ->ok());
  REQUIRE_FALSE(HasViews(&s, "late_comer"));
  s.cluster.serving.GoBack();
  REQUIRE(HasViews(&s, "late_comer"));
  for (int i = 0; i < 60 && HasViews(&s, "late_comer"); ++i) s.Send(5);
  CHECK_FALSE(HasViews(&s, "late_comer"));
  s.Finish();
  CHECK(s.Different() == "");
}

}  // namespace millrace::sim
