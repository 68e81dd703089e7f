#include "millrace/log_embedded/embedded_log.h"

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#include "millrace/base/crash_point.h"
#include "support/catch.h"
#include "support/read_log.h"
#include "support/temp_dir.h"
#include "support/test_executor.h"

using namespace millrace;
using log_embedded::EmbeddedLog;
using std::chrono::microseconds;

namespace {

struct Fixture {
  test::TempDir dir;
  test::TestExecutor executor{std::chrono::seconds(5)};
  std::unique_ptr<EmbeddedLog> log;

  void Open() { log = EmbeddedLog::Open(dir.Sub("log")).value(); }
  void Reopen() {
    log.reset();
    Open();
  }
  Result<Offset> Append(std::string value) {
    return executor.RunUntilDone(log->Append("t", PartitionId(0), {"k", std::move(value), {}}));
  }
  std::vector<LogRecord> ReadAll() {
    return executor.RunUntilDone(test::ReadLog(log.get(), "t", PartitionId(0))).value();
  }
};

/// While it lives no file of this process grows past 64 KiB.
class TooSmallFiles {
 public:
  TooSmallFiles() {
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before_) == 0);
    old_handler_ = signal(SIGXFSZ, SIG_IGN);
    const rlimit tight{64 << 10, before_.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &tight) == 0);
  }
  ~TooSmallFiles() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit before_{};
  void (*old_handler_)(int) = nullptr;
};

/// While it lives this process opens no more files.
class NoDescriptors {
 public:
  NoDescriptors() {
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const rlimit none{0, before_.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "everything acknowledged is there after the log is opened again") {
  Open();
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"t", 3})).ok());
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"u", 1})).ok());
  executor.ShiftWall(3600 * kSecond);
  for (int i = 0; i < 50; ++i) Append(std::to_string(i) + std::string(5000, 'x')).value();
  const Micros last = ReadAll().back().append_time;
  executor.ShiftWall(-7200 * kSecond);
  Reopen();
  CHECK(ReadAll().back().append_time == last);
  CHECK(executor.RunUntilDone(log->DescribeTopic("t")).value().partitions == 3);
  CHECK(executor.RunUntilDone(log->DescribeTopic("u")).value().partitions == 1);
  CHECK(Append("after").value() == Offset(50));
  const auto records = ReadAll();
  REQUIRE(records.size() == 51);
  CHECK(records[49].value.starts_with("49x"));
  CHECK(records[50].append_time < last - 3600 * kSecond);
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"v", 1})).ok());
  CHECK(executor.RunUntilDone(log->Append("v", PartitionId(0), {"", "v", {}})).value() ==
        Offset(0));
  CHECK(executor.RunUntilDone(log->Range("u", PartitionId(0))).value().end == Offset(0));
}

TEST_CASE_METHOD(Fixture, "a second opener of the directory is told who has it") {
  Open();
  const auto second = EmbeddedLog::Open(dir.Sub("log"));
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == Code::kConflict);
  CHECK(second.error().message.find(dir.Sub("log")) != std::string::npos);
  CHECK(second.error().message.find("pid=" + std::to_string(getpid())) != std::string::npos);
  CHECK_NOTHROW(Reopen());
}

TEST_CASE_METHOD(Fixture, "a directory that cannot be made is named with what to do") {
  std::ofstream(dir.Sub("file")) << "x";
  const auto opened = EmbeddedLog::Open(dir.Sub("file") + "/log");
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == Code::kInvalidArgument);
  CHECK(opened.error().message.find("choose a directory") != std::string::npos);
  CHECK(opened.error().message.find(dir.Sub("file")) != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "many appends share one sync") {
  static std::atomic<int> groups{0};
  groups = 0;
  Open();
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"t", 1})).ok());
  InstallCrashPointHandler([](std::string_view name) {
    if (name == "log_embedded.append.durable") ++groups;
  });
  constexpr int kAppends = 2000;
  for (int i = 0; i < kAppends; ++i) {
    executor.Spawn([](EmbeddedLog& l) -> Task<> {
      LogEntry entry{"", "x", {}};
      const auto offset = co_await l.Append("t", PartitionId(0), std::move(entry));
      offset.Ignore("the test reads the log back");
    }(*log));
  }
  executor.RunFor(microseconds(1));
  Append("last").value();
  InstallCrashPointHandler(nullptr);
  CHECK(ReadAll().size() == kAppends + 1);
  INFO("groups " << groups);
  CHECK(groups < kAppends / 2);
}

TEST_CASE_METHOD(Fixture, "appends past the bound wait and land in order") {
  Open();
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"t", 1})).ok());
  constexpr size_t kBytes = 3 << 20;
  constexpr int kAppends = 2 * EmbeddedLog::kMaxQueuedBytes / kBytes;
  for (int i = 0; i < kAppends; ++i) {
    executor.Spawn([](EmbeddedLog& l, int n) -> Task<> {
      LogEntry entry{std::to_string(n), std::string(kBytes, 'x'), {}};
      const auto offset = co_await l.Append("t", PartitionId(0), std::move(entry));
      CHECK(offset.value() == Offset(n));
    }(*log, i));
  }
  executor.RunFor(microseconds(1));
  CHECK(Append("last").value() == Offset(kAppends));
}

