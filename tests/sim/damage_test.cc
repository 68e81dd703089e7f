#include <catch2/catch.hpp>

#include <algorithm>

#include "millrace/base/log.h"
#include "millrace/sql/planner.h"
#include "sim/cluster.h"

namespace millrace::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kSql = R"(
CREATE TABLE s (ts timestamptz NOT NULL, k text, v int)
  WITH (partition_key = 'k', event_time = 'ts', watermark_delay = '1 second', partitions = 1, format = '%s');
CREATE MATERIALIZED VIEW r WITH (file_interval = '10 seconds') AS
SELECT k, window_start, window_end, count(*) AS n, sum(v) AS total
FROM tumble(s, ts, INTERVAL '2 seconds') GROUP BY k, window_start, window_end;
)";

/// A node with one shard, cuts every second, and events of one producer a few times a second.
struct Scenario {
  explicit Scenario(const char* format = "json", runtime::Options options = Quick())
      : world(5), cluster(&world, Faults(), options) {
    SetLogLevel(LogLevel::kOff);
    std::string sql = kSql;
    sql.replace(sql.find("%s"), 2, format);
    const auto statements = PlanScript(sql).value();
    stream = std::get<StreamSpec>(statements[0]);
    pipeline = std::get<PipelineSpec>(statements[1]);
    cluster.StartNode();
    REQUIRE(cluster.Call(cluster.node().Apply(sql), seconds(60))->ok());
    incarnation = cluster.Call(cluster.node().ListPipelines(), seconds(60))->value()[0].incarnation;
  }

  static runtime::Options Quick() {
    runtime::Options options;
    options.cut_interval = seconds(1);
    options.housekeeping_first = milliseconds(300);
    options.housekeeping_interval = milliseconds(300);
    options.unnamed_object_age = seconds(0);
    return options;
  }

  void Send(int events) {
    for (int i = 0; i < events; ++i) {
      const Micros t = SimExecutor::kEpoch + world.now().count();
      const std::string k(1, static_cast<char>('a' + i % 3));
      LogEntry entry;
      if (stream.format == RecordFormat::kJson) {
        entry.value = "{\"ts\":\"" + FormatTimestamp(t) + "\",\"k\":\"" + k + "\",\"v\":1}";
        entry.headers = {{"millrace-principal", "local"},
                         {"millrace-producer", "p"},
                         {"millrace-seq", std::to_string(++sequence)},
                         {"millrace-acked-below", "0"}};
      } else {
        BatchBuilder builder(stream.columns);
        builder.BeginRecord(Offset(0), 0);
        builder.columns()[0].AppendInteger(t);
        builder.columns()[1].AppendText(k);
        builder.columns()[2].AppendInteger(1);
        builder.EndRow(builder.AddProducer("local", "p", 0), ++sequence);
        entry.value = block_arrow::ArrowBlockCodec().Encode(stream, builder.Build()).value();
      }
      REQUIRE(
          cluster.Outside(cluster.log.Append(stream.topic, PartitionId(0), std::move(entry))).ok());
      Sleep(milliseconds(200));
    }
  }
  void Sleep(Executor::Duration d) {
    world.RunUntil([] { return false; }, d);
  }
  runtime::ShardInfo Shard() {
    return cluster.Call(cluster.node().ListShards(), seconds(60))->value().at(0);
  }
  Status Skip(Offset to) {
    return *cluster.Call(cluster.node().SkipShard(Shard().shard, to, "test"), seconds(60));
  }
  /// The offset that the halted shard's message names.
  Offset Advised() {
    const std::string message = Shard().message;
    const size_t at = message.find("--to ");
    REQUIRE(at != message.npos);
    return Offset(std::stoll(message.substr(at + 5)));
  }
  Offset End() { return cluster.Outside(cluster.log.Range(stream.topic, PartitionId(0)))->end; }
  void Finish() {
    REQUIRE(cluster.Call(cluster.node().AdvanceStream("default", "s", kPlusInfinity), seconds(60))
                ->ok());
    REQUIRE(cluster.Call(cluster.node().WaitApplied("default", "r"), seconds(60))->ok());
    Sleep(seconds(2));
  }
  std::string Different() { return Differences(&cluster, stream, incarnation, pipeline); }
  /// Events in all results.
  int64_t Counted() {
    ServingQuery query{"default", "r", Output::kResults, {}, {}, {}, false};
    int64_t n = 0;
    for (const auto& row : cluster.Outside(cluster.serving.Query(query)).value().rows)
      n += std::get<int64_t>(row[3].data);
    return n;
  }
  double Fallbacks() { return cluster.metrics.count("millrace_worker_restore_fallbacks_total"); }
  /// Objects of the shard's checkpoints, those of the newest commit last.
  std::vector<std::string> StateObjects(const std::string& holding) {
    std::vector<std::string> keys;
    for (const auto& o : cluster.Outside(cluster.objects.List("default/state/")).value()) {
      if (o.key.find(holding) != o.key.npos) keys.push_back(o.key);
    }
    return keys;
  }

