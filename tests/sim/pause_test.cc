#include "sim/scenario.h"

// What an operator sets, on the real roles.

namespace millrace::sim {
namespace {

Status Set(Scenario* s, const std::string& name, const std::string& key, const std::string& value) {
  operations::Setting setting{"default", name, key, value};
  return *s->cluster.Call(s->cluster.coordinator().Set(std::move(setting)), seconds(60));
}

}  // namespace

TEST_CASE("a paused pipeline reads nothing, also after a restart, and then counts everything") {
  Scenario s;
  s.Send(20);
  s.Sleep(seconds(2));
  REQUIRE(Set(&s, "r", "paused", "on").ok());
  s.Sleep(seconds(1));
  const Offset stands = s.Shard().next_offset;
  CHECK(s.Shard().state == "paused");
  s.Send(20);
  CHECK(s.Shard().next_offset == stands);
  const auto pipelines = s.cluster.Call(s.cluster.coordinator().ListPipelines(), seconds(60));
  CHECK(pipelines->value().at(0).state == "paused");
  const auto waited =
      s.cluster.Call(s.cluster.coordinator().WaitApplied("default", "r"), seconds(60));
  CHECK(waited->error().code == Code::kConflict);

  s.cluster.KillNode();
  s.cluster.StartNode();
  s.Sleep(seconds(5));
  CHECK(s.Shard().state == "paused");
  CHECK(s.Shard().next_offset <= stands);
  REQUIRE(Set(&s, "r", "paused", "off").ok());
  s.Send(5);
  s.Finish();
  CHECK(s.Counted() == 45);
  CHECK(s.Different() == "");
}

TEST_CASE("a setting is of what has it, with a value that it can have, and is listed") {
  Scenario s;
  CHECK(Set(&s, "r", "paused", "maybe").error().code == Code::kInvalidArgument);
  CHECK(Set(&s, "", "paused", "on").error().code == Code::kInvalidArgument);
  CHECK(Set(&s, "none", "paused", "on").error().code == Code::kNotFound);
  const auto listed = [&] {
    std::string text;
    const auto settings =
        s.cluster.Call(s.cluster.coordinator().ListSettings(), seconds(60)).value().value();
    for (const operations::Setting& one : settings)
      text += one.name + " " + one.key + "=" + one.value + ";";
    return text;
  };
  CHECK(listed().empty());
  REQUIRE(Set(&s, "", "balance", "off").ok());
  REQUIRE(Set(&s, "", "expected_workers", "3").ok());
  REQUIRE(Set(&s, "r", "paused", "on").ok());
  CHECK(listed() == " balance=off; expected_workers=3;r paused=on;");
  REQUIRE(Set(&s, "", "balance", "on").ok());
  REQUIRE(Set(&s, "r", "paused", "off").ok());
  CHECK(listed() == " expected_workers=3;");
}

}  // namespace millrace::sim
