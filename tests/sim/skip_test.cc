#include <algorithm>

#include "millrace/checkpoint/manifest.h"
#include "millrace/model/object_keys.h"
#include "millrace/runtime/data_records.h"
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
  const runtime::ShardInfo halted = s.Shard();
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

TEST_CASE("a jump back is not made over records that are there again") {
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
  CHECK(s.Shard().state == "running");
  s.Finish();
  CHECK(s.Counted() == 43);
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
    const runtime::ShardInfo shard = s.Shard();
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
  Scenario s;
  s.identities = false;
  s.Send(40);
  const auto last_cut = s.Shard().last_cut;
  s.cluster.KillNode();
  const std::string lost = s.StateObjects("/m-1-" + std::to_string(last_cut.value) + "-").at(0);
  const std::string bytes(s.cluster.Outside(s.cluster.objects.Get(lost))->bytes);
  REQUIRE(s.cluster.Outside(s.cluster.objects.Delete(lost)).ok());
  // The last event that this checkpoint holds and the one before does not.
  const Offset committed = checkpoint::Decode(bytes).value().next_offset;
  Offset damaged;
  const auto records =
      s.cluster.Outside(test::ReadLog(&s.cluster.log, s.stream.topic, PartitionId(0)));
  for (const LogRecord& record : records.value())
    if (record.offset < committed && !runtime::IsControl(record)) damaged = record.offset;
  s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), damaged);
  s.cluster.StartNode();
  s.Sleep(seconds(1));
  REQUIRE(s.Shard().state == "halted");
  REQUIRE(s.Shard().next_offset == damaged);
  CHECK(s.Skip(Offset(damaged.value - 1)).error().code == Code::kInvalidArgument);
  REQUIRE(s.Skip(Offset(damaged.value + 1)).ok());
  // What was found again is of a history that was given up.
  s.cluster.KillNode();
  REQUIRE(s.cluster.Outside(s.cluster.objects.Put(lost, Buffer::Own(std::string(bytes)))).ok());
  s.cluster.StartNode();
  s.Send(5);
  s.Finish();
  CHECK(s.Counted() == 44);
  CHECK(s.Shard().state == "running");
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
  const runtime::ShardInfo halted = s.Shard();
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
