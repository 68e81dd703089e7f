#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "contract/object_store_contract.h"
#include "millrace/objectstore/in_memory_object_store.h"
#include "millrace/objectstore_arrow/local_object_store.h"
#include "support/temp_dir.h"

using namespace millrace;
using objectstore_arrow::LocalObjectStore;

TEST_CASE("objects in memory keep the contract of object stores") {
  test::TestExecutor executor;
  InMemoryObjectStore store;
  test::CheckObjectStoreContract(executor, store);
}

TEST_CASE("objects in a directory keep the contract of object stores") {
  const test::TempDir dir;
  test::TestExecutor executor;
  const auto store = LocalObjectStore::Open(dir.Sub("objects")).value();
  test::CheckObjectStoreContract(executor, *store);
}

TEST_CASE("objects in memory are as old as the wall clock of who put them says") {
  test::TestExecutor executor;
  InMemoryObjectStore store;
  executor.RunFor(std::chrono::seconds(5));
  const Micros now = executor.Wall();
  REQUIRE(executor.RunUntilDone(store.Put("a", Buffer::Own("x"))).ok());
  CHECK(executor.RunUntilDone(store.Stat("a")).value().modified == now);
}

TEST_CASE("objects in a directory are as old as their files") {
  const test::TempDir dir;
  test::TestExecutor executor;
  const auto store = LocalObjectStore::Open(dir.Sub("objects")).value();
  REQUIRE(executor.RunUntilDone(store->Put("a/b", Buffer::Own("x"))).ok());
  const auto times = {timespec{1'500'000'000, 7'000}, timespec{1'500'000'000, 7'000}};
  REQUIRE(utimensat(AT_FDCWD, (dir.Sub("objects") + "/a/b").c_str(), times.begin(), 0) == 0);
  CHECK(executor.RunUntilDone(store->Stat("a/b")).value().modified == 1'500'000'000'000'007);
  CHECK(executor.RunUntilDone(store->List("a/")).value().at(0).modified == 1'500'000'000'000'007);
}

TEST_CASE("a put that fails half way leaves no object and no temporary file") {
  const test::TempDir dir;
  test::TestExecutor executor;
  const auto store = LocalObjectStore::Open(dir.Sub("objects")).value();
  REQUIRE(executor.RunUntilDone(store->Put("a/b", Buffer::Own("old"))).ok());
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{64 << 10, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &tight) == 0);
  const auto refused =
      executor.RunUntilDone(store->Put("a/b", Buffer::Own(std::string(1 << 20, 'x'))));
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  signal(SIGXFSZ, old_handler);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::kUnavailable);
  CHECK(executor.RunUntilDone(store->Get("a/b")).value().bytes == "old");
  CHECK(std::filesystem::is_empty(dir.Sub("objects") + "/.tmp"));
}

TEST_CASE("what a crash left behind is neither listed nor kept") {
  const test::TempDir dir;
  test::TestExecutor executor;
  std::filesystem::create_directories(dir.Sub("objects") + "/.tmp");
  std::ofstream(dir.Sub("objects") + "/.tmp/7") << "torn";
  const auto store = LocalObjectStore::Open(dir.Sub("objects")).value();
  CHECK(executor.RunUntilDone(store->List("")).value().empty());
  CHECK(std::filesystem::is_empty(dir.Sub("objects") + "/.tmp"));
}

TEST_CASE("an object cannot be a folder of others, and a directory must be writable") {
  const test::TempDir dir;
  test::TestExecutor executor;
  const auto store = LocalObjectStore::Open(dir.Sub("objects")).value();
  REQUIRE(executor.RunUntilDone(store->Put("a", Buffer::Own("x"))).ok());
  REQUIRE(executor.RunUntilDone(store->Put("f/g", Buffer::Own("x"))).ok());
  for (const char* key : {"a/b", "f", "a/b/c"})
    CHECK(executor.RunUntilDone(store->Put(key, Buffer::Own("x"))).error().code ==
          Code::kInvalidArgument);
  std::ofstream(dir.Sub("file")) << "x";
  const auto opened = LocalObjectStore::Open(dir.Sub("file") + "/objects");
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().message.find(dir.Sub("file")) != std::string::npos);
}