  SimWorld world;
  Cluster cluster;
  StreamSpec stream;
  PipelineSpec pipeline;
  Incarnation incarnation;
  int64_t sequence = 0;
};

}  // namespace

TEST_CASE("a checkpoint with a file missing or damaged is passed over, says so, and results stay") {
  const std::string damage = GENERATE("delete files", "flip a bit of files", "delete manifests",
                                      "flip a bit of manifests");
  INFO(damage);
  Scenario s;
  s.Send(40);
  s.cluster.KillNode();
  const auto objects = s.StateObjects(damage.find("files") != damage.npos ? ".sst" : "/m-");
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
  s.cluster.faulty_log().LoseAnswers(std::string(control::kControlTopic),
                                     control::ControlLog::kMaxTries);
  s.Send(40);
  REQUIRE(s.cluster.faulty_log().unanswered() == 0);
  CHECK(s.Shard().state == "running");
  CHECK(s.Shard().last_cut.value >= before.value + 3);
  CHECK(s.Fallbacks() == 0);
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE("a bit flipped under the log's checksums makes one unreadable record, once") {
  Scenario s("arrow");
  s.cluster.faulty_log().FlipBitOf(s.stream.topic, PartitionId(0), Offset(3));
  s.Send(20);
  s.cluster.KillNode();
  s.cluster.StartNode();
  s.Finish();
  ServingQuery query{"default", "r", Output::kQuarantine, {}, {}, {}, false};
  const auto table = s.cluster.Outside(s.cluster.serving.Query(query)).value();
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
    return s.cluster.Outside(s.cluster.serving.Query(query)).value().rows.size();
  };
  const auto send_broken = [&] {
    REQUIRE(
        s.cluster.Outside(s.cluster.log.Append(s.stream.topic, PartitionId(0), {{}, "{broken", {}}))
            .ok());
  };
  const auto wait = [&] {
    REQUIRE(s.cluster.Call(s.cluster.node().WaitApplied("default", "r"), seconds(60))->ok());
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
  const auto fence =
      s.cluster.Outside(s.cluster.serving.ReadFence(s.Shard().shard, Output::kQuarantine));
  CHECK(fence.value()->seq == 2);
}

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
  CHECK_THAT(halted.message, Catch::Contains("the log ends below the last commit") &&
                                 Catch::Contains("--to " + std::to_string(end.value) + " "));
  CHECK(s.Skip(Offset(1'000'000)).error().code == Code::kInvalidArgument);
  // What is still there counts already.
  const Status twice = s.Skip(Offset(end.value - 1));
  REQUIRE(twice.error().code == Code::kInvalidArgument);
  CHECK_THAT(twice.error().message, Catch::Contains("count twice") &&
                                        Catch::Contains("lowest=" + std::to_string(end.value)));
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
  const auto table = s.cluster.Outside(s.cluster.serving.Query(query)).value();
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
    for (const auto& o : s.cluster.Outside(s.cluster.objects.List("default/results/")).value()) {
      const size_t last = o.key.rfind('-');
      const size_t first = o.key.rfind("/p0-") + 4;
      ranges.emplace_back(std::stoll(o.key.substr(first)), std::stoll(o.key.substr(last + 1)));
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
  s.Send(40);
  s.Sleep(seconds(20));
  const Offset committed = s.Shard().next_offset;
  s.cluster.KillNode();
  s.cluster.faulty_log().HideFrom(s.stream.topic, PartitionId(0), Offset(committed.value - 12));
  s.cluster.StartNode();
  s.Sleep(seconds(5));
  REQUIRE(s.Skip(Offset(committed.value - 12)).ok());
  s.Sleep(seconds(1));
  REQUIRE(s.Shard().next_offset == Offset(committed.value - 12));
  s.cluster.KillNode();
  s.cluster.faulty_log().Heal();
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
    s.cluster.faulty_log().Damage(s.stream.topic, PartitionId(0), Offset(end.value + at));
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
  s.cluster.faulty_log().Damage(s.stream.topic, PartitionId(0), Offset(committed.value - 3));
  s.cluster.StartNode();
  s.Send(5);
  CHECK(s.Shard().state == "running");
  CHECK(s.Fallbacks() == 0);
  s.cluster.faulty_log().Heal();
  s.Finish();
  CHECK(s.Different() == "");
}

TEST_CASE(
    "damage that an older checkpoint meets below the newest commit can be skipped, for good") {
  Scenario s;
  s.Send(40);
  s.Sleep(seconds(20));
  const Offset committed = s.Shard().next_offset;
  const auto last_cut = s.Shard().last_cut;
  s.cluster.KillNode();
  const std::string lost = s.StateObjects("/m-1-" + std::to_string(last_cut.value) + "-").at(0);
  const std::string bytes(s.cluster.Outside(s.cluster.objects.Get(lost))->bytes);
  REQUIRE(s.cluster.Outside(s.cluster.objects.Delete(lost)).ok());
  const Offset damaged(committed.value - 1);
  s.cluster.faulty_log().Damage(s.stream.topic, PartitionId(0), damaged);
  s.cluster.StartNode();
  s.Sleep(seconds(1));
  REQUIRE(s.Shard().state == "halted");
  REQUIRE(s.Shard().next_offset == damaged);
  CHECK(s.Skip(Offset(damaged.value - 1)).error().code == Code::kInvalidArgument);
  REQUIRE(s.Skip(Offset(damaged.value + 1)).ok());
  s.Sleep(seconds(1));
  CHECK(s.Shard().state == "running");
  // What was found again is of a history that was given up.
  s.cluster.KillNode();
  REQUIRE(s.cluster.Outside(s.cluster.objects.Put(lost, Buffer::Own(std::string(bytes)))).ok());
  s.cluster.StartNode();
  s.Sleep(seconds(1));
  CHECK(s.Shard().state == "running");
  CHECK(s.Shard().last_cut == last_cut);
  s.Send(5);
  s.Finish();
  CHECK(s.Counted() == 45);
  CHECK(s.Shard().state == "running");
}

TEST_CASE("a pipeline may be dropped while one of its shards is being skipped") {
  const int delay = GENERATE(range(0, 60, 6));
  Scenario s;
  s.Send(5);
  s.cluster.KillNode();
  const Offset end = s.End();
  s.Send(3);
  s.cluster.faulty_log().Damage(s.stream.topic, PartitionId(0), end);
  s.cluster.StartNode();
  s.Sleep(seconds(1));
  const runtime::ShardInfo halted = s.Shard();
  REQUIRE(halted.state == "halted");
  auto skipped = std::make_shared<std::optional<Status>>();
  s.cluster.process().Spawn(
      [](Task<Status> skip, std::shared_ptr<std::optional<Status>> out) -> Task<void> {
        out->emplace(co_await std::move(skip));
      }(s.cluster.node().SkipShard(halted.shard, Offset(end.value + 1), "test"), skipped));
  s.Sleep(milliseconds(delay));
  REQUIRE(s.cluster.Call(s.cluster.node().DropPipeline("default", "r"), seconds(60))->ok());
  s.Sleep(seconds(5));
  CHECK(s.cluster.process().failures().empty());
  REQUIRE(skipped->has_value());
  CHECK(((*skipped)->ok() || (*skipped)->error().code == Code::kConflict ||
         (*skipped)->error().code == Code::kNotFound));
}

TEST_CASE("a skip over records that can be read again ends where it says") {
  const std::string format = GENERATE("json", "arrow");
  Scenario s(format.c_str());
  s.Send(20);
  s.Sleep(seconds(3));
  s.cluster.KillNode();
  const Offset end = s.End();
  s.Send(20);
  s.cluster.faulty_log().Damage(s.stream.topic, PartitionId(0), Offset(end.value + 4));
  s.cluster.StartNode();
  s.Sleep(milliseconds(600));
  REQUIRE(s.Shard().state == "halted");
  REQUIRE(s.Skip(Offset(end.value + 10)).ok());
  s.cluster.KillNode();
  s.cluster.faulty_log().Heal();
  s.cluster.StartNode();
  s.Sleep(milliseconds(600));
  CHECK(s.Shard().message == "");
  CHECK(s.Shard().state == "running");
  s.Finish();
  CHECK(s.Counted() == 34);
}

}  // namespace millrace::sim
