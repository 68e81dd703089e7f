#include "millrace/rpc/link_client.h"

#include <thread>

#include "integration/rpc_surface.h"
#include "millrace/control/control_writer.h"
#include "millrace/log/in_memory_log.h"
#include "millrace/runtime/worker_desk.h"
#include "millrace/sql/planner.h"
#include "support/catch.h"
#include "support/two_shards_sql.h"

namespace millrace::test {
namespace {

using runtime::Answer;
using runtime::Hello;
using runtime::Report;
using runtime::WorkerDesk;

const ShardId kShard{{"default", "r", Offset(17)}, PartitionId(1)};

runtime::ShardReport ReportOf(const ShardId& shard) {
  runtime::ShardReport report;
  report.info.shard = shard;
  report.info.epoch = Epoch(3);
  report.info.worker = "w";
  report.info.state = "running";
  report.info.message = "cut fails";
  report.info.next_offset = Offset(8);
  report.info.end_offset = Offset(9);
  report.info.last_cut = CutNumber(4);
  report.info.watermark = 5;
  report.info.late = 6;
  report.rows_made = 7;
  report.rows_applied = 2;
  report.busy = std::chrono::seconds(3);
  report.bytes = 11;
  report.state_bytes = 12;
  report.level = true;
  report.cannot = "log";
  return report;
}

/// What a worker answers.
class FakeWorker : public runtime::WorkerQuestions {
 public:
  std::atomic<int> woken{0};
  std::atomic<bool> waits{false};
  std::atomic<bool> left{false};

  Task<Result<Report>> ReportNow() override {
    Report report;
    report.draining = true;
    report.shards.push_back(ReportOf(kShard));
    co_return report;
  }
  Task<Result<std::vector<operations::ProducerInfo>>> FindProducers(std::string name_space,
                                                                    std::string stream,
                                                                    Principal principal,
                                                                    std::string prefix) override {
    co_return std::vector<operations::ProducerInfo>{
        {name_space + "." + stream + " " + principal.name + " " + prefix, 7}};
  }
  Task<Status> WaitApplied(ShardId, Offset offset, Executor::Duration,
                           operations::Operations::Left caller) override {
    if (offset == Offset(1)) co_return Conflict("the shard has another owner");
    if (offset == Offset(2)) co_return Status();
    waits = true;
    while (!*caller) co_await Delay(std::chrono::milliseconds(1));
    left = true;
    co_return Unavailable("the caller left");
  }
  void Wake() override { ++woken; }
};

/// The desk of a coordinator behind a real server.
struct DeskProcess {
  explicit DeskProcess(const std::string& listen = "127.0.0.1:0") {
    rpc::Services services;
    services.control_executor = &driver.core(0);
    services.desk = &desk;
    server = rpc::Server::Start({.listen = listen}, services).value();
  }
  ~DeskProcess() { server.reset(); }

  /// A copy of what the desk knows of the worker.
  std::optional<runtime::Roster::Worker> Find(uint64_t instance) {
    const auto find = [](WorkerDesk* of,
                         uint64_t who) -> Task<std::optional<runtime::Roster::Worker>> {
      const auto* worker = of->roster().Find(who);
      if (worker == nullptr) co_return std::nullopt;
      co_return *worker;
    };
    return RunBlocking(driver.core(0), find(&desk, instance));
  }

  /// Gives the first shard of a view to a worker.
  ShardId Own(control::Process worker) {
    const auto statements = PlanScript(kTwoShardsSql).value();
    const auto write = [](DeskProcess* of, control::Process owner,
                          std::vector<Statement> planned) -> Task<Result<ShardId>> {
      auto stream = std::get<StreamSpec>(planned[0]);
      MILLRACE_CO_TRY(co_await of->control.Start());
      Executor::Current().Spawn(of->control.Follow());
      const auto append = [of](control::Record record) -> Task<Status> {
        const auto written = co_await of->writer.Write(std::move(record));
        if (!written.ok()) co_return written.error();
        if (*written != control::Verdict::kValid) co_return Conflict("void");
        co_return Status();
      };
      control::Record claim = control::Claim{1, "ours", {"leader", 99}};
      MILLRACE_CO_TRY(co_await append(std::move(claim)));
      control::Record define_stream = control::DefineStream{{1, 1}, stream};
      MILLRACE_CO_TRY(co_await append(std::move(define_stream)));
      stream = *of->control.fold().FindStream("default", stream.name);
      std::vector<Offset> starts(2, Offset(0));
      control::Record define =
          control::Define{{1, 2}, std::get<PipelineSpec>(planned[1]), starts, stream.generation};
      MILLRACE_CO_TRY(co_await append(std::move(define)));
      const ShardId first = of->control.fold().shards().begin()->first;
      control::Record assign = control::Assign{{1, 3}, first, owner, Epoch(1)};
      MILLRACE_CO_TRY(co_await append(std::move(assign)));
      co_return first;
    };
    return RunBlocking(driver.core(0), write(this, std::move(worker), statements)).value();
  }

