#include <algorithm>

#include "millrace/base/crash_point.h"
#include "sim/scenario.h"

namespace millrace::sim {
namespace {

constexpr const char* kDropAndMake = "DROP MATERIALIZED VIEW r; DROP TABLE s;";

std::string Sql(const char* format) {
  std::string sql = kSql;
  sql.replace(sql.find("%s"), 2, format);
  return sql;
}

Result<operations::ApplyReport> Apply(Scenario* s, const std::string& sql, bool may_drop = true) {
  auto applied = s->cluster.Call(s->cluster.coordinator().Apply(sql, may_drop), seconds(60));
  if (!applied) return Unavailable("the node died");
  return *applied;
}

bool HasTopic(Scenario* s, const std::string& name) {
  return s->cluster.Outside(s->cluster.log.DescribeTopic(name)).ok();
}

bool HasView(Scenario* s) {
  const ServingQuery query{"default", "r", Output::kResults, {}, {}, {}, false};
  return s->cluster.Outside(s->cluster.serving.Open(query)).ok();
}

/// Dies at the named point, once.
std::string die_at;
void DieThere(std::string_view name) {
  if (name != die_at) return;
  die_at.clear();
  throw SimCrash{std::string(name)};
}

}  // namespace

TEST_CASE("a stream that a view reads is not dropped, and the error names the view") {
  Scenario s;
  const auto refused = Apply(&s, "DROP TABLE s;");
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::kConflict);
  CHECK(refused.error().message.find("stream=s views=r") != std::string::npos);
  CHECK(Apply(&s, "DROP TABLE r;").error().message.find("write DROP MATERIALIZED VIEW") !=
        std::string::npos);
  CHECK(Apply(&s, "DROP MATERIALIZED VIEW s;").error().message.find("write DROP TABLE") !=
        std::string::npos);
  CHECK(Apply(&s, "DROP TABLE t;").error().code == Code::kNotFound);
  // Nothing of a script is applied that cannot be applied whole.
  CHECK(Apply(&s, "DROP MATERIALIZED VIEW r; DROP TABLE t;").error().code == Code::kNotFound);
  CHECK(HasView(&s));
  const auto absent = Apply(&s, "DROP TABLE IF EXISTS t; DROP MATERIALIZED VIEW IF EXISTS t;");
  REQUIRE(absent.ok());
  CHECK(absent->statements.at(0).outcome == operations::Outcome::kAbsent);
  CHECK(absent->statements.at(1).outcome == operations::Outcome::kAbsent);
}

TEST_CASE("a script that drops something is applied only by who says that it may") {
  Scenario s;
  const auto asked = Apply(&s, kDropAndMake + Sql("json"), false);
  REQUIRE(asked.ok());
  CHECK(asked->needs_consent);
  REQUIRE(asked->statements.size() == 2);
  CHECK(asked->statements[1].name == "s");
  CHECK(HasView(&s));
  CHECK_FALSE(Apply(&s, "DROP TABLE IF EXISTS other;", false)->needs_consent);
}

TEST_CASE("a dropped stream takes its topic along, and one of its name begins with nothing") {
  const char* format = GENERATE("arrow", "json");
  Scenario s(format);
  s.Send(10);
  const StreamSpec old = s.stream;
  REQUIRE(Apply(&s, kDropAndMake).ok());
  CHECK_FALSE(HasTopic(&s, old.topic));
  CHECK(s.cluster.gateway().Streams().empty());
  CHECK_FALSE(HasView(&s));
  const auto again = Apply(&s, Sql(format));
  REQUIRE(again.ok());
  CHECK(again->statements[0].outcome == operations::Outcome::kCreated);
  s.stream = s.cluster.StreamNow("s");
  CHECK(s.stream.generation > old.generation);
  s.incarnation = s.cluster.Call(s.cluster.coordinator().ListPipelines(), seconds(60))
                      ->value()
                      .at(0)
                      .incarnation;
  s.Send(5);
  s.Finish();
  CHECK(s.Counted() == 5);
  CHECK(s.Different() == "");
}

