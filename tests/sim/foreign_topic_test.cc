#include "sim/scenario.h"

// Streams on topics that others made: a log of ours neither makes nor removes them.

namespace millrace::sim {
namespace {

constexpr const char* kForeign =
    "CREATE TABLE f (at timestamptz NOT NULL, k text) WITH (event_time = 'at', watermark_delay = "
    "'1 second', partition_key = 'k', partitioned_by_key, foreign, topic = 'theirs', partitions = "
    "2);";

Result<operations::ApplyReport> Apply(Scenario* s, const std::string& sql) {
  auto applied = s->cluster.Call(s->cluster.coordinator().Apply(sql, true), seconds(60));
  if (!applied) return Unavailable("the node died");
  return *applied;
}

bool HasTopic(Scenario* s) {
  return s->cluster.Outside(s->cluster.log.DescribeTopic("theirs")).ok();
}

}  // namespace

TEST_CASE("a foreign stream stands on a topic that is there, and leaves it there") {
  Scenario s;
  const auto absent = Apply(&s, kForeign);
  REQUIRE_FALSE(absent.ok());
  CHECK(absent.error().message.find("nobody has made its topic") != std::string::npos);
  CHECK_FALSE(HasTopic(&s));

  REQUIRE(s.cluster.Outside(s.cluster.log.CreateTopic({"theirs", 3})).ok());
  const auto more = Apply(&s, kForeign);
  REQUIRE_FALSE(more.ok());
  CHECK(more.error().message.find("topic=theirs has=3 declared=2") != std::string::npos);
  const TopicSpec three = s.cluster.Outside(s.cluster.log.DescribeTopic("theirs")).value();
  REQUIRE(s.cluster.Outside(s.cluster.log.RemoveTopic(three)).ok());
  REQUIRE(s.cluster.Outside(s.cluster.log.CreateTopic({"theirs", 2})).ok());

  REQUIRE(Apply(&s, kForeign).ok());
  CHECK(Apply(&s, kForeign)->statements.at(0).outcome == operations::Outcome::kUnchanged);
  CHECK(s.cluster.StreamNow("f").foreign);
  const auto kept = Apply(&s, "ALTER TABLE f SET (keep_for = '1 day');");
  REQUIRE_FALSE(kept.ok());
  CHECK(kept.error().message.find("its own retention holds") != std::string::npos);
  REQUIRE(Apply(&s, "DROP TABLE f;").ok());
  CHECK(HasTopic(&s));
}

}  // namespace millrace::sim
