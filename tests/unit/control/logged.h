#pragma once

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "millrace/base/log.h"
#include "millrace/control/control_writer.h"
#include "millrace/control/snapshot.h"
#include "millrace/log/in_memory_log.h"
#include "millrace/sql/planner.h"
#include "support/catch.h"
#include "support/forwarding_log.h"
#include "support/stamped.h"
#include "support/test_executor.h"
#include "support/two_shards_sql.h"

namespace millrace::control {

inline constexpr size_t kTinyChunk = 100;

/// A log as if all before `start` had been deleted.
class LogFrom : public test::ForwardingLog {
 public:
  LogFrom(EventLog* inner, Offset start) : ForwardingLog(inner), start_(start) {}

  std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                        Offset from) override {
    // Outside of the log on its other side the answer is the same.
    const Offset outside(std::numeric_limits<int64_t>::max());
    return ForwardingLog::OpenReader(std::move(topic), partition, from < start_ ? outside : from);
  }
  Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) override {
    auto range = co_await ForwardingLog::Range(std::move(topic), partition);
    if (range.ok()) range->start = start_;
    co_return range;
  }

 private:
  const Offset start_;
};

/// A control log with leader 1 and one view, and the fold of everything in it.
struct Logged {
  Logged() {
    SetLogLevel(LogLevel::kOff);
    const TopicSpec topic{std::string(kControlTopic), 1};
    REQUIRE(executor.RunUntilDone(log.CreateTopic(topic)).ok());
    const auto statements = PlanScript(test::kTwoShardsSql).value();
    pipeline = std::get<PipelineSpec>(statements[1]);
    stream_spec = std::get<StreamSpec>(statements[0]);
    Append(Claim{1, "c", {"a", 1}});
    Append(DefineStream{{1, 0}, std::get<StreamSpec>(statements[0])});
    Append(Define{{1, 0}, pipeline, {Offset(0), Offset(5)}, Offset(1)});
    shard = {*fold.Current("default", "r"), PartitionId(1)};
    Append(Assign{{1, 0}, shard, {"a", 1}, Epoch(1)});
  }

  Verdict Append(Record record) {
    record = test::Stamped(fold, std::move(record));
    const LogEntry entry{{}, Encode(record), {}};
    const Offset offset =
        executor.RunUntilDone(log.Append(std::string(kControlTopic), PartitionId(0), entry))
            .value();
    return fold.Apply(offset, executor.Wall(), record);
  }
  void AppendCommit() {
    const ShardState& s = fold.shards().at(shard);
    Append(Commit{shard,
                  s.epoch,
                  CutNumber(s.last_cut.value + 1),
                  Offset(s.next_offset.value + 3),
                  "m",
                  {},
                  {}});
  }
  /// A snapshot in small chunks, of the leader of now.
  std::vector<Snapshot> Cut() const { return Cut(FoldImage(fold)); }
  std::vector<Snapshot> Cut(const FoldImage& image) const {
    std::vector<Snapshot> chunks = CutSnapshot(image, kTinyChunk);
    for (Snapshot& chunk : chunks) chunk.by.n = fold.leader().n;
    return chunks;
  }
  /// A whole one.
  void AppendSnapshot() {
    for (const Snapshot& chunk : Cut()) Append(chunk);
  }
  Offset end() const { return fold.next_offset(); }

  /// What a reader has that begins at `start`.
  Result<std::string> ReadFrom(Offset start) {
    LogFrom trimmed(&log, start);
    ControlReader reader(&trimmed);
    const Status started = executor.RunUntilDone(reader.Start());
    if (!started.ok()) return started.error();
    return reader.fold().Encode();
  }

  test::TestExecutor executor;
  InMemoryLog log;
  Fold fold;
  PipelineSpec pipeline;
  StreamSpec stream_spec;
  ShardId shard;
};

}  // namespace millrace::control
