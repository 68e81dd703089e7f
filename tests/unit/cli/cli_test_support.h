#pragma once

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "millrace/base/facts.h"
#include "millrace/cli/byte_source.h"
#include "millrace/cli/console.h"
#include "millrace/cli/event_sink.h"
#include "millrace/cli/names.h"
#include "millrace/operations/operations.h"
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

using operations::Outcome;
using operations::PipelineInfo;
using operations::ProducerInfo;
using operations::ShardInfo;
using operations::StreamInfo;

inline StreamInfo Flights() {
  StreamInfo info;
  StreamSpec& s = info.spec;
  s.name = "flights";
  s.columns = {{"scheduled_at", Type::kTimestamp, true},
               {"origin", Type::kText, false},
               {"destination", Type::kText, false},
               {"delay_minutes", Type::kInt, false},
               {"distance_miles", Type::kInt, false}};
  s.partition_key = 1;
  s.watermark_delay = 4 * 3'600 * kSecond;
  s.topic = "default.flights";
  info.partitions = {{Offset(1), Offset(3), Offset(2), 200},
                     {Offset(0), Offset(0), Offset(0), 0},
                     {Offset(0), Offset(0), Offset(0), 0},
                     {Offset(0), Offset(7), Offset(7), 700}};
  info.keep_for = 7 * kDay;
  return info;
}

/// Answers with what it was given and remembers what it was asked.
class FakeCluster : public operations::Operations {
 public:
  std::vector<StreamInfo> streams{Flights()};
  std::vector<PipelineInfo> pipelines;
  std::optional<std::vector<PipelineInfo>> pipelines_later;  ///< from the second list on
  std::vector<ShardInfo> shards;
  std::vector<operations::Setting> settings;
  std::vector<ProducerInfo> producers;
  std::vector<operations::AppliedStatement> applied;
  bool drops = false;  ///< the script does, so it needs consent
  ServingTable table;
  Status answer;  ///< an error: of every call
  std::vector<std::string> calls;
  ServingQuery query;

  Task<Result<operations::ApplyReport>> Apply(std::string sql, bool may_drop) override {
    calls.push_back((may_drop ? "apply with drops " : "apply ") + sql);
    co_return Given(operations::ApplyReport{applied, drops && !may_drop});
  }
  Task<Result<std::vector<StreamInfo>>> ListStreams() override { co_return Given(streams); }
  Task<Result<StreamInfo>> DescribeStream(std::string name_space, std::string name) override {
    MILLRACE_CO_TRY(answer);
    for (const StreamInfo& s : streams) {
      if (s.spec.name_space == name_space && s.spec.name == name) co_return s;
    }
    co_return NotFound("there is no such stream", {{"stream", name}});
  }
  Task<Result<std::vector<ProducerInfo>>> ListProducers(std::string, std::string, Principal,
                                                        std::string prefix) override {
    std::vector<ProducerInfo> found;
    for (const ProducerInfo& p : producers)
      if (p.id.starts_with(prefix)) found.push_back(p);
    co_return Given(found);
  }
  Task<Status> AdvanceStream(std::string name_space, std::string name, Micros to) override {
    co_return Called("advance " + QualifiedName{name_space, name}.ToString() + " " +
                     FormatTimestamp(to));
  }
  Task<Result<std::vector<PipelineInfo>>> ListPipelines() override {
    const auto listed = pipelines;
    if (pipelines_later) pipelines = *pipelines_later;
    co_return Given(listed);
  }
  Task<Result<PipelineInfo>> DescribePipeline(std::string name_space, std::string name) override {
    MILLRACE_CO_TRY(Called("describe " + QualifiedName{name_space, name}.ToString()));
    for (const PipelineInfo& p : pipelines) {
      if (p.incarnation.name_space == name_space && p.incarnation.name == name) co_return p;
    }
    co_return NotFound("there is no such pipeline", {{"pipeline", name}});
  }
  Task<Status> DropPipeline(std::string name_space, std::string name) override {
    co_return Called("drop " + QualifiedName{name_space, name}.ToString());
  }
  Task<Status> Set(operations::Setting s) override {
    co_return Called("set " + s.name + " " + s.key + "=" + s.value);
  }
  Task<Result<std::vector<operations::Setting>>> ListSettings() override {
    co_return Given(settings);
  }
  Task<Status> ReleaseShard(ShardId shard) override {
    co_return Called("release " + shard.ToString());
  }
  Task<Result<std::vector<ShardInfo>>> ListShards() override { co_return Given(shards); }
  Task<Result<operations::SkipReport>> SkipShard(ShardId shard, Offset to,
                                                 std::string reason) override {
    MILLRACE_CO_TRY(
        Called("skip " + shard.ToString() + " " + std::to_string(to.value) + " " + reason));
    co_return operations::SkipReport{Offset(80), Offset(100), to.value - 80, 3};
  }
  Task<Status> RetryShard(ShardId shard) override { co_return Called("retry " + shard.ToString()); }
  Task<Status> WaitApplied(std::string, std::string name, Left) override {
    co_return Called("wait " + name);
  }
  Task<Result<std::shared_ptr<RowCursor>>> OpenQuery(ServingQuery asked) override {
    query = asked;
    MILLRACE_CO_TRY(Called("query"));
    co_return std::make_shared<Cursor>(&table);
  }

 private:
  class Cursor : public RowCursor {
   public:
    explicit Cursor(const ServingTable* table) : table_(table) {}
    const std::vector<std::string>& names() const override { return table_->names; }
    const std::vector<Type>& types() const override { return table_->types; }
    Task<Result<ServingRows>> Next(size_t max_rows, size_t) override {
      ServingRows rows;
      while (at_ < table_->rows.size() && rows.size() < max_rows)
        rows.push_back(table_->rows[at_++]);
      co_return rows;
    }
    void Cancel() override {}

   private:
    const ServingTable* table_;
    size_t at_ = 0;
  };

  Status Called(std::string call) {
    calls.push_back(std::move(call));
    return answer;
  }
  template <typename T>
  Result<T> Given(T what) const {
    if (!answer.ok()) return answer.error();
    return what;
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
