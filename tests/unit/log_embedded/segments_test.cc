#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "frame.h"
#include "millrace/log_embedded/embedded_log.h"
#include "support/catch.h"
#include "support/read_log.h"
#include "support/temp_dir.h"
#include "support/test_executor.h"

using namespace millrace;
using log_embedded::EmbeddedLog;

namespace {

namespace fs = std::filesystem;
/// So small that a few appends fill several segments.
constexpr uint64_t kSegmentBytes = 4 << 10;

using Place = std::pair<std::string, int32_t>;
/// Values by place, in the order of offsets. One that cannot be read has no value.
using Content = std::map<Place, std::vector<std::optional<std::string>>>;

struct Logs {
  test::TempDir dir;
  test::TestExecutor executor{std::chrono::seconds(5)};
  std::unique_ptr<EmbeddedLog> log;
  const std::vector<Place> places = {{"a", 0}, {"a", 1}, {"b", 0}};

  std::string path() const { return dir.Sub("log"); }
  void Open() { log = EmbeddedLog::Open(path(), kSegmentBytes).value(); }
  Result<Offset> Append(const Place& place, std::string value) {
    return executor.RunUntilDone(
        log->Append(place.first, PartitionId(place.second), {"k", std::move(value), {}}));
  }
  /// Segments of small and large records of three partitions; gives what they hold.
  Content Fill() {
    Open();
    REQUIRE(executor.RunUntilDone(log->CreateTopic({"a", 2})).ok());
    REQUIRE(executor.RunUntilDone(log->CreateTopic({"b", 1})).ok());
    Content content;
    for (int i = 0; i < 40; ++i) {
      const Place& place = places[static_cast<size_t>(i) % places.size()];
      std::string value = std::to_string(i) + std::string(i % 5 == 0 ? 900 : 20, 'x');
      REQUIRE(Append(place, value).value().value == static_cast<int64_t>(content[place].size()));
      content[place].push_back(std::move(value));
    }
    return content;
  }
  Content ReadAll() {
    Content content;
    for (const Place& place : places) {
      const PartitionId p(place.second);
      const auto range = executor.RunUntilDone(log->Range(place.first, p)).value();
      for (int64_t at = range.start.value; at < range.end.value;) {
        const auto read =
            executor.RunUntilDone(test::ReadLog(log.get(), place.first, p, Offset(at)));
        if (!read.ok()) {
          REQUIRE(read.error().code == Code::kCorruption);
          REQUIRE(read.error().message.find("offset=" + std::to_string(at)) != std::string::npos);
          content[place].push_back(std::nullopt);
          ++at;
          continue;
        }
        REQUIRE_FALSE(read->empty());
        for (const LogRecord& r : *read) content[place].emplace_back(std::string(r.value));
        at += static_cast<int64_t>(read->size());
      }
    }
    return content;
  }
  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    for (const auto& f : fs::directory_iterator(path()))
      if (f.path().filename() != "LOCK.millrace") files.push_back(f.path());
    std::sort(files.begin(), files.end());
    return files;
  }
  fs::path LastSegment() const {
    fs::path last;
    for (const fs::path& f : Files())
      if (f.extension() == ".log") last = f;
    return last;
  }
};

std::string Bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

void Overwrite(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// Records of `wanted` that are unreadable or gone; the rest must be what it was.
size_t Lost(const Content& have, const Content& wanted) {
  size_t lost = 0;
  for (const auto& [place, values] : wanted) {
    const auto at = have.find(place);
    for (size_t i = 0; i < values.size(); ++i) {
      if (at == have.end() || i >= at->second.size() || !at->second[i]) {
        ++lost;
      } else {
        CHECK(*at->second[i] == *values[i]);
      }
    }
  }
  return lost;
}

}  // namespace

TEST_CASE_METHOD(Logs, "a bit flipped anywhere in a stopped log costs one record at most") {
  const Content content = Fill();
  log.reset();
  REQUIRE(Files().size() >= 8);
  size_t places_tried = 0;
  size_t costly = 0;
  for (const fs::path& file : Files()) {
    const std::string whole = Bytes(file);
    for (size_t at = 0; at < whole.size(); at += 41) {
      INFO(file << " at " << at);
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 4);
      const test::TempDir before;
      fs::copy(path(), before.Sub("log"), fs::copy_options::recursive);
      Overwrite(file, damaged);
      Open();
      const size_t lost = Lost(ReadAll(), content);
      CHECK(lost <= 1);
      if (file.extension() != ".log") CHECK(lost == 0);
      // The writer meets nothing of it.
      for (const Place& place : places) {
        CHECK(Append(place, "after").value().value ==
              static_cast<int64_t>(content.at(place).size()));
      }
      log.reset();
      fs::remove_all(path());
      fs::rename(before.Sub("log"), path());
      ++places_tried;
      costly += lost;
    }
  }
  CHECK(places_tried > 150);
  CHECK(costly > 50);
}

