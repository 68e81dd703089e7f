#include "millrace/runtime/store_marks.h"

#include <optional>

#include "millrace/log/in_memory_log.h"
#include "millrace/objectstore/in_memory_object_store.h"
#include "millrace/serving/in_memory_serving_store.h"
#include "support/catch.h"
#include "support/test_executor.h"

namespace millrace::runtime {
namespace {

struct Stores {
  test::TestExecutor executor;
  InMemoryLog log;
  InMemoryObjectStore objects;
  std::optional<InMemoryServingStore> serving{std::in_place};

  Status Own(const std::string& cluster, bool adopt = false) { return Own(&log, cluster, adopt); }
  Status Own(InMemoryLog* on, const std::string& cluster, bool adopt = false) {
    return executor.RunUntilDone(OwnStores(PortsOn(on), cluster, adopt));
  }
  Status CheckMarksOf(const std::string& cluster) {
    return executor.RunUntilDone(CheckMarks(PortsOn(&log), cluster));
  }
  std::string TableMark() { return executor.RunUntilDone(serving->ReadMark()).value(); }
  Ports PortsOn(EventLog* on) {
    Ports ports{};
    ports.log = on;
    ports.objects = &objects;
    ports.tables = &*serving;
    return ports;
  }
  std::string ErrorOf(const Status& status) {
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().code == Code::kInvalidArgument);
    return status.error().message;
  }
};

TEST_CASE("stores that belong to nobody are marked, and another cluster is refused") {
  Stores s;
  REQUIRE(s.Own("one").ok());
  CHECK(s.Own("one").ok());
  const std::string refused = s.ErrorOf(s.Own("two"));
  CHECK(refused.starts_with("the serving store belongs to another cluster"));
  CHECK(refused.find("has=\"cluster=one log=") != refused.npos);
  CHECK(refused.find("wanted=\"cluster=two log=") != refused.npos);
  CHECK(s.Own("one").ok());
}

TEST_CASE("a copy of the log elsewhere is refused") {
  Stores s;
  REQUIRE(s.Own("one").ok());
  InMemoryLog copy;
  CHECK(s.ErrorOf(s.Own(&copy, "one")).starts_with("the serving store belongs to another cluster"));
}

TEST_CASE("the object store is looked at too") {
  Stores s;
  REQUIRE(s.Own("one").ok());
  s.serving.emplace();
  CHECK(s.ErrorOf(s.Own("two")).starts_with("the object store belongs to another cluster"));
}

TEST_CASE("who is refused by one store leaves no mark in the other") {
  Stores s;
  REQUIRE(s.Own("one").ok());
  s.serving.emplace();
  s.ErrorOf(s.Own("two"));
  CHECK(s.TableMark().empty());
  CHECK(s.Own("one").ok());
}

TEST_CASE("who does not lead compares the marks and sets none") {
  Stores s;
  CHECK(s.CheckMarksOf("").ok());
  CHECK(s.CheckMarksOf("one").ok());
  CHECK(s.TableMark().empty());
  CHECK(s.executor.RunUntilDone(s.objects.Get("_millrace/cluster")).error().code ==
        Code::kNotFound);

  REQUIRE(s.Own("one").ok());
  CHECK(s.CheckMarksOf("one").ok());
  CHECK(s.ErrorOf(s.CheckMarksOf("two")).starts_with("the serving store belongs to another"));
  s.serving.emplace();
  CHECK(s.CheckMarksOf("one").ok());
  CHECK(s.ErrorOf(s.CheckMarksOf("two")).starts_with("the object store belongs to another"));
}

/// Answers a probe as it is told.
template <typename Port>
struct Probed : Port {
  Status answer;
  Task<Status> Probe() override { co_return answer; }
};

TEST_CASE("what must be changed is told before what may pass, whichever store it is of") {
  Stores s;
  Probed<InMemoryLog> log;
  Probed<InMemoryObjectStore> objects;
  Probed<InMemoryServingStore> tables;
  Ports ports{};
  ports.log = &log;
  ports.objects = &objects;
  ports.tables = &tables;
  const auto probe = [&] { return s.executor.RunUntilDone(ProbeStores(ports)); };
  CHECK(probe().ok());
  log.answer = Unavailable("log");
  tables.answer = Unavailable("tables");
  CHECK(probe().error().message == "log");
  objects.answer = InvalidArgument("objects");
  CHECK(probe().error().message == "objects");
  objects.answer = {};
  tables.answer = InvalidArgument("tables");
  CHECK(probe().error().message == "tables");
}

TEST_CASE("who adopts the stores has them, and the former owner is refused") {
  Stores s;
  REQUIRE(s.Own("one").ok());
  REQUIRE(s.Own("two", true).ok());
  CHECK(s.Own("two").ok());
  s.ErrorOf(s.Own("one"));
}

}  // namespace
}  // namespace millrace::runtime
