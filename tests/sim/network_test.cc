#include "sim/network.h"

#include "millrace/log/in_memory_log.h"
#include "millrace/objectstore/in_memory_object_store.h"
#include "millrace/serving/in_memory_serving_store.h"
#include "millrace/sql/planner.h"
#include "sim/faulty_log.h"
#include "sim/faulty_objects.h"
#include "sim/faulty_serving.h"
#include "sim/scenario.h"
#include "support/catch.h"

namespace millrace::sim {
namespace {

/// Two processes with links to the same stores; the second one looks at what became of the first.
struct Two {
  explicit Two(Faults f) : faults(f) {}
  ~Two() { sender->Kill(); }

  /// Starts the call on the first process; its answer, if one comes within `limit`.
  template <typename T>
  std::optional<T> Call(Task<T> task, Executor::Duration limit) {
    return On(sender, std::move(task), limit);
  }
  template <typename T>
  T Look(Task<T> task) {
    return std::move(*On(other, std::move(task), seconds(1)));
  }
  template <typename T>
  std::optional<T> On(SimExecutor* process, Task<T> task, Executor::Duration limit) {
    auto value = std::make_shared<std::optional<T>>();
    process->Spawn([](Task<T> inner, std::shared_ptr<std::optional<T>> out) -> Task<void> {
      T v = co_await std::move(inner);
      out->emplace(std::move(v));
    }(std::move(task), value));
    world.RunUntil([&] { return value->has_value(); }, limit);
    return std::move(*value);
  }
  void Sleep(Executor::Duration d) {
    world.RunUntil([] { return false; }, d);
  }
  /// The first process dies with what it has under way; nothing of that has happened yet.
  void KillSender() { sender->Kill(); }
  int64_t Records() {
    const auto range = Look(log.Range("t", PartitionId(0)));
    return range.ok() ? range->end.value : 0;
  }
  bool HasObject() { return Look(objects.Stat("k")).ok(); }

