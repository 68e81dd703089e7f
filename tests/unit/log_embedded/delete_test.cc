#include <filesystem>
#include <fstream>

#include "millrace/base/crash_point.h"
#include "millrace/log_embedded/embedded_log.h"
#include "support/catch.h"
#include "support/read_log.h"
#include "support/temp_dir.h"
#include "support/test_executor.h"

using namespace millrace;
using log_embedded::EmbeddedLog;

namespace {

namespace fs = std::filesystem;
constexpr uint64_t kSegmentBytes = 4 << 10;
constexpr size_t kValueBytes = 1'000;

struct Logs {
  test::TempDir dir;
  test::TestExecutor executor{std::chrono::seconds(5)};
  std::unique_ptr<EmbeddedLog> log;

  std::string path() const { return dir.Sub("log"); }
  void Open() { log = EmbeddedLog::Open(path(), kSegmentBytes).value(); }
  auto Run(auto task) { return executor.RunUntilDone(std::move(task)); }
  Offset Append(int32_t partition) {
    const LogEntry entry{"", std::string(kValueBytes, 'x'), {}};
    return Run(log->Append("t", PartitionId(partition), entry)).value();
  }
  /// Records of partition 0 first, then of both in turn.
  void Fill(int alone, int together) {
    Open();
    REQUIRE(Run(log->CreateTopic({"t", 2})).ok());
    for (int i = 0; i < alone; ++i) Append(0);
    for (int i = 0; i < together; ++i) {
      Append(0);
      Append(1);
    }
  }
  Status DeleteBefore(int32_t partition, int64_t before) {
    return Run(log->DeleteBefore("t", PartitionId(partition), Offset(before)));
  }
  OffsetRange Range(int32_t partition) {
    return Run(log->Range("t", PartitionId(partition))).value();
  }
  /// All of the partition's records from its start on; each must be readable.
  size_t Readable(int32_t partition) {
    const OffsetRange range = Range(partition);
    const auto read = Run(test::ReadLog(log.get(), "t", PartitionId(partition), range.start));
    REQUIRE(read.ok());
    CHECK(static_cast<int64_t>(read->size()) == range.end.value - range.start.value);
    return read->size();
  }
  uint64_t BytesOnDisk() const {
    uint64_t bytes = 0;
    for (const auto& f : fs::directory_iterator(path())) bytes += f.file_size();
    return bytes;
  }
};

/// Files that this process holds open although their names are gone: they keep their space.
size_t RemovedFilesOpen() {
  size_t n = 0;
  for (const auto& fd : fs::directory_iterator("/proc/self/fd")) {
    std::error_code closed;
    const std::string target = fs::read_symlink(fd.path(), closed).string();
    if (target.ends_with("(deleted)") && target.find(".log") != target.npos) ++n;
  }
  return n;
}

/// Copies the log's folder at every crash point: what a process that dies there leaves.
struct Crashes {
  Crashes(std::string from, std::string to) {
    log_folder = std::move(from);
    copies = std::move(to);
    points.clear();
    InstallCrashPointHandler([](std::string_view name) {
      points.emplace_back(name);
      fs::copy(log_folder, copies + "/" + std::to_string(points.size() - 1),
               fs::copy_options::recursive);
    });
  }
  ~Crashes() { InstallCrashPointHandler(nullptr); }

  static inline std::string log_folder;
  static inline std::string copies;
  static inline std::vector<std::string> points;
};

}  // namespace

TEST_CASE_METHOD(Logs, "deleted records give back their segments, but for what others need") {
  Fill(100, 100);
  const uint64_t full = BytesOnDisk();
  // All of them were read, so all of their files are open.
  CHECK(Readable(0) == 200);
  CHECK(Readable(1) == 100);

  // The first hundred lie in segments of their own.
  auto reader = log->OpenReader("t", PartitionId(0), Offset(0));
  REQUIRE(Run(reader->Next(1, std::chrono::microseconds(0))).ok());
  REQUIRE(DeleteBefore(0, 100).ok());
  CHECK(Run(reader->Next(1, std::chrono::microseconds(0))).error().code == Code::kConflict);
  reader.reset();
  const uint64_t first = BytesOnDisk();
  CHECK(full - first >= 100 * kValueBytes - kSegmentBytes);
  CHECK(RemovedFilesOpen() == 0);
  CHECK(Readable(0) == 100);

  // Those behind lie between records of the other partition, which keep them.
  REQUIRE(DeleteBefore(0, 200).ok());
  CHECK(BytesOnDisk() + kSegmentBytes >= first);
  CHECK(Readable(0) == 0);
  CHECK(Readable(1) == 100);

  REQUIRE(DeleteBefore(1, 100).ok());
  CHECK(BytesOnDisk() <= 3 * kSegmentBytes);
  CHECK(RemovedFilesOpen() == 0);
  std::printf("freed: %llu bytes of %llu by the first call, %llu are left in the end\n",
              static_cast<unsigned long long>(full - first), static_cast<unsigned long long>(full),
              static_cast<unsigned long long>(BytesOnDisk()));

  // The offsets go on where they were, also after a restart with nothing left to count them by.
  log.reset();
  Open();
  for (const int32_t p : {0, 1}) {
    CHECK(Range(p).start == Range(p).end);
    const int64_t end = Range(p).end.value;
    CHECK(end == (p == 0 ? 200 : 100));
    CHECK(Append(p).value == end);
    CHECK(Readable(p) == 1);
  }
}