TEST_CASE_METHOD(Logs, "a segment that is gone or cut costs its records alone, and is told once") {
  const Content content = Fill();
  log.reset();
  const fs::path old = path() + "/0000000002.log";
  const bool remove = GENERATE(true, false);
  if (remove) {
    fs::remove(old);
  } else {
    fs::resize_file(old, fs::file_size(old) / 2);
  }
  Open();
  const size_t lost = Lost(ReadAll(), content);
  CHECK(lost > 0);
  // One of three segments.
  CHECK(lost < 20);
  for (const Place& place : places) CHECK(Append(place, "after").ok());
}

TEST_CASE_METHOD(Logs, "a crash drops no more than the write that it cut off, and says how much") {
  Content content = Fill();
  // What a kill leaves: all that was written, no index of the last segment.
  const size_t acknowledged = fs::file_size(LastSegment());
  const std::string value = "in the last write" + std::string(40, 'x');
  REQUIRE(Append(places[0], value).ok());
  const fs::path last = LastSegment();
  const std::string whole = Bytes(last);
  const test::TempDir killed;
  fs::copy(path(), killed.Sub("log"), fs::copy_options::recursive);
  log.reset();
  REQUIRE(whole.size() > acknowledged);
  for (size_t cut = acknowledged; cut <= whole.size(); cut += 8) {
    for (const bool zeros : {false, true}) {
      INFO("cut at " << cut << " of " << whole.size() << ", zeros behind it " << zeros);
      fs::remove_all(path());
      fs::copy(killed.Sub("log"), path(), fs::copy_options::recursive);
      std::string torn = whole.substr(0, cut);
      if (zeros) torn.resize(whole.size(), '\0');
      Overwrite(last, torn);
      Open();
      Content have = ReadAll();
      CHECK(Lost(have, content) == 0);
      const bool there = have[places[0]].size() > content[places[0]].size();
      if (cut == whole.size()) CHECK(there);
      if (there) CHECK(*have[places[0]].back() == value);
      // A group's head may stand alone; it holds no record.
      CHECK(log->dropped_bytes() <= torn.size() - acknowledged);
      if (!there && zeros) CHECK(log->dropped_bytes() > 0);
      CHECK(Append(places[0], "after").value().value ==
            static_cast<int64_t>(have[places[0]].size()));
      log.reset();
      Open();
      CHECK(log->dropped_bytes() == 0);
      CHECK(*ReadAll()[places[0]].back() == "after");
      log.reset();
    }
  }
}

TEST_CASE_METHOD(Logs, "damage before the last write is no torn end, also after a kill") {
  const Content content = Fill();
  REQUIRE(Append(places[0], "the last write").ok());
  const fs::path last = LastSegment();
  const size_t end = fs::file_size(last);
  const test::TempDir killed;
  fs::copy(path(), killed.Sub("log"), fs::copy_options::recursive);
  log.reset();
  const std::string whole = Bytes(killed.Sub("log/" + last.filename().string()));
  // The last group is a head, a table and one record.
  const size_t last_group = end - 48 - 24 - 48 - 8 - 16;
  for (size_t at = 0; at < last_group; at += 7) {
    INFO("at " << at << " of " << end);
    fs::remove_all(path());
    fs::copy(killed.Sub("log"), path(), fs::copy_options::recursive);
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 16);
    Overwrite(last, damaged);
    Open();
    Content have = ReadAll();
    CHECK(*have[places[0]].back() == "the last write");
    CHECK(Lost(have, content) <= 1);
    CHECK(log->dropped_bytes() == 0);
    log.reset();
  }
}

TEST_CASE_METHOD(Logs, "of many segments few are open at a time") {
  Fill();
  for (int i = 0; i < 300; ++i) REQUIRE(Append(places[0], std::string(kSegmentBytes, 'x')).ok());
  REQUIRE(Files().size() > 600);
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  log.reset();
  const auto before = open_files();
  Open();
  CHECK(open_files() - before < 5);
  CHECK(ReadAll()[places[0]].size() > 300);
  CHECK(open_files() - before < 70);
}

