#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>

#include "contract/state_contract.h"
#include "millrace/state/in_memory_state.h"
#include "millrace/state_rocksdb/rocks_state.h"
#include "support/temp_dir.h"

using namespace millrace;

namespace {

/// The next opens of a file to read whose path has this in it fail with an errno.
std::string refused_open;
int refused_times = 1;
int refused_with = EMFILE;

}  // namespace

/// Stands before the one of the C library.
extern "C" int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (!refused_open.empty() && (flags & O_ACCMODE) == O_RDONLY &&
      std::string_view(path).find(refused_open) != std::string_view::npos) {
    if (--refused_times == 0) refused_open.clear();
    errno = refused_with;
    return -1;
  }
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

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

TEST_CASE("a good state that cannot be opened now is not called damaged, and opens later") {
  const test::TempDir dir;
  test::TestExecutor executor;
  state_rocksdb::RocksStates stores(dir.Sub("state"));
  const auto store = executor.RunUntilDone(stores.Open("s")).value();
  REQUIRE(executor.RunUntilDone(store->Apply({{}, {{"a", "1"}}})).ok());
  const test::FrozenState files = test::FreezeState(executor, *store);
  const std::string part = GENERATE(".sst", "MANIFEST-", "CURRENT");
  refused_with = GENERATE(EMFILE, ENFILE, ENOMEM, EIO);
  // RocksDB tries some files twice, and says something else if both fail.
  refused_times = GENERATE(1, 2, 1'000);
  INFO(part << " errno " << refused_with << " times " << refused_times);
  refused_open = part;
  const Status refused = test::RestoreState(executor, *store, files);
  const bool met = refused_times < 1'000;
  refused_open.clear();
  REQUIRE(met);
  REQUIRE_FALSE(refused.ok());
  INFO(refused.error().message);
  CHECK(refused.error().code == Code::kUnavailable);
  REQUIRE(test::RestoreState(executor, *store, files).ok());
  CHECK(executor.RunUntilDone(store->Scan("", 10)).value().size() == 1);
}

TEST_CASE("a frozen file that cannot be read now is neither absent nor shorter") {
  const test::TempDir dir;
  test::TestExecutor executor;
  state_rocksdb::RocksStates stores(dir.Sub("state"));
  const auto store = executor.RunUntilDone(stores.Open("s")).value();
  REQUIRE(executor.RunUntilDone(store->Apply({{}, {{"a", "1"}}})).ok());
  const auto frozen = executor.RunUntilDone(store->Freeze()).value();
  for (const StateFile& file : frozen) {
    refused_open = file.name;
    refused_times = 1;
    refused_with = EMFILE;
    CHECK(executor.RunUntilDone(store->ReadFile(file.name)).error().code == Code::kUnavailable);
    CHECK(executor.RunUntilDone(store->ReadFile(file.name)).ok());
  }
}

TEST_CASE("a state without one of its files is damaged, whichever it is") {
  const test::TempDir dir;
  test::TestExecutor executor;
  state_rocksdb::RocksStates stores(dir.Sub("state"));
  const auto store = executor.RunUntilDone(stores.Open("s")).value();
  REQUIRE(executor.RunUntilDone(store->Apply({{}, {{"a", "1"}}})).ok());
  const test::FrozenState files = test::FreezeState(executor, *store);
  REQUIRE(files.size() == 3);
  for (size_t i = 0; i < files.size(); ++i) {
    auto some = files;
    some.erase(some.begin() + static_cast<std::ptrdiff_t>(i));
    INFO(files[i].first.name);
    CHECK(test::RestoreState(executor, *store, some).error().code == Code::kCorruption);
  }
}

TEST_CASE("a state in RocksDB whose folder was removed fails to freeze, and begins anew") {
  const test::TempDir dir;
  test::TestExecutor executor;
  state_rocksdb::RocksStates stores(dir.Sub("state"));
  const auto store = executor.RunUntilDone(stores.Open("s")).value();
  REQUIRE(executor.RunUntilDone(store->Apply({{}, {{"a", "1"}}})).ok());
  std::filesystem::remove_all(dir.Sub("state"));
  CHECK(executor.RunUntilDone(store->Freeze()).error().code == Code::kUnavailable);
  REQUIRE(test::RestoreState(executor, *store, {}).ok());
  REQUIRE(executor.RunUntilDone(store->Apply({{}, {{"b", "2"}}})).ok());
  CHECK(executor.RunUntilDone(store->Freeze()).ok());
  CHECK(executor.RunUntilDone(store->Scan("", 10)).value().size() == 1);
  CHECK_FALSE(std::filesystem::exists(dir.Sub("state/s/db/LOG")));
}