TEST_CASE_METHOD(Logs, "a process that dies while it deletes leaves the old start or the new one") {
  Fill(30, 3);
  const test::TempDir copies;
  const std::string whole = path();
  std::vector<std::string> points;
  {
    const Crashes crashes(whole, copies.path().string());
    REQUIRE(DeleteBefore(0, 31).ok());
    points = Crashes::points;
  }
  const uint64_t freed = BytesOnDisk();
  log.reset();
  CHECK(std::count(points.begin(), points.end(), "log_embedded.segment.removed") > 3);
  for (size_t i = 0; i < points.size(); ++i) {
    INFO(points[i] << " number " << i);
    fs::remove_all(whole);
    fs::rename(copies.Sub(std::to_string(i)), whole);
    Open();
    const int64_t start = Range(0).start.value;
    CHECK(start == (points[i] == "log_embedded.delete.before_write" ? 0 : 31));
    CHECK(Range(0).end.value == 33);
    CHECK(Readable(1) == 3);
    Readable(0);
    // With the new start in place, the restart itself freed what the dead process had not.
    if (start > 0) CHECK(BytesOnDisk() <= freed + kSegmentBytes);
    REQUIRE(DeleteBefore(0, 31).ok());
    CHECK(BytesOnDisk() <= freed + kSegmentBytes);
    CHECK(Append(0).value == 33);
    CHECK(Readable(0) == 3);
    log.reset();
  }
}

TEST_CASE_METHOD(Logs,
                 "a start is kept when the files that name the topics differ or one is gone") {
  Fill(30, 0);
  const test::TempDir before;
  fs::copy(path(), before.Sub("log"), fs::copy_options::recursive);
  REQUIRE(DeleteBefore(0, 30).ok());
  log.reset();
  SECTION("the second was not written any more") {
    fs::copy_file(before.Sub("log/topics.copy"), path() + "/topics.copy",
                  fs::copy_options::overwrite_existing);
  }
  SECTION("the first is gone") { fs::remove(path() + "/topics"); }
  Open();
  CHECK(Range(0).start.value == 30);
  CHECK(Append(0).value == 30);
}

TEST_CASE_METHOD(Logs, "a segment that is lost before the first kept record is told as damage") {
  Fill(30, 0);
  REQUIRE(DeleteBefore(0, 1).ok());
  log.reset();
  fs::remove(path() + "/0000000001.log");
  fs::remove(path() + "/0000000001.index");
  Open();
  CHECK(Range(0).start.value == 1);
  CHECK(Run(test::ReadLog(log.get(), "t", PartitionId(0), Offset(1))).error().code ==
        Code::kCorruption);
  CHECK(Run(test::ReadLog(log.get(), "t", PartitionId(0), Offset(0))).error().code ==
        Code::kConflict);
}

TEST_CASE_METHOD(Logs, "the identity stays with the folder, and goes with a copy of it") {
  Fill(1, 0);
  const std::string identity = Run(log->Identity()).value();
  CHECK(identity.size() == 32);
  log.reset();
  Open();
  CHECK(Run(log->Identity()).value() == identity);
  const auto other = EmbeddedLog::Open(dir.Sub("other")).value();
  CHECK(Run(other->Identity()).value() != identity);
}

TEST_CASE_METHOD(Logs,
                 "topics in the format of the version before are refused, not called damaged") {
  fs::create_directories(path());
  for (const char* name : {"/topics", "/topics.copy"})
    std::ofstream(path() + name) << std::string("MRT2\0\0\0\0\1\0\0\0\0", 13);
  const auto opened = EmbeddedLog::Open(path());
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == Code::kInvalidArgument);
  CHECK(opened.error().message.find("format=2") != std::string::npos);
}
