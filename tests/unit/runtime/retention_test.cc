#include "millrace/runtime/retention.h"

#include "leading.h"
#include "support/recording_metrics.h"

namespace millrace::runtime {
namespace {

/// A topic of others: a record each hour in its first partition, which they trim.
struct TrimmedByOthers : Leading {
  TrimmedByOthers() {
    Retention::Wiring wiring{};
    wiring.ports.log = &log;
    wiring.ports.metrics = &metrics;
    wiring.take_topic = [this](std::string topic) { return turns.Take(std::move(topic)); };
    wiring.reports = []() -> Task<std::map<uint64_t, Report>> {
      co_return std::map<uint64_t, Report>();
    };
    retention.emplace(std::move(wiring), &reader, &leadership);
    for (int i = 0; i < 40; ++i) {
      const LogEntry entry{{}, "{}", {}};
      REQUIRE(executor.RunUntilDone(log.Append(stream.topic, PartitionId(0), entry)).ok());
      executor.RunFor(std::chrono::hours(1));
    }
  }
  void Trim(int64_t to) {
    REQUIRE(executor.RunUntilDone(log.DeleteBefore(stream.topic, PartitionId(0), Offset(to))).ok());
  }
  double Endangered() {
    executor.RunUntilDone(retention->RunOnce());
    return metrics.Value("millrace_coordinator_endangered_partitions");
  }

  test::RecordingMetrics metrics;
  Turns turns;
  std::optional<Retention> retention;
};

}  // namespace

TEST_CASE_METHOD(TrimmedByOthers, "a log that others trim up to what a view needs is an alarm") {
  DefineView({Offset(30), Offset(0)});
  CHECK(Endangered() == 0);
  Trim(5);
  CHECK(Endangered() == 0);
  // Record 30 is 23 hours younger than the first one that is left.
  Trim(7);
  CHECK(Endangered() == 1);
  Trim(33);
  CHECK(Endangered() == 1);
}

TEST_CASE_METHOD(TrimmedByOthers, "what was read to its end is in no danger, nor is what we trim") {
  DefineView({Offset(40), Offset(0)});
  Trim(39);
  CHECK(Endangered() == 0);
  Write(control::Drop{{}, *reader.fold().Current("default", "r")});
  DefineView({Offset(39), Offset(0)});
  CHECK(Endangered() == 1);
  Write(control::Trim{{}, {"default", "s", stream.generation}, {Offset(39), Offset(0)}});
  CHECK(Endangered() == 0);
}

}  // namespace millrace::runtime