  InMemoryLog log{InMemoryLog::Options{}};
  control::ControlReader control{&log};
  control::ControlWriter writer{&log, &control};
  WorkerDesk desk{{false, [](uint64_t) { return Answer{4, {kShard}}; }, [] {}}, &control};
  ThreadDriver driver{{1, 1, {}}};
  std::unique_ptr<rpc::Server> server;
};

/// A worker's process with one link.
struct LinkProcess {
  explicit LinkProcess(const std::string& coordinator) : link(coordinator) {}
  ~LinkProcess() { link.Close(); }

  Status Open(Hello hello = {}) {
    if (hello.process.instance == 0) hello.process = {"w", 42};
    return RunBlocking(driver.core(0), link.Open(std::move(hello), worker));
  }
  Result<Answer> Send(Report report) {
    return RunBlocking(driver.core(0), link.Send(std::move(report)));
  }
  void Bye() {
    const auto bye = [](rpc::LinkClient* of) -> Task<bool> {
      co_await of->Bye();
      co_return true;
    };
    RunBlocking(driver.core(0), bye(&link));
  }

  std::shared_ptr<FakeWorker> worker = std::make_shared<FakeWorker>();
  ThreadDriver driver{{1, 1, {}}};
  rpc::LinkClient link;
};

template <typename Holds>
bool Soon(Holds holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

Task<Status> WaitAtDesk(WorkerDesk* desk, ShardId shard, Offset offset,
                        std::chrono::milliseconds patience, operations::Operations::Left left) {
  const auto deadline = Executor::Current().Monotonic() + patience;
  auto waited = co_await desk->WaitApplied(std::move(shard), offset, deadline, std::move(left));
  co_return waited;
}

TEST_CASE("a worker says who it is, reports, is answered, and says bye") {
  DeskProcess coordinator;
  LinkProcess worker(coordinator.server->address());
  Hello hello;
  hello.process = {"w", 42};
  hello.versions = "4";
  hello.executors = 3;
  hello.memory = 5;
  hello.standby = true;
  REQUIRE(worker.Open(hello).ok());

  Report report;
  report.cannot = "log";
  report.leader = 2;
  report.shards.push_back(ReportOf(kShard));
  const auto answer = worker.Send(report);
  REQUIRE(answer.ok());
  CHECK(answer->leader == 4);
  CHECK(answer->follow == std::vector<ShardId>{kShard});

  const auto known = coordinator.Find(42);
  REQUIRE(known);
  CHECK(known->hello.process.name == "w");
  CHECK(known->hello.versions == "4");
  CHECK(known->hello.executors == 3);
  CHECK(known->hello.memory == 5);
  CHECK(known->hello.standby);
  CHECK(known->linked);
  CHECK(known->report.cannot == "log");
  CHECK(known->report.leader == 2);
  REQUIRE(known->report.shards.size() == 1);
  const runtime::ShardReport& shard = known->report.shards[0];
  CHECK(shard.info.shard == kShard);
  CHECK(shard.info.epoch == Epoch(3));
  CHECK(shard.info.state == "running");
  CHECK(shard.info.message == "cut fails");
  CHECK(shard.info.next_offset == Offset(8));
  CHECK(shard.info.end_offset == Offset(9));
  CHECK(shard.info.last_cut == CutNumber(4));
  CHECK(shard.info.watermark == 5);
  CHECK(shard.info.read_watermark == kMinusInfinity);
  CHECK(shard.info.late == 6);
  CHECK(shard.rows_made == 7);
  CHECK(shard.rows_applied == 2);
  CHECK(shard.busy == std::chrono::seconds(3));
  CHECK(shard.bytes == 11);
  CHECK(shard.state_bytes == 12);
  CHECK(shard.level);
  CHECK(shard.cannot == "log");

  worker.Bye();
  CHECK(!coordinator.Find(42));
  CHECK(worker.Send({}).error().code == Code::kUnavailable);
  // Who said bye does not come back.
  CHECK(worker.Open().error().message.find("taken for gone") != std::string::npos);
}

TEST_CASE("a coordinator asks a worker over the link, and a caller that leaves is told") {
  DeskProcess coordinator;
  LinkProcess worker(coordinator.server->address());
  REQUIRE(worker.Open().ok());
  REQUIRE(worker.Send({}).ok());
  Executor& there = coordinator.driver.core(0);

  const auto reports = RunBlocking(there, coordinator.desk.Reports());
  REQUIRE(reports.contains(42));
  CHECK(reports.at(42).draining);
  CHECK(reports.at(42).shards.at(0).info.shard == kShard);

  const auto producers =
      RunBlocking(there, coordinator.desk.FindProducers("default", "s", Principal(), "p"));
  REQUIRE(producers.size() == 1);
  CHECK(producers[0].id == "default.s local p");
  CHECK(producers[0].end == 7);

  there.Post([&] { coordinator.desk.WakeAll(); });
  CHECK(Soon([&] { return worker.worker->woken == 1; }));

  const ShardId shard = coordinator.Own({"w", 42});
  const auto wait = [&](Offset offset, std::chrono::milliseconds patience,
                        operations::Operations::Left left) {
    return RunBlocking(there, WaitAtDesk(&coordinator.desk, shard, offset, patience, left));
  };
  CHECK(wait(Offset(2), std::chrono::seconds(20), nullptr).ok());
  // Another owner: the desk looks in the fold again, until its time ends.
  CHECK(wait(Offset(1), std::chrono::milliseconds(200), nullptr).error().code ==
        Code::kUnavailable);

  const auto caller_left = std::make_shared<std::atomic<bool>>(false);
  std::thread leaves([&] {
    Soon([&] { return worker.worker->waits.load(); });
    *caller_left = true;
  });
  const Status waited = wait(Offset(3), std::chrono::seconds(60), caller_left);
  leaves.join();
  CHECK(waited.error().message.find("the caller left") != std::string::npos);
  CHECK(Soon([&] { return worker.worker->left.load(); }));
}

TEST_CASE("a link that breaks is told to both ends, and opens again") {
  auto coordinator = std::make_unique<DeskProcess>();
  const std::string address = coordinator->server->address();
  LinkProcess worker(address);
  REQUIRE(worker.Open().ok());
  REQUIRE(worker.Send({}).ok());
  const ShardId shard = coordinator->Own({"w", 42});
  Executor& there = coordinator->driver.core(0);

  // A question under way does not wait for its time to end.
  std::thread breaks([&] {
    Soon([&] { return worker.worker->waits.load(); });
    worker.link.Close();
  });
  const Status waited = RunBlocking(
      there, WaitAtDesk(&coordinator->desk, shard, Offset(3), std::chrono::seconds(600), nullptr));
  breaks.join();
  CHECK(waited.error().message.find("does not answer") != std::string::npos);
  CHECK(Soon([&] { return !coordinator->Find(42)->linked; }));
  CHECK(Soon([&] { return worker.worker->left.load(); }));
  CHECK(worker.Open().error().message.find("closed") != std::string::npos);

  LinkProcess other(address);
  Hello hello;
  hello.process = {"w", 43};
  hello.predecessor = 42;
  REQUIRE(other.Open(hello).ok());
  CHECK(!coordinator->Find(42));
  coordinator.reset();
  CHECK(other.Send({}).error().code == Code::kUnavailable);
  CHECK(other.Open(hello).error().message.find(address) != std::string::npos);

  coordinator = std::make_unique<DeskProcess>(address);
  CHECK(Soon([&] { return other.Open(hello).ok(); }));
  CHECK(other.Send({}).ok());
}

TEST_CASE("a worker of another cluster is refused, and told both") {
  DeskProcess coordinator;
  coordinator.Own({"w", 42});
  LinkProcess worker(coordinator.server->address());
  Hello hello;
  hello.cluster = "theirs";
  const Status opened = worker.Open(hello);
  REQUIRE(!opened.ok());
  CHECK(opened.error().message.find("theirs") != std::string::npos);
  CHECK(opened.error().message.find("ours") != std::string::npos);
  CHECK(worker.Send({}).error().code == Code::kUnavailable);
}

TEST_CASE("the largest report passes, with what has no room left out") {
  DeskProcess coordinator;
  LinkProcess worker(coordinator.server->address());
  REQUIRE(worker.Open().ok());
  Report report;
  for (size_t i = 0; i < runtime::kMostShardsReported; ++i) {
    report.shards.push_back(
        ReportOf({{"default", "r", Offset(17)}, PartitionId(static_cast<int32_t>(i))}));
    report.shards.back().info.message.assign(runtime::kLongestMessage, 'x');
  }
  REQUIRE(worker.Send(std::move(report)).ok());
  const auto known = coordinator.Find(42);
  REQUIRE(known->report.shards.size() == runtime::kMostShardsReported);
  CHECK(known->report.shards.front().info.message.size() == runtime::kLongestMessage);
  CHECK(known->report.shards.back().info.message.empty());
}

TEST_CASE("a process without a coordinator says so to workers") {
  ControlProcess other;
  LinkProcess worker(other.server->address());
  CHECK(worker.Open().error().message.find("ask another") != std::string::npos);
}

}  // namespace
}  // namespace millrace::test
