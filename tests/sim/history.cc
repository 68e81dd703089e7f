#include "sim/history.h"

#include <cstdio>

#include "millrace/sql/planner.h"
#include "sim/cluster.h"
#include "support/catch.h"

namespace millrace::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A log of one history: what the outside world appends, whatever the node does.
/// A second apart; a shard that is still not complete then never will be.
constexpr int kHealingTries = 100;

constexpr const char* kSql = R"(
CREATE TABLE s (ts timestamptz NOT NULL, k text, v int, d double precision)
  WITH (partition_key = 'k', event_time = 'ts', watermark_delay = '1 second', partitions = 2, format = '%s',
        idle_timeout = '5 seconds'%k);
CREATE MATERIALIZED VIEW tumbling WITH (allowed_lateness = '3 seconds', file_interval = '10 seconds',
                                        file_idle = '20 seconds', emit = 'updates') AS
SELECT k, window_start, window_end, count(*) AS n, sum(v) AS total, sum(d) AS real, min(k) AS least
FROM tumble(s, ts, INTERVAL '2 seconds') WHERE v <> 13
GROUP BY k, window_start, window_end HAVING count(*) <> 3;
CREATE MATERIALIZED VIEW hopping WITH (file_interval = '20 seconds') AS
SELECT k, window_start, window_end, count(*) AS n, avg(v) AS mean, max(d) AS most
FROM hop(s, ts, INTERVAL '1 second', INTERVAL '4 seconds')
GROUP BY k, window_start, window_end;
)";

/// Producers of the simulated world: they send every sequence at least once and some again, in
/// blocks or json records.
class Producers {
 public:
  Producers(SimWorld* world, Cluster* cluster, const StreamSpec& stream)
      : world_(world), cluster_(cluster), stream_(stream) {}

  /// One request: some events of one producer, new or sent before, into one partition.
  void Send() {
    const auto partition =
        static_cast<int32_t>(world_->Random(static_cast<uint64_t>(stream_.partitions)));
    const size_t p = world_->Random(3);
    Sender& sender = senders_[{partition, p}];
    const bool again = !sender.sent.empty() && world_->Chance(0.25);
    std::vector<std::pair<int64_t, std::string>> events;
    if (again) {
      const size_t from = world_->Random(sender.sent.size());
      for (size_t i = from; i < std::min(from + 5, sender.sent.size()); ++i)
        events.push_back(sender.sent[i]);
    } else {
      for (uint64_t n = 1 + world_->Random(6); n > 0; --n) {
        sender.sent.emplace_back(sender.next++, Event(partition));
        events.push_back(sender.sent.back());
        ++unique_;
      }
      if (world_->Chance(0.3)) {
        // Everything but the last few is settled and never sent again.
        while (sender.sent.size() > 3) sender.sent.erase(sender.sent.begin());
        sender.acked_below = sender.sent.front().first;
      }
    }
    Append(partition, "producer" + std::to_string(p), sender.acked_below, events);
  }

  int64_t unique() const { return unique_; }

 private:
  struct Sender {
    int64_t next = 1;
    int64_t acked_below = 0;
    std::vector<std::pair<int64_t, std::string>> sent;
  };

  std::string Event(int32_t partition) {
    if (stream_.format == RecordFormat::kJson && world_->Chance(0.02)) return "{broken";
    const Micros now = SimExecutor::kEpoch + world_->now().count();
    const Micros t =
        now - static_cast<Micros>(world_->Random(world_->Chance(0.1) ? 8 * kSecond : kSecond));
    return "{\"ts\":\"" + FormatTimestamp(t) + "\",\"k\":\"" +
           static_cast<char>('a' + 10 * partition + world_->Random(4)) +
           "\",\"v\":" + std::to_string(world_->Random(20)) +
           ",\"d\":" + (world_->Chance(0.1) ? "1e300" : "0.1") + "}";
  }

  void Append(int32_t partition, const std::string& producer, int64_t acked_below,
              const std::vector<std::pair<int64_t, std::string>>& events) {
    if (stream_.format == RecordFormat::kJson) {
      for (const auto& [sequence, payload] : events) {
        Write(partition, {{},
                          payload,
                          {{"millrace-principal", "local"},
                           {"millrace-producer", producer},
                           {"millrace-seq", std::to_string(sequence)},
                           {"millrace-acked-below", std::to_string(acked_below)}}});
      }
      return;
    }
    const auto parser = record_simdjson::JsonRecordParsers().ForStream(stream_);
    BatchBuilder builder(stream_);
    builder.BeginRecord(Offset(0), 0);
    const int16_t index = builder.AddProducer("local", producer, acked_below);
    for (const auto& [sequence, payload] : events) {
      REQUIRE(parser->Parse(payload, &builder).reason == Reason::kNone);
      builder.EndRow(index, sequence);
    }
    Write(partition,
          {{}, block_arrow::ArrowBlockCodec().Encode(stream_, builder.Build()).value(), {}});
  }

  void Write(int32_t partition, LogEntry entry) {
    REQUIRE(
        cluster_
            ->Outside(cluster_->log.Append(stream_.topic, PartitionId(partition), std::move(entry)))
            .ok());
  }

  SimWorld* world_;
  Cluster* cluster_;
  StreamSpec stream_;
  std::map<std::pair<int32_t, size_t>, Sender> senders_;
  int64_t unique_ = 0;
};

std::string Sql(const char* format, const char* keep) {
  std::string sql = kSql;
  sql.replace(sql.find("%s"), 2, format);
  sql.replace(sql.find("%k"), 2, keep);
  return sql;
}

