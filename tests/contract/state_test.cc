#include "contract/state_contract.h"
#include "millrace/state/in_memory_state.h"
#include "millrace/state_rocksdb/rocks_state.h"
#include "support/temp_dir.h"

using namespace millrace;

TEST_CASE("states in memory keep the contract of states") {
  test::TestExecutor executor;
  InMemoryStates stores;
  test::CheckStateContract(executor, stores);
}

TEST_CASE("states in RocksDB keep the contract of states") {
  const test::TempDir dir;
  test::TestExecutor executor;
  state_rocksdb::RocksStates stores(dir.Sub("state"));
  test::CheckStateContract(executor, stores);
}

TEST_CASE("a state in RocksDB opens empty over old files, and removes them when told") {
  const test::TempDir dir;
  test::TestExecutor executor;
  state_rocksdb::RocksStates stores(dir.Sub("state"));
  {
    const auto store = executor.RunUntilDone(stores.Open("s")).value();
    REQUIRE(executor.RunUntilDone(store->Apply({{}, {{"a", "1"}}})).ok());
    REQUIRE(executor.RunUntilDone(store->Freeze()).ok());
  }
  const auto store = executor.RunUntilDone(stores.Open("s")).value();
  CHECK(executor.RunUntilDone(store->Scan("", 10)).value().empty());
  CHECK(std::filesystem::exists(dir.Sub("state") + "/s"));
  CHECK(executor.RunUntilDone(stores.Remove("s")).ok());
  CHECK_FALSE(std::filesystem::exists(dir.Sub("state") + "/s"));
  for (const char* name : {"", ".", "..", "a/b"})
    CHECK(executor.RunUntilDone(stores.Open(name)).error().code == Code::kInvalidArgument);
}
