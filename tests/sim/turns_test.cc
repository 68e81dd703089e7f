#include "sim/scenario.h"

namespace millrace::sim {

TEST_CASE("a new pipeline's backlog does not keep the others of its stream waiting") {
  runtime::Options options = Scenario::Quick();
  options.read_bytes = 50;  // a record at a time
  Scenario s("json", options);
  s.Send(300);
  const std::string sql = kSql;
  std::string view = sql.substr(sql.find("CREATE MATERIALIZED"));
  view.replace(view.find(" r "), 3, " again ");
  REQUIRE(s.cluster.Call(s.cluster.coordinator().Apply(view, false), seconds(60))->ok());
  const auto shard_of = [&](const std::string& name) {
    for (;;) {
      const auto shards =
          s.cluster.Call(s.cluster.coordinator().ListShards(), seconds(60))->value();
      for (const operations::ShardInfo& info : shards)
        if (info.shard.incarnation.name == name) return info;
      // Defined, but not owned yet.
      s.Sleep(milliseconds(1));
    }
  };
  while (shard_of("again").next_offset < Offset(20)) s.Sleep(milliseconds(10));
  s.Send(1);
  s.Sleep(milliseconds(200));
  const auto level = shard_of("r");
  const auto behind = shard_of("again");
  CHECK(level.next_offset == level.end_offset);
  CHECK(behind.next_offset < Offset(200));
  s.Finish();
  REQUIRE(
      s.cluster.Call(s.cluster.coordinator().WaitApplied("default", "again"), seconds(60))->ok());
  CHECK(shard_of("again").next_offset == shard_of("r").next_offset);
  CHECK(s.Different() == "");
}

}  // namespace millrace::sim