/// A cluster with both views defined, faults off while it is set up.
void Define(Cluster* cluster, const std::string& sql) {
  cluster->StartNode();
  for (;;) {
    const auto applied = cluster->Call(cluster->coordinator().Apply(sql, false), seconds(60));
    if (!applied) {
      cluster->KillNode();
      cluster->StartNode();
      continue;
    }
    if (applied->ok()) break;
    REQUIRE(applied->error().code == Code::kUnavailable);
  }
}

}  // namespace

History Run(uint64_t seed, double kills_per_second, Faults faults) {
  SimWorld world(seed);
  runtime::Options options;
  options.cut_interval = milliseconds(700);
  options.sink_rows = 7;
  // Every other pair of seeds: what a record makes due comes in parts, and waits for the sinks.
  if (seed / 2 % 2 == 0) {
    options.output_bytes = 1;
    options.outbox_bytes = 500;
  }
  options.read_bytes = 300;
  options.snapshot_records = 10;
  options.housekeeping_first = milliseconds(300);
  options.housekeeping_interval = milliseconds(500);
  options.unnamed_object_age = milliseconds(0);
  options.retention_first = milliseconds(200);
  options.retention_interval = milliseconds(300);
  // Half of the logs keep something of their own between records, as a broker does.
  InMemoryLog::Options log;
  log.hole_after = seed / 4 % 2 == 0 ? 3 : 0;
  Cluster cluster(&world, Faults(), options, log);
  const char* format = seed % 2 == 0 ? "arrow" : "json";
  // Two of three streams let records go, as soon as no shard needs them.
  const char* keeps[] = {"", ", keep_for = '1 millisecond'", ", keep_bytes = '2 kB'"};
  const std::string sql = Sql(format, keeps[seed % 3]);
  Define(&cluster, sql);
  const StreamSpec stream = cluster.StreamNow("s");
  cluster.faults = faults;
  const auto statements = PlanScript(sql).value();
  Producers producers(&world, &cluster, stream);
  History history;
  for (int i = 0; i < 120; ++i) {
    producers.Send();
    const auto pause = milliseconds(world.Random(300));
    world.RunUntil([&] { return !cluster.node_alive(); }, pause);
    if (!cluster.node_alive() || world.Chance(kills_per_second * 0.15)) {
      cluster.KillNode();
      ++history.kills;
      history.trims += cluster.control_log_trimmed() ? 1 : 0;
      cluster.StartNode();
    }
  }
  // The world heals, everything closes, and the node is given time.
  cluster.faults = Faults();
  if (!cluster.node_alive()) cluster.StartNode();
  for (const Statement& s : statements) {
    const auto* pipeline = std::get_if<PipelineSpec>(&s);
    if (pipeline == nullptr) continue;
    if (pipeline->name == "tumbling") {
      bool advanced = false;
      for (int tries = 0; tries < kHealingTries && !advanced; ++tries) {
        // A crash that was planned may come only now.
        if (!cluster.node_alive()) cluster.StartNode();
        const auto status = cluster.Call(
            cluster.coordinator().AdvanceStream("default", "s", kPlusInfinity), seconds(60));
        advanced = status && status->ok();
      }
      if (!advanced) {
        history.differences += "the stream cannot be brought to its end\n";
        return history;
      }
    }
    bool complete = false;
    for (int tries = 0; tries < kHealingTries && !complete; ++tries) {
      const auto waited =
          cluster.Call(cluster.coordinator().WaitApplied("default", pipeline->name), seconds(600));
      if (!waited && cluster.node_alive()) break;
      if (!waited) {
        cluster.StartNode();
        continue;
      }
      complete = waited->ok();
      if (!complete) world.RunUntil([] { return false; }, seconds(1));
    }
    if (!complete) {
      history.differences += "results of " + pipeline->name + " are never complete\n";
      const auto shards = cluster.Call(cluster.coordinator().ListShards(), seconds(60));
      if (!shards || !shards->ok()) return history;
      for (const auto& info : shards->value())
        history.differences += info.shard.ToString() + " " + info.state + " " + info.message + "\n";
      return history;
    }
    world.RunUntil([] { return false; }, seconds(5));
    const auto shards =
        cluster.Call(cluster.coordinator().ListShards(), seconds(60)).value().value();
    for (const auto& info : shards) {
      const auto fences = cluster.Outside(cluster.serving.ReadFences({info.shard})).value();
      if (fences[0] && fences[0]->epoch == info.epoch) continue;
      history.differences += "the fence of " + info.shard.ToString() + " does not name its owner\n";
    }
    const auto pipelines =
        cluster.Call(cluster.coordinator().ListPipelines(), seconds(60)).value().value();
    for (const auto& info : pipelines) {
      if (info.incarnation.name != pipeline->name) continue;
      history.differences += Differences(&cluster, stream, info.incarnation, *pipeline);
    }
  }
  cluster.KillNode();
  for (const std::string& f : cluster.failures) history.differences += "task failed: " + f + "\n";
  const double fallbacks = cluster.metrics.count("millrace_worker_restore_fallbacks_total");
  if (fallbacks > 0)
    history.differences +=
        "committed checkpoints that could not be used: " + std::to_string(fallbacks) + "\n";
  history.trace = world.trace();
  history.events = producers.unique();
  for (int32_t p = 0; p < stream.partitions; ++p)
    history.deleted +=
        cluster.Outside(cluster.log.Range(stream.topic, PartitionId(p)))->start.value;
  history.cleaned =
      static_cast<int64_t>(cluster.metrics.count("millrace_coordinator_cleaned_objects_total"));
  return history;
}

}  // namespace millrace::sim
