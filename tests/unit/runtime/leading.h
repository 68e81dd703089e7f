#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "millrace/control/control_writer.h"
#include "millrace/log/in_memory_log.h"
#include "millrace/runtime/leadership.h"
#include "millrace/sql/planner.h"
#include "support/catch.h"
#include "support/test_executor.h"
#include "support/two_shards_sql.h"

namespace millrace::runtime {

/// A leader of a control log with a stream of two partitions.
struct Leading {
  Leading() {
    REQUIRE(executor.RunUntilDone(reader.Start()).ok());
    executor.Spawn(reader.Follow());
    REQUIRE(executor.RunUntilDone(leadership.Claim()).ok());
    const auto statements = PlanScript(test::kTwoShardsSql).value();
    stream = std::get<StreamSpec>(statements[0]);
    view = std::get<PipelineSpec>(statements[1]);
    const TopicSpec topic{stream.topic, stream.partitions};
    REQUIRE(executor.RunUntilDone(log.CreateTopic(topic)).ok());
    Write(control::DefineStream{{}, stream});
    stream = *reader.fold().FindStream("default", "s");
  }
  ~Leading() { reader.Stop(); }

  void Write(control::Record record) {
    REQUIRE(executor.RunUntilDone(leadership.Write(std::move(record), "write")).ok());
  }
  /// Calls `of` on the executor, as code does that asks for the time.
  template <typename F>
  auto On(F of) {
    return executor.RunUntilDone(
        [](F call) -> Task<decltype(call())> { co_return call(); }(std::move(of)));
  }
  void DefineView(std::vector<Offset> starts) {
    Write(control::Define{{}, view, std::move(starts), stream.generation});
  }
  ShardId Shard(int32_t partition) const {
    return {*reader.fold().Current("default", "r"), PartitionId(partition)};
  }

  test::TestExecutor executor;
  InMemoryLog log;
  control::ControlReader reader{&log};
  control::ControlWriter writer{&log, &reader};
  Leadership leadership{&reader, &writer, {"leader", 99}, Executor::Duration(0)};
  StreamSpec stream;
  PipelineSpec view;
};

}  // namespace millrace::runtime
