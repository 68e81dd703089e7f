#include <algorithm>

#include "millrace/base/check.h"
#include "millrace/base/crash_point.h"
#include "millrace/checkpoint/manifest.h"
#include "sim/control_scenarios.h"
#include "sim/scenario.h"
#include "support/catch.h"
#include "support/read_all.h"

namespace millrace::sim {

TEST_CASE("a cut puts the rows that are new, and names again those that wait for their file") {
  runtime::Options options = Scenario::Quick();
  Scenario s("json", options, "file_interval = '1 hour'");
  s.Send(300);
  s.cluster.KillNode();
  s.cluster.StartNode();
  s.Send(300);
  const auto last_cut = s.Shard().last_cut;
  REQUIRE(last_cut.value > 80);
  // Some 180 rows of 60 bytes wait by now.
  CHECK(s.cluster.faulty_objects().largest_put("/m-") < 5000);
  CHECK(s.cluster.faulty_objects().put_bytes(".rows") > 180 * 60);
  CHECK(s.cluster.faulty_objects().put_bytes(".rows") < 180 * 60 * 10);
  CHECK(s.StateObjects(".rows").size() < 20);
  CHECK(s.Fallbacks() == 0);
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("a cut whose fences cannot be read has frozen nothing, and the next one does its work") {
  static int begun;
  begun = 0;
  Scenario s;
  s.Send(20);
  InstallCrashPointHandler([](std::string_view name) { begun += name == "cut.begin" ? 1 : 0; });
  s.cluster.faulty_serving().Fail(true);
  s.Send(3);
  begun = 0;
  const auto before = s.Shard().last_cut;
  s.Send(40);
  CHECK(begun == 0);
  CHECK(s.Shard().last_cut == before);
  s.cluster.faulty_serving().Fail(false);
  s.Send(20);
  CHECK(begun > 2);
  CHECK(s.Shard().last_cut.value > before.value + 2);
  InstallCrashPointHandler(nullptr);
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("a checkpoint with a file missing or damaged is passed over, says so, and results stay") {
  const std::string damage =
      GENERATE("delete files", "flip a bit of files", "delete manifests", "flip a bit of manifests",
               "delete owed rows", "flip a bit of owed rows");
  INFO(damage);
  Scenario s;
  s.Send(40);
  s.cluster.KillNode();
  const auto objects = s.StateObjects(damage.ends_with("files")       ? ".sst"
                                      : damage.ends_with("owed rows") ? ".rows"
                                                                      : "/m-");
  REQUIRE_FALSE(objects.empty());
  for (const std::string& key : objects) {
    if (damage.starts_with("delete")) {
      REQUIRE(s.cluster.Outside(s.cluster.objects.Delete(key)).ok());
      continue;
    }
    std::string bytes(s.cluster.Outside(s.cluster.objects.Get(key))->bytes);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    REQUIRE(s.cluster.Outside(s.cluster.objects.Put(key, Buffer::Own(std::move(bytes)))).ok());
  }
  s.cluster.StartNode();
  s.Send(10);
  s.Finish();
  CHECK(s.Fallbacks() >= 1);
  CHECK(s.Different() == "");
}

TEST_CASE("with only the newest checkpoint damaged the one before it is restored") {
  Scenario s;
  s.Send(40);
  const auto last_cut = s.Shard().last_cut;
  REQUIRE(last_cut.value > 3);
  s.cluster.KillNode();
  for (const std::string& key : s.StateObjects("/m-1-" + std::to_string(last_cut.value) + "-")) {
    REQUIRE(s.cluster.Outside(s.cluster.objects.Delete(key)).ok());
  }
  s.cluster.StartNode();
  s.Send(5);
  s.Finish();
  CHECK(s.Fallbacks() == 1);
  CHECK(s.Different() == "");
}

TEST_CASE("while one of the kept checkpoints cannot be read, no object of its shard is deleted") {
  Scenario s;
  s.Send(40);
  const auto last_cut = s.Shard().last_cut;
  s.cluster.KillNode();
  const auto lost = s.StateObjects("/m-1-" + std::to_string(last_cut.value) + "-");
  REQUIRE(lost.size() == 1);
  REQUIRE(s.cluster.Outside(s.cluster.objects.Delete(lost[0])).ok());
  const auto before = s.StateObjects("/");
  s.cluster.StartNode();
  const auto still_there = [&] {
    const auto now = s.StateObjects("/");
    return std::includes(now.begin(), now.end(), before.begin(), before.end());
  };
  while (s.Shard().last_cut.value < last_cut.value + 2) s.Send(1);
  s.Sleep(milliseconds(400));
  REQUIRE(s.Shard().last_cut.value == last_cut.value + 2);
  CHECK(still_there());
  // With three newer ones it does not matter any more what it named.
  while (s.Shard().last_cut.value < last_cut.value + 3) s.Send(1);
  s.Sleep(seconds(5));
  CHECK_FALSE(still_there());
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("a commit that counts although nobody ever said so does not end the shard's cuts") {
  Scenario s;
  s.Send(20);
  const auto before = s.Shard().last_cut;
  REQUIRE(before.value > 0);
  // Longer than one commit is tried.
  s.cluster.faulty_log().LoseAnswers(std::string(control::kControlTopic), 1'000);
  s.Send(60);
  REQUIRE(s.cluster.faulty_log().unanswered() < 990);
  s.cluster.faulty_log().LoseAnswers(std::string(control::kControlTopic), 0);
  s.Send(40);
  CHECK(s.Shard().state == "running");
  CHECK(s.Shard().last_cut.value >= before.value + 3);
  CHECK(s.Fallbacks() == 0);
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("a store that goes back is written under a new epoch, so that no late batch passes") {
  CHECK(LateBatchOfAnEarlierLife() == "");
}

TEST_CASE("local state lies in a folder of its own for each opening, which goes with it") {
  Scenario s;
  s.Send(20);
  const auto first = s.cluster.states().names();
  REQUIRE(first.size() == 1);
  s.cluster.serving.Remember();
  s.Send(20);
  s.cluster.serving.GoBack();
  s.Send(20);
  REQUIRE(s.Shard().state == "running");
  const auto second = s.cluster.states().names();
  CHECK(second.size() == 1);
  CHECK(second != first);
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("a broken invariant in a sink or a cut halts the shard, says so, and a retry goes on") {
  struct Break {
    std::string at;
    std::string told;
  };
  static Break broken;
  broken = GENERATE(Break{"sink.serving.before_apply", "a broken invariant in a sink: planted"},
                    Break{"sink.file.before_put", "a broken invariant in a sink: planted"},
                    Break{"cut.after_freeze", "a broken invariant in a cut: planted"});
  INFO(broken.at);
  Scenario s;
  s.Send(5);
  InstallCrashPointHandler([](std::string_view name) {
    if (name == broken.at) throw InvariantViolation("planted");
  });
  s.Send(60);
  InstallCrashPointHandler(nullptr);
  CHECK(s.Shard().state == "halted");
  CHECK(s.Shard().message.starts_with(broken.told));
  CHECK_THAT(s.Shard().message,
             ContainsText("report it, then try again with `millrace shard retry"));
  REQUIRE(s.Retry().ok());
  s.Send(5);
  s.Finish();
  CHECK(s.Shard().state == "running");
  CHECK(s.Different() == "");
}

TEST_CASE("a pipeline whose tables the store refuses is tried again, and all others run") {
  Scenario s;
  FaultyServingStore& serving = s.cluster.faulty_serving();
  const auto apply = [&](std::string name) {
    std::string sql(kSql);
    sql = sql.substr(sql.find("CREATE MATERIALIZED VIEW"));
    sql.replace(sql.find("VIEW r") + 5, 1, name);
    return s.cluster.Call(s.cluster.coordinator().Apply(sql, false), seconds(60))->ok();
  };
  const auto states = [&] {
    std::string text;
    for (const auto& info :
         s.cluster.Call(s.cluster.coordinator().ListPipelines(), seconds(60)).value().value())
      text += info.incarnation.name + " " + info.state + "; ";
    return text;
  };
  serving.Refuse("bad");
  CHECK_FALSE(apply("bad"));
  CHECK(apply("good"));
  s.Sleep(seconds(2));
  CHECK(states() == "bad failing; good running; r running; ");
  for (int restart = 0; restart < 2; ++restart) {
    s.cluster.KillNode();
    s.cluster.StartNode();
    s.Sleep(seconds(2));
    CHECK(states() == "bad failing; good running; r running; ");
  }
  // Once every 200 ms at first, every 5 s at last.
  s.Sleep(seconds(60));
  const int before = serving.refusals();
  s.Sleep(seconds(60));
  CHECK(serving.refusals() - before >= 10);
  CHECK(serving.refusals() - before <= 14);
  serving.Refuse("");
  s.Sleep(seconds(6));
  CHECK(states() == "bad running; good running; r running; ");

  serving.Refuse("good");
  CHECK_FALSE(
      s.cluster.Call(s.cluster.coordinator().DropPipeline("default", "good"), seconds(60))->ok());
  s.cluster.KillNode();
  s.cluster.StartNode();
  s.Send(5);
  CHECK(states() == "bad running; r running; ");
  CHECK(apply("late_comer"));
  s.Sleep(seconds(1));
  CHECK(states() == "bad running; late_comer running; r running; ");
  serving.Refuse("");
  s.Sleep(seconds(6));
  const ServingQuery query{"default", "good", Output::kResults, {}, {}, {}, false};
  CHECK(s.cluster.Outside(test::ReadAll(&s.cluster.serving, query)).error().code ==
        Code::kNotFound);
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("a bit flipped under the log's checksums makes one unreadable record, once") {
  Scenario s("arrow");
  s.cluster.damaged_log().FlipBitOf(s.stream.topic, PartitionId(0), Offset(3));
  s.Send(20);
  s.cluster.KillNode();
  s.cluster.StartNode();
  s.Finish();
  ServingQuery query{"default", "r", Output::kQuarantine, {}, {}, {}, false};
  const auto table = s.cluster.Outside(test::ReadAll(&s.cluster.serving, query)).value();
  REQUIRE(table.rows.size() == 1);
  const auto reason =
      std::find(table.names.begin(), table.names.end(), "reason") - table.names.begin();
  CHECK(ValueText(table.rows[0][static_cast<size_t>(reason)]) == "UNREADABLE");
  CHECK(s.Counted() == 19);
}

TEST_CASE("a replay does not bring back raw events whose retention has ended") {
  runtime::Options options = Scenario::Quick();
  options.cut_interval = std::chrono::hours(1);
  options.raw_retention = seconds(20);
  Scenario s("json", options);
  const auto quarantined = [&] {
    const ServingQuery query{"default", "r", Output::kQuarantine, {}, {}, {}, false};
    return s.cluster.Outside(test::ReadAll(&s.cluster.serving, query)).value().rows.size();
  };
  const auto send_broken = [&] {
    REQUIRE(
        s.cluster.Outside(s.cluster.log.Append(s.stream.topic, PartitionId(0), {{}, "{broken", {}}))
            .ok());
  };
  const auto wait = [&] {
    REQUIRE(s.cluster.Call(s.cluster.coordinator().WaitApplied("default", "r"), seconds(60))->ok());
  };
  s.Send(5);
  send_broken();
  s.Send(5);
  wait();
  CHECK(quarantined() == 1);
  s.Sleep(seconds(25));
  CHECK(quarantined() == 0);
  // Nothing was cut: everything is folded again.
  REQUIRE(s.Shard().last_cut.value == 0);
  s.cluster.KillNode();
  s.cluster.StartNode();
  send_broken();
  wait();
  CHECK(quarantined() == 1);
  s.Sleep(seconds(25));
  CHECK(quarantined() == 0);
  s.Finish();
  CHECK(s.Counted() == 10);
  const auto fences = s.cluster.Outside(s.cluster.serving.ReadFences({s.Shard().shard})).value();
  CHECK(fences[0]->seq(Output::kQuarantine) == 2);
}

namespace {

/// The newest checkpoint cannot be used at the start, and the log begins above the one before.
struct BelowTheStart : Scenario {
  BelowTheStart() {
    Send(40);
    cluster.KillNode();
    const control::Fold fold = cluster.ReadControlLog().fold;
    const control::ShardState& shard = fold.shards().begin()->second;
    newest = shard.commits.back().manifest;
    epoch = shard.epoch;
    bytes = std::string(cluster.Outside(cluster.objects.Get(newest))->bytes);
    REQUIRE(cluster
                .Outside(cluster.log.DeleteBefore(stream.topic, PartitionId(0),
                                                  shard.commits.back().next_offset))
                .ok());
  }

  std::string newest;
  std::string bytes;
  Epoch epoch;
};

}  // namespace

TEST_CASE(
    "an owner below the log's start opens again from a checkpoint ahead that is there again") {
  BelowTheStart s;
  REQUIRE(s.cluster.Outside(s.cluster.objects.Lose(s.newest)).ok());
  s.cluster.StartNode();
  s.world.RunUntil([&] { return s.Fallbacks() > 0; }, seconds(60));
  REQUIRE(s.Fallbacks() > 0);
  REQUIRE(
      s.cluster.Outside(s.cluster.objects.Put(s.newest, Buffer::Own(std::string(s.bytes)))).ok());
  s.Send(10);
  CHECK(s.Shard().state == "running");
  CHECK(s.Shard().message == "");
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("an owner below the log's start halts if no checkpoint ahead can be used") {
  BelowTheStart s;
  const bool whole_manifest = GENERATE(false, true);
  INFO("its manifest is there: " << whole_manifest);
  std::string lost = s.newest;
  if (whole_manifest) lost = checkpoint::Decode(s.bytes)->files.back().object;
  REQUIRE(s.cluster.Outside(s.cluster.objects.Lose(lost)).ok());
  s.cluster.StartNode();
  s.Send(30);
  CHECK(s.Shard().state == "halted");
  CHECK_THAT(s.Shard().message, ContainsText("begins above"));
  // It asked for one epoch more at most.
  CHECK(s.Shard().epoch.value <= s.epoch.value + 2);
}

}  // namespace millrace::sim