TEST_CASE_METHOD(Logs, "records of one partition do not keep those between them in memory") {
  constexpr int32_t kPartitions = 8;
  log = EmbeddedLog::Open(path(), 1 << 20).value();
  REQUIRE(executor.RunUntilDone(log->CreateTopic({"t", kPartitions})).ok());
  for (int32_t i = 0; i < 20 * kPartitions; ++i)
    REQUIRE(Append({"t", i % kPartitions}, std::to_string(i) + std::string(300, 'x')).ok());

  const auto read = executor.RunUntilDone(test::ReadLog(log.get(), "t", PartitionId(3))).value();
  REQUIRE(read.size() == 20);
  size_t bytes = 0;
  for (size_t i = 0; i < read.size(); ++i) {
    CHECK(read[i].value == std::to_string(3 + kPartitions * i) + std::string(300, 'x'));
    CHECK(reinterpret_cast<uintptr_t>(read[i].value.data()) % 8 == 0);
    CHECK(read[i].owner == read[0].owner);
    bytes += read[i].value.size();
  }
  // They lie in one piece of memory, which holds little else.
  const char* const end = read.back().value.data() + read.back().value.size();
  CHECK(static_cast<size_t>(end - read[0].value.data()) < 2 * bytes);
}

TEST_CASE_METHOD(Logs, "restarts do not make files, and a full segment is not written again") {
  Fill();
  const size_t files = Files().size();
  for (int i = 0; i < 5; ++i) {
    log.reset();
    Open();
    REQUIRE(Append(places[0], "x").ok());
  }
  CHECK(Files().size() <= files + 3);
}

TEST_CASE_METHOD(Logs, "a directory in the format of an older version is refused") {
  fs::create_directories(path());
  std::ofstream(path() + "/CURRENT") << "MANIFEST-000005\n";
  const auto opened = EmbeddedLog::Open(path());
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == Code::kInvalidArgument);
  CHECK(opened.error().message.find("format") != std::string::npos);
}

TEST_CASE_METHOD(Logs, "without both files of topics nothing is guessed") {
  Fill();
  log.reset();
  const std::string topics = Bytes(path() + "/topics");
  for (const char* name : {"/topics", "/topics.copy"}) {
    std::string damaged = topics;
    damaged[damaged.size() / 2] ^= 1;
    Overwrite(path() + name, damaged);
  }
  const auto opened = EmbeddedLog::Open(path());
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == Code::kCorruption);
  CHECK(opened.error().message.find("restore the data directory") != std::string::npos);
  fs::remove(path() + "/topics");
  fs::remove(path() + "/topics.copy");
  CHECK(EmbeddedLog::Open(path()).error().code == Code::kCorruption);
}

TEST_CASE("a frame with any bit flipped, or at another place, is not taken for a record") {
  const LogEntry entry{"key", "value", {{"h", "v"}}};
  const log_embedded::PartitionKey key{3, 1};
  log_embedded::GroupWriter group(7, 4096, {{key, 9, 1}});
  group.Add(key, 9, 42, entry);
  REQUIRE(group.placed().size() == 1);
  const log_embedded::GroupWriter::Placed placed = group.placed()[0];
  std::string stored = group.bytes().substr(placed.position - 4096, placed.bytes);
  const auto decode = [&](uint64_t segment, uint64_t position) -> std::optional<LogRecord> {
    const auto head = log_embedded::ReadHead(stored, segment, position);
    if (!head || head->bytes() != stored.size()) return std::nullopt;
    const auto body = std::string_view(stored).substr(sizeof *head);
    const auto record = log_embedded::ReadRecord(*head, body, nullptr);
    if (!record.ok()) return std::nullopt;
    return *record;
  };
  const LogRecord good = decode(7, placed.position).value();
  CHECK(good.offset == Offset(9));
  CHECK(good.append_time == 42);
  CHECK(good.key == "key");
  CHECK(good.value == "value");
  CHECK(good.headers == entry.headers);
  CHECK_FALSE(decode(8, placed.position));
  CHECK_FALSE(decode(7, placed.position + 8));
  for (size_t bit = 0; bit < stored.size() * 8; ++bit) {
    stored[bit / 8] = static_cast<char>(stored[bit / 8] ^ (1 << (bit % 8)));
    CHECK_FALSE(decode(7, placed.position));
    stored[bit / 8] = static_cast<char>(stored[bit / 8] ^ (1 << (bit % 8)));
  }
}
