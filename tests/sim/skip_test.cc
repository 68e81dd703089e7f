#include <algorithm>

#include "millrace/base/crash_point.h"
#include "millrace/checkpoint/manifest.h"
#include "millrace/model/object_keys.h"
#include "millrace/runtime/data_records.h"
#include "sim/control_scenarios.h"
#include "sim/scenario.h"
#include "support/catch.h"
#include "support/list_all.h"
#include "support/read_all.h"
#include "support/read_log.h"

namespace millrace::sim {

TEST_CASE(
    "a log that ends below the last commit halts the shard, and a logged skip is the way out") {
  Scenario s;
  s.Send(40);
  s.Sleep(seconds(3));
  const Offset committed = s.Shard().next_offset;
  s.cluster.KillNode();
  const Offset end(committed.value - 10);
  s.cluster.log.LoseEnd(s.stream.topic, PartitionId(0), end);
  s.cluster.StartNode();
  s.Sleep(seconds(5));
  const operations::ShardInfo halted = s.Shard();
  REQUIRE(halted.state == "halted");
  CHECK_THAT(halted.message, ContainsText("the log ends below the last commit") &&
                                 ContainsText("--to " + std::to_string(end.value) + " "));
  CHECK(s.Skip(Offset(1'000'000)).error().code == Code::kInvalidArgument);
  // What is still there counts already.
  const Status twice = s.Skip(Offset(end.value - 1));
  REQUIRE(twice.error().code == Code::kInvalidArgument);
  CHECK_THAT(twice.error().message,
             ContainsText("count twice") && ContainsText("lowest=" + std::to_string(end.value)));
  REQUIRE(s.Skip(end).ok());
  s.Sleep(seconds(3));
  CHECK(s.Shard().state == "running");
  // What is appended from here on counts; rows of windows that overlap the gap say so.
  const Micros t = SimExecutor::kEpoch + s.world.now().count();
  LogEntry entry{{}, "{\"ts\":\"" + FormatTimestamp(t) + "\",\"k\":\"z\",\"v\":7}", {}};
  REQUIRE(s.cluster.Outside(s.cluster.log.Append(s.stream.topic, PartitionId(0), std::move(entry)))
              .ok());
  s.Finish();
  ServingQuery query{"default", "r", Output::kResults, {{"k", "z"}}, {}, {}, true};
  const auto table = s.cluster.Outside(test::ReadAll(&s.cluster.serving, query)).value();
  REQUIRE(table.rows.size() == 1);
  const auto gap = std::find(table.names.begin(), table.names.end(), "_gap") - table.names.begin();
  CHECK(ValueText(table.rows[0][static_cast<size_t>(gap)]) == "true");
  CHECK(s.Counted() == 41);
  CHECK(s.Skip(Offset(1)).error().code == Code::kConflict);
}

TEST_CASE("a halted shard is tried again when its log was brought back, and goes on where it was") {
  Scenario s;
  s.Send(20);
  const Offset damaged = s.End();
  s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), damaged);
  s.Send(5);
  const operations::ShardInfo halted = s.Shard();
  REQUIRE(halted.state == "halted");
  // Nothing was done about it.
  REQUIRE(s.Retry().ok());
  s.Sleep(seconds(2));
  REQUIRE(s.Shard().state == "halted");
  CHECK(s.Shard().epoch > halted.epoch);
  s.cluster.damaged_log().Heal();
  REQUIRE(s.Retry().ok());
  s.Sleep(seconds(2));
  REQUIRE(s.Shard().state == "running");
  CHECK(s.Retry().error().code == Code::kConflict);
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("a shard that halted stays so when its process starts again, and says why") {
  Scenario s;
  s.Send(20);
  s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), s.End());
  s.Send(5);
  const operations::ShardInfo before = s.Shard();
  REQUIRE(before.state == "halted");
  s.cluster.KillNode();
  s.cluster.damaged_log().Heal();
  s.cluster.StartNode();
  s.Sleep(seconds(5));
  const operations::ShardInfo after = s.Shard();
  CHECK(after.state == "halted");
  CHECK(after.epoch == before.epoch);
  CHECK(after.message == before.message);
  CHECK(after.next_offset == before.next_offset);
  CHECK(s.cluster.Call(s.cluster.coordinator().WaitApplied("default", "r"), seconds(60))
            ->error()
            .code == Code::kUnavailable);
  REQUIRE(s.Retry().ok());
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("a halt waits for the stores that it needs, and the shard is halting until then") {
  Scenario s;
  s.Send(20);
  s.cluster.faulty_serving().Fail(true);
  s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), s.End());
  s.Send(5);
  CHECK(s.Shard().state == "halting");
  CHECK_THAT(s.Shard().message, ContainsText("a record of the log cannot be read") &&
                                    ContainsText("the control log does not say so yet"));
  CHECK(s.Skip(s.End()).error().code == Code::kConflict);
  s.cluster.faulty_serving().Fail(false);
  s.Sleep(seconds(5));
  CHECK(s.Shard().state == "halted");
  REQUIRE(s.Skip(s.Advised()).ok());
  s.Sleep(seconds(2));
  CHECK(s.Shard().state == "running");
}