TEST_CASE("a crash anywhere in a drop loses nothing but what is dropped") {
  const std::string point =
      GENERATE("stream.drop.recorded", "stream.drop.topic_removed", "", "faults");
  Scenario s("arrow");
  s.Send(5);
  die_at = point;
  InstallCrashPointHandler(DieThere);
  if (point == "faults") s.cluster.faults = Faults{milliseconds(20), 0.2, 0.2};
  // As somebody would who sees the call fail: again, until it is done.
  for (int tries = 0;; ++tries) {
    REQUIRE(tries < 100);
    const auto dropped =
        Apply(&s, "DROP MATERIALIZED VIEW IF EXISTS r; DROP TABLE IF EXISTS s; " + Sql("arrow"));
    if (dropped.ok()) break;
    if (s.cluster.node_alive()) continue;
    s.cluster.KillNode();
    s.cluster.StartNode();
  }
  InstallCrashPointHandler(nullptr);
  s.cluster.faults = Faults();
  if (!point.empty() && point != "faults") CHECK(die_at.empty());
  s.cluster.KillNode();
  s.cluster.StartNode();
  s.stream = s.cluster.StreamNow("s");
  s.Send(7);
  s.incarnation = s.cluster.Call(s.cluster.coordinator().ListPipelines(), seconds(60))
                      ->value()
                      .at(0)
                      .incarnation;
  s.Finish();
  CHECK(s.Counted() == 7);
  CHECK(s.Different() == "");
  CHECK(HasTopic(&s, s.stream.topic));
}

TEST_CASE("of dropped pipelines neither a reader nor local state is left, and others keep theirs") {
  const char* format = GENERATE("arrow", "json");
  Scenario s(format);
  std::string other = Sql(format);
  other = other.substr(other.find("CREATE MATERIALIZED"));
  other.replace(other.find(" r "), 3, " other ");
  REQUIRE(Apply(&s, other).ok());
  const auto becomes = [&](int64_t readers, size_t states) {
    const auto so = [&] {
      return s.cluster.parsers.alive() == readers && s.cluster.states().names().size() == states;
    };
    s.world.RunUntil(so, seconds(60));
    CHECK(s.cluster.parsers.alive() == readers);
    CHECK(s.cluster.states().names().size() == states);
    // It stays so.
    s.Send(5);
    s.Sleep(seconds(5));
    CHECK(so());
  };
  becomes(1, 2);
  REQUIRE(Apply(&s, "DROP MATERIALIZED VIEW other;").ok());
  becomes(1, 1);
  REQUIRE(Apply(&s, "DROP MATERIALIZED VIEW r;").ok());
  becomes(0, 0);
  // A view made again is read for again, from where it begins.
  REQUIRE(Apply(&s, other).ok());
  becomes(1, 1);
  REQUIRE(
      s.cluster.Call(s.cluster.coordinator().WaitApplied("default", "other"), seconds(60))->ok());
  CHECK(s.Shard().next_offset == s.End());
  REQUIRE(Apply(&s, "DROP MATERIALIZED VIEW other; DROP TABLE s;").ok());
  s.world.RunUntil([&] { return s.cluster.parsers.alive() == 0; }, seconds(60));
  s.Sleep(seconds(5));
  CHECK(s.cluster.parsers.alive() == 0);
  CHECK(s.cluster.states().names().empty());
  CHECK(s.cluster.process().failures().empty());
}

TEST_CASE("a view that is dropped while its tables are made does not come back") {
  Scenario s;
  REQUIRE(Apply(&s, "DROP MATERIALIZED VIEW r;").ok());
  CHECK_FALSE(HasView(&s));
  s.cluster.faulty_serving().HoldDefines(true);
  const int begun = s.cluster.faulty_serving().defines_begun();
  s.cluster.process().Spawn([](runtime::Coordinator* coordinator) -> Task<void> {
    const auto applied = co_await coordinator->Apply(Sql("json"), false);
    applied.Ignore("the view may be gone before its tables are there");
  }(&s.cluster.coordinator()));
  s.world.RunUntil([&] { return s.cluster.faulty_serving().defines_begun() > begun; }, seconds(10));
  bool dropped = false;
  s.cluster.process().Spawn([](runtime::Coordinator* coordinator, bool* done) -> Task<void> {
    const Status status = co_await coordinator->DropPipeline("default", "r");
    *done = status.ok();
  }(&s.cluster.coordinator(), &dropped));
  s.Sleep(seconds(2));
  s.cluster.faulty_serving().HoldDefines(false);
  s.world.RunUntil([&] { return dropped; }, seconds(60));
  s.Sleep(seconds(2));
  CHECK(dropped);
  CHECK_FALSE(HasView(&s));
}

}  // namespace millrace::sim
