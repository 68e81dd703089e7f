#include "leading.h"
#include "millrace/runtime/coordinator.h"
#include "silent_worker.h"
#include "support/recording_metrics.h"

namespace millrace::runtime {
namespace {

/// A coordinator that does not lead: what it lists is what it has read and was told.
struct Listing : Leading {
  Listing() {
    DefineView({Offset(0), Offset(0)});
    ports.log = &log;
    ports.metrics = &metrics;
    coordinator.emplace(Coordinator::Wiring{{"other", 98}, ports, Options(), {}, {}, 0}, &reader,
                        &writer);
  }

  operations::ShardInfo Listed() {
    return executor.RunUntilDone(coordinator->ListShards()).value().at(0);
  }
  void Report(const std::string& state) {
    ShardReport shard;
    shard.info.shard = Shard(0);
    shard.info.epoch = Epoch(1);
    shard.info.state = state;
    runtime::Report report;
    if (!state.empty()) report.shards = {shard};
    REQUIRE(On([&] { return coordinator->desk().Take(7, report); }).ok());
  }

  test::RecordingMetrics metrics;
  Ports ports{};
  std::optional<Coordinator> coordinator;
};

}  // namespace

TEST_CASE_METHOD(Listing, "a list says what is known of a shard, and invents nothing") {
  CHECK(Listed().state == "unassigned");
  Write(control::Assign{{}, Shard(0), {"w7", 7}, Epoch(1)});
  CHECK(Listed().state == "unknown");
  Hello hello;
  hello.process = {"w7", 7};
  REQUIRE(
      On([&] { return coordinator->desk().Open(hello, std::make_shared<SilentWorker>()); }).ok());
  // It answers, and has not read its assignment.
  Report("");
  CHECK(Listed().state == "assigned");
  CHECK(Listed().worker == "w7");
  Report("opening");
  CHECK(Listed().state == "opening");
  Report("running");
  CHECK(Listed().state == "running");
  Write(control::Set{{}, Shard(0).incarnation, "paused", "on"});
  CHECK(Listed().state == "paused");
  Write(control::Assign{{}, Shard(0), {"w7", 7}, Epoch(2)});
  CHECK(Listed().state == "assigned");
}

}  // namespace millrace::runtime
