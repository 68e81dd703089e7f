#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <mutex>
#include <set>

#include "contract/object_store_contract.h"
#include "millrace/objectstore/in_memory_object_store.h"
#include "millrace/objectstore_arrow/local_object_store.h"
#include "support/temp_dir.h"

using namespace millrace;
using objectstore_arrow::LocalObjectStore;

namespace {

/// Folders that were synced since the test said so, and one whose sync fails.
struct Syncs {
  std::mutex mutex;
  std::multiset<std::string> done;
  std::string failing;
} syncs;

}  // namespace

/// Stands before the one of the C library.
extern "C" int fsync(int fd) {
  std::error_code error;
  const std::string path =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error).string();
  std::lock_guard lock(syncs.mutex);
  if (path == syncs.failing) {
    errno = EIO;
    return -1;
  }
  syncs.done.insert(path);
  return static_cast<int>(syscall(SYS_fsync, fd));
}

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
  CHECK(executor.RunUntilDone(store->List("a/", "", 10)).value().at(0).modified ==
        1'500'000'000'000'007);
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

TEST_CASE("folders that are there already are synced once before an object in them is told") {
  const test::TempDir dir;
  test::TestExecutor executor;
  const std::string root = std::filesystem::canonical(dir.Sub(".")).string() + "/objects";
  const auto store = LocalObjectStore::Open(root).value();
  const auto put = [&](const char* key) {
    return executor.RunUntilDone(store->Put(key, Buffer::Own("x")));
  };
  // As a put leaves them that ended, or has not come, before its syncs.
  std::filesystem::create_directories(root + "/a/b");
  syncs.done.clear();
  syncs.failing = root + "/a";
  CHECK(put("a/b/c").error().code == Code::kUnavailable);
  syncs.failing.clear();
  REQUIRE(put("a/b/c").ok());
  REQUIRE(put("a/b/d").ok());
  CHECK(syncs.done.count(root) == 1);
  CHECK(syncs.done.count(root + "/a") == 1);
  CHECK(syncs.done.count(root + "/a/b") == 2);
  // A folder that was made anew is not the one that was synced.
  std::filesystem::remove_all(root + "/a");
  REQUIRE(put("a/b/c").ok());
  CHECK(syncs.done.count(root) == 2);
  CHECK(syncs.done.count(root + "/a") == 2);
}

TEST_CASE("a store without descriptors has no objects less, and its directory is not to blame") {
  const test::TempDir dir;
  test::TestExecutor executor;
  const auto run = [&](auto task) { return executor.RunUntilDone(std::move(task)); };
  const auto store = LocalObjectStore::Open(dir.Sub("objects")).value();
  REQUIRE(run(store->Put("a/b", Buffer::Own("x"))).ok());
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{0, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto got = run(store->Get("a/b"));
  const auto listed = run(store->List("a/", "", 10));
  const auto put = run(store->Put("a/c", Buffer::Own("y")));
  const auto opened = LocalObjectStore::Open(dir.Sub("objects"));
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(got.error().code == Code::kUnavailable);
  CHECK(listed.error().code == Code::kUnavailable);
  CHECK(put.error().code == Code::kUnavailable);
  CHECK(put.error().message.find("ulimit -n") != std::string::npos);
  CHECK(opened.error().code == Code::kUnavailable);
  CHECK(run(store->Get("a/b")).ok());
}

TEST_CASE("what a crash left behind is neither listed nor kept") {
  const test::TempDir dir;
  test::TestExecutor executor;
  std::filesystem::create_directories(dir.Sub("objects") + "/.tmp");
  std::ofstream(dir.Sub("objects") + "/.tmp/7") << "torn";
  const auto store = LocalObjectStore::Open(dir.Sub("objects")).value();
  CHECK(executor.RunUntilDone(store->List("", "", 10)).value().empty());
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

TEST_CASE("more objects than a page holds are listed in pages, whatever folders they lie in") {
  const test::TempDir dir;
  test::TestExecutor executor;
  const std::string root = dir.Sub("objects");
  const auto store = LocalObjectStore::Open(root).value();
  // Empty folders at the front fill the first looks into the directory with nothing.
  for (int i = 0; i < 1'500; ++i) {
    std::filesystem::create_directories(root + "/f/a" + std::to_string(i));
    std::ofstream(root + "/f/b" + std::to_string(i)) << "x";
  }
  std::filesystem::create_directories(root + "/f/c/d");
  std::ofstream(root + "/f/c/d/last") << "x";
  std::ofstream(root + "/f/.foreign") << "x";
  const auto all = executor.RunUntilDone(test::ListAll(store.get(), "f/")).value();
  REQUIRE(all.size() == 1'501);
  CHECK(all.back().key == "f/c/d/last");
  CHECK(std::is_sorted(all.begin(), all.end(),
                       [](const auto& a, const auto& b) { return a.key < b.key; }));
  CHECK(executor.RunUntilDone(store->List("f/", "", 1'000'000)).value().size() ==
        kMaxObjectsListed);
  CHECK(executor.RunUntilDone(store->ListFolders("f/", "", 10)).value() ==
        std::vector<std::string>{"f/c/"});
}

TEST_CASE("where the directory of objects is gone, no object is called absent") {
  const test::TempDir dir;
  test::TestExecutor executor;
  const auto run = [&](auto task) { return executor.RunUntilDone(std::move(task)); };
  const std::string root = dir.Sub("objects");
  const auto store = LocalObjectStore::Open(root).value();
  REQUIRE(run(store->Put("a/b", Buffer::Own("x"))).ok());
  std::filesystem::rename(root, dir.Sub("elsewhere"));
  const bool another = GENERATE(false, true);
  // As where a disk is not mounted.
  if (another) std::filesystem::create_directory(root);
  CHECK(run(store->Get("a/b")).error().code == Code::kUnavailable);
  CHECK(run(store->Stat("a/b")).error().code == Code::kUnavailable);
  CHECK(run(store->GetTo("a/b", std::make_shared<test::Collected>())).error().code ==
        Code::kUnavailable);
  CHECK(run(store->List("a/", "", 10)).error().code == Code::kUnavailable);
  CHECK(run(store->ListFolders("", "", 10)).error().code == Code::kUnavailable);
  CHECK(run(store->Delete("a/b")).error().code == Code::kUnavailable);
  const auto put = run(store->Put("a/c", Buffer::Own("x")));
  CHECK(put.error().code == Code::kUnavailable);
  std::filesystem::remove_all(root);
  std::filesystem::rename(dir.Sub("elsewhere"), root);
  CHECK(run(store->Get("a/b")).value().bytes == "x");
  CHECK(run(store->Get("a/c")).error().code == Code::kNotFound);
}