  SimWorld world{1};
  Faults faults;
  InMemoryLog log;
  InMemoryObjectStore objects;
  InMemoryServingStore serving;
  SimExecutor* sender = world.NewProcess();
  SimExecutor* other = world.NewProcess();
  Network* const network = &held_network;
  FaultyLog faulty_log{&log, network, &faults};
  FaultyObjectStore faulty_objects{&objects, network, &faults};
  FaultyServingStore faulty_serving{&serving, network, &faults};
  Network held_network{&world};
};

/// Everything that a dying process has under way arrives after it.
Faults AfterDeath() {
  Faults faults;
  faults.after_death = 1;
  return faults;
}

constexpr auto kSoon = milliseconds(0);

LogEntry Entry(const std::string& value) { return {{}, value, {}}; }

void MakeTopic(Two* two) { REQUIRE(two->Look(two->log.CreateTopic({"t", 1})).ok()); }

struct Tables {
  Tables() {
    std::string sql = kSql;
    sql.replace(sql.find("%s"), 2, "json");
    const auto statements = PlanScript(sql).value();
    stream = std::get<StreamSpec>(statements[0]);
    view = std::get<PipelineSpec>(statements[1]);
  }
  StreamSpec stream;
  PipelineSpec view;
  Incarnation incarnation{"default", "r", Offset(1)};
  ShardId shard{incarnation, PartitionId(0)};
};

}  // namespace

TEST_CASE("an append takes effect after its sender died, and those of one chain in their order") {
  Two two(AfterDeath());
  MakeTopic(&two);
  const auto chain = std::make_shared<AppendChain>();
  for (int i = 0; i < 5; ++i) {
    LogEntry entry = Entry(std::to_string(i));
    entry.chain = chain;
    REQUIRE_FALSE(two.Call(two.faulty_log.Append("t", PartitionId(0), entry), kSoon));
  }
  REQUIRE(two.Records() == 0);
  two.KillSender();
  CHECK(two.Records() == 0);
  two.Sleep(seconds(10));
  const auto reader = two.log.OpenReader("t", PartitionId(0), Offset(0));
  const auto batch = two.Look(reader->Next(1 << 20, seconds(0))).value();
  REQUIRE(batch.records.size() == 5);
  for (size_t i = 0; i < 5; ++i) CHECK(batch.records[i].value == std::to_string(i));
  CHECK(two.network->counts()[static_cast<size_t>(Fault::kAfterDeath)] == 5);
}

TEST_CASE("an append that died with its sender lets none of its chain take effect behind it") {
  Two two(Faults{});
  two.faults.after_death = 0.5;
  MakeTopic(&two);
  for (int i = 0; i < 20; ++i) {
    SimExecutor* const sender = two.sender = two.world.NewProcess();
    const auto chain = std::make_shared<AppendChain>();
    for (const char* value : {"a", "b"}) {
      LogEntry entry = Entry(value);
      entry.chain = chain;
      REQUIRE_FALSE(two.Call(two.faulty_log.Append("t", PartitionId(0), entry), kSoon));
    }
    sender->Kill();
    two.Sleep(seconds(10));
  }
  const auto reader = two.log.OpenReader("t", PartitionId(0), Offset(0));
  const auto batch = two.Look(reader->Next(1 << 20, seconds(0))).value();
  REQUIRE(batch.records.size() > 2);
  std::string before;
  for (const LogRecord& record : batch.records) {
    if (record.value == "b") CHECK(before == "a");
    before = record.value;
  }
}

TEST_CASE("an object is put and deleted after its sender died") {
  Two two(AfterDeath());
  REQUIRE_FALSE(two.Call(two.faulty_objects.Put("k", Buffer::Own("v")), kSoon));
  two.KillSender();
  CHECK_FALSE(two.HasObject());
  two.Sleep(seconds(10));
  CHECK(two.HasObject());

  two.sender = two.world.NewProcess();
  REQUIRE_FALSE(two.Call(two.faulty_objects.Delete("k"), kSoon));
  two.KillSender();
  CHECK(two.HasObject());
  two.Sleep(seconds(10));
  CHECK_FALSE(two.HasObject());
}

TEST_CASE("a batch and a take-over of the serving store take effect after their sender died") {
  Two two(AfterDeath());
  const Tables t;
  REQUIRE(two.Look(two.serving.Define(t.incarnation, t.stream, t.view)).ok());
  const auto fence = [&] { return two.Look(two.serving.ReadFences({t.shard})).value()[0]; };

  REQUIRE_FALSE(two.Call(two.faulty_serving.TakeOver(t.shard, Epoch(3)), kSoon));
  two.KillSender();
  CHECK_FALSE(fence());
  two.Sleep(seconds(10));
  REQUIRE(fence());
  CHECK(fence()->epoch == Epoch(3));

  two.sender = two.world.NewProcess();
  ServingBatch batch{t.shard, Epoch(3)};
  batch.to[static_cast<size_t>(Output::kLate)].seq = 0;
  batch.to[static_cast<size_t>(Output::kResults)] = {1, {7, 7}};
  OutputRow row;
  row.output = Output::kResults;
  row.seq = 1;
  row.revision = 1;
  for (size_t i = 0; i < t.view.select.size(); ++i) row.values.push_back(Value());
  batch.rows.push_back(row);
  REQUIRE_FALSE(two.Call(two.faulty_serving.Apply(batch), kSoon));
  two.KillSender();
  CHECK(fence()->seq(Output::kResults) == 0);
  two.Sleep(seconds(10));
  CHECK(fence()->seq(Output::kResults) == 1);
}

TEST_CASE("an effect comes later than its sender was told, or twice") {
  Two late(Faults{});
  late.faults.late = 1;
  MakeTopic(&late);
  const auto answer =
      late.Call(late.faulty_log.Append("t", PartitionId(0), Entry("v")), seconds(1));
  REQUIRE(answer);
  CHECK(answer->error().code == Code::kUnavailable);
  CHECK(late.Records() == 0);
  late.Sleep(seconds(10));
  CHECK(late.Records() == 1);

  Two twice(Faults{});
  twice.faults.twice = 1;
  MakeTopic(&twice);
  REQUIRE(twice.Call(twice.faulty_log.Append("t", PartitionId(0), Entry("v")), seconds(1))->ok());
  CHECK(twice.Records() == 1);
  twice.Sleep(seconds(10));
  CHECK(twice.Records() == 2);
}

TEST_CASE("a link that is broken one way loses the call or only its answer") {
  Two two(Faults{});
  MakeTopic(&two);
  two.faulty_log.link().Break(true, false);
  const auto lost = two.Call(two.faulty_log.Append("t", PartitionId(0), Entry("v")), seconds(5));
  REQUIRE(lost);
  CHECK_FALSE(lost->ok());
  CHECK(two.Records() == 0);
  two.faulty_log.link().Break(false, true);
  const auto unheard = two.Call(two.faulty_log.Append("t", PartitionId(0), Entry("v")), seconds(5));
  REQUIRE(unheard);
  CHECK_FALSE(unheard->ok());
  CHECK(two.Records() == 1);
  two.faulty_log.link().Break(false, false);
  CHECK(two.Call(two.faulty_log.Append("t", PartitionId(0), Entry("v")), seconds(5))->ok());
}

TEST_CASE("a log that lost its end grows again with other records, also twice") {
  Two two(Faults{});
  MakeTopic(&two);
  const auto append = [&](const std::string& value) {
    return two.Look(two.log.Append("t", PartitionId(0), Entry(value))).value();
  };
  for (const char* value : {"a", "b", "c", "d"}) append(value);
  two.log.LoseEnd("t", PartitionId(0), Offset(2));
  CHECK(append("e") == Offset(2));
  two.log.LoseEnd("t", PartitionId(0), Offset(1));
  CHECK(append("f") == Offset(1));
  const auto reader = two.log.OpenReader("t", PartitionId(0), Offset(0));
  const auto batch = two.Look(reader->Next(1 << 20, seconds(0))).value();
  REQUIRE(batch.records.size() == 2);
  CHECK(batch.records[0].value == "a");
  CHECK(batch.records[1].value == "f");
}

TEST_CASE("a process that stands still goes on with what was due, on all of its executors") {
  SimWorld world(1);
  SimExecutor* const first = world.NewProcess();
  SimExecutor* const second = world.NewExecutor(first);
  SimExecutor* const other = world.NewProcess();
  std::string ran;
  second->PostAfter(seconds(2), [&] { ran += "2"; });
  first->PostAfter(seconds(1), [&] { ran += "1"; });
  other->PostAfter(seconds(3), [&] { ran += "o"; });
  first->Pause(std::chrono::minutes(2));
  world.RunUntil([] { return false; }, seconds(119));
  CHECK(ran == "o");
  world.RunUntil([] { return false; }, seconds(2));
  CHECK(ran == "o12");
  second->Kill();
  CHECK_FALSE(first->alive());
  first->Post([&] { ran += "x"; });
  world.RunUntil([] { return false; }, seconds(1));
  CHECK(ran == "o12");
}

}  // namespace millrace::sim
