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
    Ports ports{};
    ports.log = on;
    ports.objects = &objects;
    ports.tables = &*serving;
    return executor.RunUntilDone(OwnStores(ports, cluster, adopt));
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

TEST_CASE("who adopts the stores has them, and the former owner is refused") {
  Stores s;
  REQUIRE(s.Own("one").ok());
  REQUIRE(s.Own("two", true).ok());
  CHECK(s.Own("two").ok());
  s.ErrorOf(s.Own("one"));
}

}  // namespace
}  // namespace millrace::runtime
