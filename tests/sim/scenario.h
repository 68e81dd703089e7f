#pragma once

#include <string>
#include <vector>

#include "millrace/base/log.h"
#include "millrace/sql/planner.h"
#include "sim/cluster.h"
#include "support/catch.h"
#include "support/list_all.h"
#include "support/read_all.h"

namespace millrace::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr const char* kSql = R"(
CREATE TABLE s (ts timestamptz NOT NULL, k text, v int)
  WITH (partition_key = 'k', event_time = 'ts', watermark_delay = '1 second', partitions = 1, format = '%s');
CREATE MATERIALIZED VIEW r WITH (file_interval = '10 seconds') AS
SELECT k, window_start, window_end, count(*) AS n, sum(v) AS total
FROM tumble(s, ts, INTERVAL '2 seconds') GROUP BY k, window_start, window_end;
)";

/// A process with one shard, cuts every second, and events of one producer a few times a second.
struct Scenario {
  explicit Scenario(const char* format = "json", runtime::Options options = Quick(),
                    const std::string& view_options = "file_interval = '10 seconds'")
      : world(5), cluster(&world, Faults(), options) {
    SetLogLevel(LogLevel::kOff);
    std::string sql = kSql;
    sql.replace(sql.find("%s"), 2, format);
    const std::string usual = "file_interval = '10 seconds'";
    sql.replace(sql.find(usual), usual.size(), view_options);
    const auto statements = PlanScript(sql).value();
    pipeline = std::get<PipelineSpec>(statements[1]);
    cluster.StartNode();
    REQUIRE(cluster.Call(cluster.coordinator().Apply(sql, false), seconds(60))->ok());
    stream = cluster.StreamNow("s");
    incarnation =
        cluster.Call(cluster.coordinator().ListPipelines(), seconds(60))->value()[0].incarnation;
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
        if (identities) {
          entry.headers = {{"millrace-principal", "local"},
                           {"millrace-producer", "p"},
                           {"millrace-seq", std::to_string(++sequence)},
                           {"millrace-acked-below", "0"}};
        }
      } else {
        BatchBuilder builder(stream);
        builder.BeginRecord(Offset(0), 0);
        builder.column(0).AppendInteger(t);
        builder.column(1).AppendText(k);
        builder.column(2).AppendInteger(1);
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
  operations::ShardInfo Shard() {
    return cluster.Call(cluster.coordinator().ListShards(), seconds(60))->value().at(0);
  }
  Status Skip(Offset to) {
    const auto skipped =
        *cluster.Call(cluster.coordinator().SkipShard(Shard().shard, to, "test"), seconds(60));
    return skipped.ok() ? Status() : Status(skipped.error());
  }
  Status Retry() {
    return *cluster.Call(cluster.coordinator().RetryShard(Shard().shard), seconds(60));
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
    REQUIRE(
        cluster
            .Call(cluster.coordinator().AdvanceStream("default", "s", kPlusInfinity), seconds(60))
            ->ok());
    REQUIRE(cluster.Call(cluster.coordinator().WaitApplied("default", "r"), seconds(60))->ok());
    Sleep(seconds(2));
  }
  std::string Different() { return Differences(&cluster, stream, incarnation, pipeline); }
  /// Events in all results.
  int64_t Counted() {
    ServingQuery query{"default", "r", Output::kResults, {}, {}, {}, false};
    int64_t n = 0;
    for (const auto& row : cluster.Outside(test::ReadAll(&cluster.serving, query)).value().rows)
      n += std::get<int64_t>(row[3].data);
    return n;
  }
  double Fallbacks() { return cluster.metrics.count("millrace_worker_restore_fallbacks_total"); }
  /// Objects of the shard's checkpoints, those of the newest commit last.
  std::vector<std::string> StateObjects(const std::string& holding) {
    std::vector<std::string> keys;
    for (const auto& o :
         cluster.Outside(test::ListAll(&cluster.objects, "default/state/")).value()) {
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
  /// Without them nothing but the shard's place in the log keeps an event from counting twice.
  bool identities = true;
};

}  // namespace millrace::sim
