#pragma once

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "millrace/cli/byte_source.h"
#include "millrace/cli/cluster.h"
#include "millrace/cli/console.h"
#include "millrace/cli/event_sink.h"
#include "support/temp_dir.h"

namespace millrace::cli::test {

using millrace::test::TempDir;

/// What a verb wrote.
struct Recorded {
  std::ostringstream out;
  std::ostringstream err;
  Console console{out, err, false, false, false};

  bool Said(const std::string& text) const { return err.str().find(text) != std::string::npos; }
};

/// Text as bytes that arrive `piece` at a time.
class TextSource : public ByteSource {
 public:
  explicit TextSource(std::string text, size_t piece = 1 << 20)
      : text_(std::move(text)), piece_(piece) {}
  Result<size_t> Read(char* to, size_t size) override {
    const size_t n = std::min({size, piece_, text_.size() - at_});
    std::copy_n(text_.data() + at_, n, to);
    at_ += n;
    return n;
  }

 private:
  std::string text_;
  size_t piece_;
  size_t at_ = 0;
};

inline StreamDescription Flights() {
  StreamDescription s;
  s.name = {"default", "flights"};
  s.format = "arrow";
  s.columns = {{"scheduled_at", Type::kTimestamp, true},
               {"origin", Type::kText, false},
               {"destination", Type::kText, false},
               {"delay_minutes", Type::kInt, false},
               {"distance_miles", Type::kInt, false}};
  s.event_time = "scheduled_at";
  s.partition_key = "origin";
  s.watermark_delay = 4 * 3'600 * kSecond;
  s.max_ahead = 3'600 * kSecond;
  s.idle_timeout = 30 * kSecond;
  s.topic = "default.flights";
  s.start_offsets = {1, 0, 0, 0};
  s.end_offsets = {3, 0, 0, 7};
  s.floor_offsets = {2, 0, 0, 7};
  s.bytes = {200, 0, 0, 700};
  s.keep_for = 7 * kDay;
  return s;
}

/// Answers with what it was given and remembers what it was asked.
class FakeCluster : public Cluster {
 public:
  std::vector<StreamDescription> streams{Flights()};
  std::vector<PipelineDescription> pipelines;
  std::optional<std::vector<PipelineDescription>> pipelines_later;  ///< from the second list on
  std::vector<ShardDescription> shards;
  std::vector<ProducerDescription> producers;
  std::vector<AppliedStatement> applied;
  bool drops = false;  ///< the script does, so it needs consent
  ServingTable table;
  Status answer;  ///< an error: of every call
  std::vector<std::string> calls;
  ServingQuery query;

  Result<ApplyReport> Apply(const std::string& sql, bool may_drop) override {
    calls.push_back((may_drop ? "apply with drops " : "apply ") + sql);
    MILLRACE_TRY(answer);
    return ApplyReport{applied, drops && !may_drop};
  }
  Result<std::vector<StreamDescription>> ListStreams() override {
    MILLRACE_TRY(answer);
    return streams;
  }
  Result<StreamDescription> DescribeStream(const QualifiedName& name) override {
    MILLRACE_TRY(answer);
    for (const StreamDescription& s : streams) {
      if (s.name == name) return s;
    }
    return NotFound("there is no such stream stream=" + name.ToString());
  }
  Result<std::vector<ProducerDescription>> ListProducers(const QualifiedName&,
                                                         const std::string& prefix) override {
    MILLRACE_TRY(answer);
    std::vector<ProducerDescription> found;
    for (const ProducerDescription& p : producers)
      if (p.id.starts_with(prefix)) found.push_back(p);
    return found;
  }
  Status AdvanceStream(const QualifiedName& name, Micros to) override {
    calls.push_back("advance " + name.ToString() + " " + FormatTimestamp(to));
    return answer;
  }
  Result<std::vector<PipelineDescription>> ListPipelines() override {
    MILLRACE_TRY(answer);
    const auto listed = pipelines;
    if (pipelines_later) pipelines = *pipelines_later;
    return listed;
  }
  Result<PipelineDescription> DescribePipeline(const QualifiedName& name) override {
    calls.push_back("describe " + name.ToString());
    MILLRACE_TRY(answer);
    for (const PipelineDescription& p : pipelines) {
      if (p.name == name) return p;
    }
    return NotFound("there is no such pipeline pipeline=" + name.ToString());
  }
  Status DropPipeline(const QualifiedName& name) override {
    calls.push_back("drop " + name.ToString());
    return answer;
  }
  Status ReleaseShard(const std::string& shard) override {
    calls.push_back("release " + shard);
    return answer;
  }
  Result<std::vector<ShardDescription>> ListShards() override {
    MILLRACE_TRY(answer);
    return shards;
  }
  Result<ShardSkipped> SkipShard(const std::string& shard, int64_t to,
                                 const std::string& reason) override {
    calls.push_back("skip " + shard + " " + std::to_string(to) + " " + reason);
    MILLRACE_TRY(answer);
    return ShardSkipped{80, 100, to - 80, 3};
  }
  Status RetryShard(const std::string& shard) override {
    calls.push_back("retry " + shard);
    return answer;
  }
  Status Query(const ServingQuery& asked, bool wait,
               std::function<void(std::vector<std::string>, std::vector<Type>)> on_columns,
               std::function<void(const std::vector<Value>&)> on_row) override {
    calls.push_back(wait ? "wait and query" : "query");
    query = asked;
    MILLRACE_TRY(answer);
    on_columns(table.names, table.types);
    for (const auto& row : table.rows) on_row(row);
    return {};
  }
};

/// What sinks of several runs were given, by producer.
struct SentEvents {
  struct Event {
    int64_t sequence;
    std::string payload;
    friend bool operator==(const Event&, const Event&) = default;
  };
  std::vector<std::string> producers;  ///< one for each run
  bool dry_run = false;                ///< the last run was
  std::vector<Event> events;
  size_t flushes = 0;
};

/// Acknowledges every event except those whose payload holds "bad"; fails for good at `fail_at`.
class FakeSink : public EventSink {
 public:
  FakeSink(SinkOptions options, SentEvents* sent, int64_t fail_at)
      : options_(std::move(options)), sent_(sent), fail_at_(fail_at) {}

  Status Send(int64_t sequence, std::string_view payload) override {
    if (sequence == fail_at_) return NotFound("the stream is gone stream=flights");
    sent_->events.push_back({sequence, std::string(payload)});
    if (payload.find("bad") != std::string_view::npos) {
      ++counters_.refused;
      options_.on_refused({sequence, "WRONG_TYPE", "not what the column takes"});
    } else {
      ++counters_.acknowledged;
      if (options_.on_acknowledged) options_.on_acknowledged(sequence);
    }
    return {};
  }
  Status Flush() override {
    ++sent_->flushes;
    return {};
  }
  SinkCounters counters() const override { return counters_; }

 private:
  SinkOptions options_;
  SentEvents* sent_;
  int64_t fail_at_;
  SinkCounters counters_;
};

inline OpenEventSink SinkInto(SentEvents* sent, int64_t fail_at = -1) {
  return [=](SinkOptions options) -> Result<std::unique_ptr<EventSink>> {
    sent->producers.push_back(options.producer_id);
    sent->dry_run = options.dry_run;
    return std::unique_ptr<EventSink>(
        std::make_unique<FakeSink>(std::move(options), sent, fail_at));
  };
}

inline std::string WriteFile(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

}  // namespace millrace::cli::test
