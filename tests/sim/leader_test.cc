#include "sim/control_scenarios.h"
#include "sim/rival.h"
#include "support/read_log.h"

namespace millrace::sim {
namespace {

/// A leader that others wait for.
runtime::Options Beating() {
  runtime::Options options = Scenario::Quick();
  options.beat_interval = seconds(2);
  return options;
}

}  // namespace

TEST_CASE("a leader that was overtaken changes nothing, also after it has read the other claim") {
  CHECK(OvertakenLeader() == "");
}

TEST_CASE("a record that arrives after what it decided was undone changes nothing") {
  CHECK(LateDefinition() == "");
}

TEST_CASE("a process owns what names its instance, whatever other process has its name") {
  CHECK(TwoOfOneName() == "");
}

TEST_CASE("a coordinator that was paused takes nobody for dead, and a new one no owner") {
  CHECK(PausedObserver() == "");
  CHECK(NewLeaderAmongLivingOwners() == "");
}

TEST_CASE("a leader that beats is left to lead, and followed when it falls silent") {
  Scenario s("json", Beating());
  // A worker of its own would tell it that no leader answers: there are no links between the two.
  Rival rival(&s, "rival", Beating(), Process::Role::kCoordinator);
  s.Sleep(seconds(60));
  CHECK_FALSE(rival.started());
  s.cluster.KillNode();
  const auto died = s.world.now();
  s.world.RunUntil([&] { return rival.started(); }, seconds(60));
  REQUIRE(rival.started());
  CHECK(s.world.now() - died >= seconds(8));
  CHECK(s.world.now() - died <= seconds(15));
}

TEST_CASE("a leader that stops in order is followed at once") {
  Scenario s("json", Beating());
  Rival rival(&s, "rival", Beating(), Process::Role::kCoordinator);
  s.Sleep(seconds(20));
  REQUIRE_FALSE(rival.started());
  const auto drain = [](runtime::AllRoles* roles) -> Task<bool> {
    co_await roles->Drain();
    co_return true;
  };
  REQUIRE(s.cluster.Call(drain(&s.cluster.roles()), seconds(60)).has_value());
  const auto left = s.world.now();
  s.world.RunUntil([&] { return rival.started(); }, seconds(60));
  REQUIRE(rival.started());
  CHECK(s.world.now() - left <= seconds(3));
}

TEST_CASE("a process that nobody waits for writes no beats") {
  Scenario s;
  s.Sleep(seconds(60));
  const std::string topic(control::kControlTopic);
  const auto records = s.cluster.Outside(test::ReadLog(&s.cluster.log, topic, PartitionId(0)));
  for (const LogRecord& record : records.value())
    CHECK_FALSE(std::holds_alternative<control::Beat>(control::Decode(record.value).value()));
}

}  // namespace millrace::sim