TEST_CASE("a process that dies while it halts a shard leaves one that halts, and can be skipped") {
  static std::string die_at;
  die_at = GENERATE("halt.door_closed", "halt.recorded");
  Scenario s;
  s.Send(20);
  InstallCrashPointHandler([](std::string_view name) {
    if (name == die_at) throw SimCrash{std::exchange(die_at, "")};
  });
  s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), s.End());
  s.Send(5);
  InstallCrashPointHandler(nullptr);
  REQUIRE_FALSE(s.cluster.node_alive());
  s.cluster.KillNode();
  s.cluster.StartNode();
  s.Sleep(seconds(5));
  REQUIRE(s.Shard().state == "halted");
  REQUIRE(s.Skip(s.Advised()).ok());
  s.Finish();
  CHECK(s.Shard().state == "running");
  CHECK(s.Counted() == 24);
}

TEST_CASE("nothing of an owner that halted takes effect behind its halt") {
  CHECK(LateBatchOfAHaltedOwner() == "");
}

TEST_CASE("a skip counts for the halt that it was decided for, and for no other") {
  CHECK(SkipOfAnEarlierHalt() == "");
}

TEST_CASE("an unfinished file is not put again by a shard that lost the end of its log") {
  runtime::Options options = Scenario::Quick();
  options.cut_interval = seconds(8);
  Scenario s("json", options);
  const auto files = [&] {
    std::vector<std::pair<int64_t, int64_t>> ranges;
    for (const auto& o :
         s.cluster.Outside(test::ListAll(&s.cluster.objects, "default/results/")).value()) {
      const auto key = ResultFileKey::Parse(o.key).value();
      ranges.emplace_back(key.first_seq, key.last_seq);
    }
    std::sort(ranges.begin(), ranges.end());
    return ranges;
  };
  // The checkpoint owes the first rows of a file, and the file is finished and put after it.
  s.Send(20);
  while (s.Shard().last_cut.value == 0) s.Send(1);
  REQUIRE(files().empty());
  while (files().empty()) s.Send(1);
  REQUIRE(s.Shard().last_cut == CutNumber(1));
  s.cluster.KillNode();
  s.cluster.log.LoseEnd(s.stream.topic, PartitionId(0), Offset(35));
  s.cluster.StartNode();
  s.Sleep(seconds(1));
  REQUIRE(s.Shard().state == "halted");
  REQUIRE(s.Skip(s.Advised()).ok());
  s.Sleep(seconds(1));
  s.Send(60);
  CHECK(s.Shard().state == "running");
  s.Finish();
  const auto put = files();
  CHECK(put.size() > 1);
  for (size_t i = 1; i < put.size(); ++i) CHECK(put[i - 1].second < put[i].first);
}

TEST_CASE("a skip does not go back over records that are there again: it was for another log") {
  Scenario s;
  s.identities = false;
  s.Send(40);
  const auto last_cut = s.Shard().last_cut;
  s.cluster.KillNode();
  const std::string newest = s.StateObjects("/m-1-" + std::to_string(last_cut.value) + "-").at(0);
  const Offset committed =
      checkpoint::Decode(s.cluster.Outside(s.cluster.objects.Get(newest))->bytes)
          .value()
          .next_offset;
  s.cluster.damaged_log().HideFrom(s.stream.topic, PartitionId(0), Offset(committed.value - 8));
  s.cluster.StartNode();
  s.Sleep(seconds(5));
  REQUIRE(s.Skip(Offset(committed.value - 8)).ok());
  s.Sleep(seconds(1));
  REQUIRE(s.Shard().next_offset == Offset(committed.value - 8));
  s.cluster.KillNode();
  s.cluster.damaged_log().Heal();
  s.cluster.StartNode();
  s.Send(3);
  s.Sleep(seconds(5));
  INFO(s.Shard().message);
  REQUIRE(s.Shard().state == "halted");
  CHECK_THAT(s.Shard().message, ContainsText("a skip was decided for another log") &&
                                    ContainsText("--to " + std::to_string(committed.value) + " ") &&
                                    ContainsText("lowest=" + std::to_string(committed.value)));
  CHECK(s.Skip(Offset(committed.value - 1)).error().code == Code::kInvalidArgument);
  REQUIRE(s.Skip(committed).ok());
  s.Finish();
  CHECK(s.Shard().state == "running");
  CHECK(s.Counted() == 43);
}

