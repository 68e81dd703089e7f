#include "millrace/runtime/retention.h"
#include "millrace/sql/planner.h"
#include "sim/cluster.h"
#include "sim/control_scenarios.h"
#include "support/forwarding_log.h"

namespace millrace::sim {
namespace {

using std::chrono::seconds;

constexpr const char* kTwoPartitions = R"(
CREATE TABLE s (ts timestamptz NOT NULL, k text) WITH (partition_key = 'k', event_time = 'ts',
  watermark_delay = '1 second', partitions = 2, format = 'json', keep_for = '1 microsecond');
CREATE MATERIALIZED VIEW r AS SELECT k, window_start, window_end, count(*) AS n
FROM tumble(s, ts, INTERVAL '1 second') GROUP BY k, window_start, window_end;
)";

/// Lets something happen between the looks at two partitions.
class InterruptedLog : public test::ForwardingLog {
 public:
  using ForwardingLog::ForwardingLog;

  Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) override {
    if (partition == PartitionId(1) && interrupt) {
      const auto once = std::exchange(interrupt, nullptr);
      co_await once();
    }
    auto range = co_await ForwardingLog::Range(std::move(topic), partition);
    co_return range;
  }

  std::function<Task<>()> interrupt;
};

/// A leader with a stream of 10 records in each partition that all may go.
struct Leader {
  Leader()
      : log(&memory),
        control(&log),
        writer(&log, &control),
        leadership(&control, &writer, {"a", 1}, seconds(0)) {
    runtime::Retention::Wiring wiring{};
    wiring.ports.log = &log;
    wiring.ports.metrics = &metrics;
    wiring.take_topic = [this](std::string topic) { return turns.Take(std::move(topic)); };
    wiring.reports = []() -> Task<std::map<uint64_t, runtime::Report>> {
      co_return std::map<uint64_t, runtime::Report>();
    };
    retention.emplace(std::move(wiring), &control, &leadership);
    MILLRACE_CHECK(Run(Begin()).ok(), "a leader did not begin");
    world.RunUntil([] { return false; }, seconds(1));
  }

  Task<Status> Begin() {
    MILLRACE_CO_TRY(co_await control.Start());
    process->Spawn(control.Follow());
    MILLRACE_CO_TRY(co_await leadership.Claim());
    const auto statements = PlanScript(kTwoPartitions).value();
    const auto& spec = std::get<StreamSpec>(statements[0]);
    view = std::get<PipelineSpec>(statements[2]);
    TopicSpec topic{spec.topic, spec.partitions};
    MILLRACE_CO_TRY(co_await log.CreateTopic(std::move(topic)));
    control::DefineStream define{{}, spec};
    MILLRACE_CO_TRY(co_await leadership.Write(std::move(define), "define a stream"));
    const Incarnation what{"default", "s", control.fold().FindStream("default", "s")->generation};
    control::Set keep{{}, what, std::string(control::kKeepFor), "1"};
    MILLRACE_CO_TRY(co_await leadership.Write(std::move(keep), "set what it keeps"));
    for (int i = 0; i < 20; ++i) {
      LogEntry entry{{}, "{}", {}};
      const auto appended = co_await log.Append(spec.topic, PartitionId(i % 2), std::move(entry));
      if (!appended.ok()) co_return appended.error();
    }
    co_return Status();
  }
  Task<Status> DefineView() {
    const Offset generation = control.fold().FindStream("default", "s")->generation;
    control::Define define{{}, view, {Offset(0), Offset(0)}, generation};
    auto defined = co_await leadership.Write(std::move(define), "define a view");
    co_return defined;
  }
  Task<Status> DropView() {
    control::Drop drop{{}, *control.fold().Current("default", "r")};
    auto dropped = co_await leadership.Write(std::move(drop), "drop a view");
    co_return dropped;
  }
  template <typename T>
  T Run(Task<T> task) {
    std::optional<T> value;
    process->Spawn([](Task<T> inner, std::optional<T>* out) -> Task<> {
      T v = co_await std::move(inner);
      out->emplace(std::move(v));
    }(std::move(task), &value));
    world.RunUntil([&] { return value.has_value(); }, seconds(60));
    return std::move(*value);
  }
  int64_t Start(int32_t partition) {
    return Run(memory.Range("default.s", PartitionId(partition)))->start.value;
  }

  SimWorld world{1};
  SimExecutor* process = world.NewProcess();
  InMemoryLog memory;
  InterruptedLog log;
  CountingMetrics metrics;
  control::ControlReader control;
  control::ControlWriter writer;
  runtime::Leadership leadership;
  runtime::Turns turns;
  std::optional<runtime::Retention> retention;
  PipelineSpec view;
};

}  // namespace

std::string DefineDuringTrim() {
  Leader leader;
  Status defined;
  leader.log.interrupt = [&]() -> Task<> { defined = co_await leader.DefineView(); };
  leader.Run(leader.retention->RunOnce());
  if (!defined.ok()) return "a view was not defined: " + defined.error().message;
  if (leader.Start(0) > 0) return "records were deleted that a view begins with";
  if (leader.Run(leader.retention->RunOnce()) > 0) return "records were given up that a view needs";
  if (!leader.Run(leader.DropView()).ok()) return "a view was not dropped";
  if (leader.Run(leader.retention->RunOnce()) != 20) return "records stay that nobody needs";
  return leader.Start(0) == 10 && leader.Start(1) == 10 ? "" : "records were not deleted";
}

}  // namespace millrace::sim