TEST_CASE_METHOD(Fixture, "an append that cannot be written is told so, and later ones go on") {
  Open();
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"t", 1})).ok());
  Append("zero").value();
  std::optional<TooSmallFiles> tight(std::in_place);
  const auto refused = Append(std::string(1 << 20, 'x'));
  const auto still = Append(std::string(1 << 20, 'y'));
  tight.reset();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::kUnavailable);
  CHECK(refused.error().message.find("ulimit -f") != std::string::npos);
  CHECK_FALSE(still.ok());
  // Nothing of a write that failed is left where readers could meet it.
  const int64_t again = Append("again").value().value;
  CHECK(again == 1);
  CHECK(ReadAll().back().value == "again");
  Reopen();
  CHECK(Append("after").value() == Offset(again + 1));
  const auto records = ReadAll();
  CHECK(records[0].value == "zero");
  CHECK(records[static_cast<size_t>(again)].value == "again");
}

TEST_CASE_METHOD(Fixture, "no passing failure of the disk sounds final, whichever call it meets") {
  Open();
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"t", 1})).ok());
  Append("zero").value();
  {
    const TooSmallFiles tight;
    CHECK(Append(std::string(1 << 20, 'x')).error().code == Code::kUnavailable);
  }
  std::optional<NoDescriptors> none(std::in_place);
  const auto meanwhile = Append("while no file can be opened");
  none.reset();
  if (!meanwhile.ok()) CHECK(meanwhile.error().code == Code::kResourceExhausted);
  CHECK(Append("again").ok());
  std::vector<std::string> values;
  for (const LogRecord& r : ReadAll()) values.emplace_back(r.value);
  const auto count = [&](const std::string& v) {
    return std::count(values.begin(), values.end(), v);
  };
  CHECK(count("while no file can be opened") == (meanwhile.ok() ? 1 : 0));
  CHECK(count("again") == 1);
}

TEST_CASE_METHOD(Fixture, "an append that cannot be written breaks its chain") {
  Open();
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"t", 1})).ok());
  const auto chain = std::make_shared<AppendChain>();
  const auto linked = [&](std::string value) {
    return executor.RunUntilDone(
        log->Append("t", PartitionId(0), {"", std::move(value), {}, chain}));
  };
  {
    const TooSmallFiles tight;
    CHECK_FALSE(linked(std::string(1 << 20, 'x')).ok());
  }
  CHECK(chain->broken);
  CHECK(linked("behind").error().message == BehindFailedAppend().message);
  CHECK(Append("of no chain").ok());
  for (const LogRecord& r : ReadAll()) CHECK(r.value != "behind");
}

TEST_CASE_METHOD(Fixture, "an append that waits while its chain breaks is not made") {
  Open();
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"t", 1})).ok());
  const auto chain = std::make_shared<AppendChain>();
  // While the first append is being written, the second waits and its chain breaks.
  static std::atomic<bool> held{false};
  static std::atomic<bool> writing{false};
  held = true;
  InstallCrashPointHandler([](std::string_view name) {
    if (name != "log_embedded.append.before_write") return;
    writing = true;
    while (held) std::this_thread::yield();
  });
  const auto spawn = [&](std::string value, std::shared_ptr<AppendChain> of) {
    Completion<Result<Offset>> done;
    executor.Spawn([](EmbeddedLog& l, std::string v, std::shared_ptr<AppendChain> c,
                      Completion<Result<Offset>> out) -> Task<> {
      LogEntry entry{"", std::move(v), {}, std::move(c)};
      auto offset = co_await l.Append("t", PartitionId(0), std::move(entry));
      out.Set(std::move(offset));
    }(*log, std::move(value), std::move(of), done));
    executor.RunFor(microseconds(1));
    return done;
  };
  const auto first = spawn("first", nullptr);
  while (!writing) std::this_thread::yield();
  const auto second = spawn("second", chain);
  chain->broken = true;
  held = false;
  const auto wait = [&](Completion<Result<Offset>> done) {
    return executor.RunUntilDone([](Completion<Result<Offset>> c) -> Task<Result<Offset>> {
      auto value = co_await c;
      co_return value;
    }(done));
  };
  CHECK(wait(first).ok());
  CHECK_FALSE(wait(second).ok());
  InstallCrashPointHandler(nullptr);
  CHECK(ReadAll().size() == 1);
}

TEST_CASE_METHOD(Fixture,
                 "a topic that was stored but never told shares its records with no other") {
  Open();
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"t", 1})).ok());
  InstallCrashPointHandler([](std::string_view name) {
    if (name == "log_embedded.topic.durable") throw std::runtime_error("not told");
  });
  CHECK_THROWS(executor.RunUntilDone(log->CreateTopic({"untold", 2})));
  InstallCrashPointHandler(nullptr);
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"v", 1})).ok());
  REQUIRE(executor.RunUntilDone(log->Append("v", PartitionId(0), {"", "v", {}})).ok());
  CHECK(executor.RunUntilDone(log->CreateTopic({"untold", 1})).error().code == Code::kConflict);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(executor.RunUntilDone(log->CreateTopic({"untold", 2})).ok());
    CHECK(executor.RunUntilDone(log->Range("untold", PartitionId(0))).value().end == Offset(0));
    CHECK(executor.RunUntilDone(log->Range("v", PartitionId(0))).value().end == Offset(1));
    Reopen();
  }
}