TEST_CASE("a skip over a damaged record is not applied in another log") {
  Scenario s;
  s.identities = false;
  s.Send(40);
  const Offset damaged = s.End();
  s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), damaged);
  s.Send(3);
  REQUIRE(s.Shard().state == "halted");
  s.cluster.KillNode();
  // No checkpoint is left, so that the log alone says what is before the damage.
  for (const std::string& object : s.StateObjects("/m-"))
    REQUIRE(s.cluster.Outside(s.cluster.objects.Delete(object)).ok());
  s.cluster.faulty_objects().Refuse("/m-");
  s.cluster.StartNode();
  s.Sleep(seconds(1));
  REQUIRE(s.Skip(Offset(damaged.value + 1)).ok());
  s.Sleep(seconds(2));
  REQUIRE(s.Shard().state == "running");
  s.cluster.KillNode();
  const auto records =
      s.cluster.Outside(test::ReadLog(&s.cluster.log, s.stream.topic, PartitionId(0)));
  const Offset before(damaged.value - 1);
  s.cluster.damaged_log().Heal();
  s.cluster.log.LoseEnd(s.stream.topic, PartitionId(0), before);
  for (const LogRecord& record : records.value()) {
    if (record.offset < before) continue;
    LogEntry entry{std::string(record.key), std::string(record.value), record.headers};
    REQUIRE(s.cluster.Outside(s.cluster.log.Append(s.stream.topic, PartitionId(0), entry)).ok());
  }
  s.cluster.StartNode();
  s.Sleep(seconds(3));
  CHECK(s.Shard().state == "halted");
  CHECK_THAT(s.Shard().message, ContainsText("a skip was decided for another log"));
}

TEST_CASE("records damaged one after another are skipped one after another, whoever comes next") {
  const bool follow = GENERATE(true, false);
  const bool restart = GENERATE(true, false);
  INFO("follow=" << follow << " restart=" << restart);
  Scenario s;
  s.Send(20);
  s.Sleep(seconds(3));
  s.cluster.KillNode();
  const Offset end = s.End();
  s.Send(10);
  for (const int64_t at : {2, 3, 6})
    s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), Offset(end.value + at));
  s.cluster.StartNode();
  int skips = 0;
  for (; skips < 5; ++skips) {
    s.Sleep(milliseconds(600));
    const operations::ShardInfo shard = s.Shard();
    if (shard.state != "halted") break;
    const Offset to = follow ? s.Advised() : Offset(shard.next_offset.value + 1);
    REQUIRE(s.Skip(to).ok());
    if (restart) {
      s.cluster.KillNode();
      s.cluster.StartNode();
    }
  }
  CHECK(skips == (follow ? 2 : 3));
  CHECK(s.Shard().state == "running");
  s.Finish();
  CHECK(s.Counted() == 27);
}

TEST_CASE("damage among the records before a healthy checkpoint does not matter") {
  Scenario s;
  s.Send(40);
  s.Sleep(seconds(20));
  const Offset committed = s.Shard().next_offset;
  s.cluster.KillNode();
  s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), Offset(committed.value - 3));
  s.cluster.StartNode();
  s.Send(5);
  CHECK(s.Shard().state == "running");
  CHECK(s.Fallbacks() == 0);
  s.cluster.damaged_log().Heal();
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE(
    "damage that an older checkpoint meets below the newest commit can be skipped, for good") {
  CHECK(FoundAgainBehindASkip() == "");
}

TEST_CASE("a skip in a log that lost its end goes on from one checkpoint, and from no other") {
  CHECK(BaseLostBehindAPinnedSkip() == "");
}

TEST_CASE("a pipeline may be dropped while one of its shards is being skipped") {
  const int delay = GENERATE(range(0, 60, 2));
  Scenario s;
  s.Send(5);
  s.cluster.KillNode();
  const Offset end = s.End();
  s.Send(3);
  s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), end);
  s.cluster.StartNode();
  s.Sleep(seconds(1));
  const operations::ShardInfo halted = s.Shard();
  REQUIRE(halted.state == "halted");
  auto dropped = std::make_shared<std::optional<Status>>();
  s.cluster.process().Spawn(
      [](Task<Status> drop, std::shared_ptr<std::optional<Status>> out) -> Task<void> {
        out->emplace(co_await std::move(drop));
      }(s.cluster.coordinator().DropPipeline("default", "r"), dropped));
  s.Sleep(milliseconds(delay));
  const auto skipped = s.cluster.Call(
      s.cluster.coordinator().SkipShard(halted.shard, Offset(end.value + 1), "test"), seconds(60));
  s.Sleep(seconds(5));
  CHECK(s.cluster.process().failures().empty());
  REQUIRE(skipped.has_value());
  CHECK((skipped->ok() || skipped->error().code == Code::kConflict ||
         skipped->error().code == Code::kNotFound));
  REQUIRE(dropped->has_value());
  CHECK((*dropped)->ok());
}

TEST_CASE("a skip over records that can be read again ends where it says") {
  const std::string format = GENERATE("json", "arrow");
  Scenario s(format.c_str());
  s.Send(20);
  s.Sleep(seconds(3));
  s.cluster.KillNode();
  const Offset end = s.End();
  s.Send(20);
  s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), Offset(end.value + 4));
  s.cluster.StartNode();
  s.Sleep(milliseconds(600));
  REQUIRE(s.Shard().state == "halted");
  REQUIRE(s.Skip(Offset(end.value + 10)).ok());
  s.cluster.KillNode();
  s.cluster.damaged_log().Heal();
  s.cluster.StartNode();
  s.Sleep(milliseconds(600));
  CHECK(s.Shard().message == "");
  CHECK(s.Shard().state == "running");
  s.Finish();
  CHECK(s.Counted() == 34);
}

}  // namespace millrace::sim
