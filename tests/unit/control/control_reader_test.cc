#include "logged.h"

namespace millrace::control {
namespace {

/// Follows the log.
struct Reader {
  Reader(test::TestExecutor* on, InMemoryLog* log) : executor(*on), control(log, 8) {
    REQUIRE(executor.RunUntilDone(control.Start()).ok());
    executor.Spawn(control.Follow());
    changes.Take();
  }
  ~Reader() { control.Stop(); }
  std::string CaughtUp() {
    executor.RunFor(std::chrono::seconds(2));
    REQUIRE(executor.RunUntilDone(control.CatchUp()).ok());
    return control.fold().Encode();
  }

  test::TestExecutor& executor;
  ControlReader control;
  ChangeFeed changes{&control};
};

}  // namespace

TEST_CASE_METHOD(Logged, "a snapshot is due where the log crosses a multiple of the interval") {
  ControlReader leader(&log, 6);
  ControlWriter writer(&log, &leader);
  REQUIRE(executor.RunUntilDone(leader.Start()).ok());
  CHECK(leader.DueSnapshot() == nullptr);
  executor.Spawn(leader.Follow());
  const auto claim = [&](int64_t n) {
    return executor.RunUntilDone(writer.Write(Claim{n, "c", {"b", 1}})).value();
  };
  CHECK(claim(2) == Verdict::kValid);
  CHECK(leader.DueSnapshot() == nullptr);
  CHECK(claim(3) == Verdict::kValid);
  REQUIRE(leader.DueSnapshot() != nullptr);
  const FoldImage image = *leader.DueSnapshot();
  CHECK(image.at == Offset(5));
  CHECK(image.bytes == leader.fold().Encode());
  // What comes in between changes nothing of it.
  CHECK(claim(4) == Verdict::kValid);
  CHECK(leader.DueSnapshot()->bytes == image.bytes);
  for (Snapshot chunk : CutSnapshot(image, kSnapshotChunkBytes)) {
    chunk.by.n = leader.fold().leader().n;
    Record record = test::Stamped(leader.fold(), chunk);
    CHECK(executor.RunUntilDone(writer.Write(std::move(record))).value() == Verdict::kValid);
  }
  CHECK(leader.DueSnapshot() == nullptr);
  // Whoever reads the same log sees it the same way.
  ControlReader reader(&log, 6);
  REQUIRE(executor.RunUntilDone(reader.Start()).ok());
  CHECK(reader.DueSnapshot() == nullptr);
  leader.Stop();
}

TEST_CASE_METHOD(Logged, "a reader of a log that lost its end begins again") {
  for (int i = 0; i < 3; ++i) AppendCommit();
  Reader reader(&executor, &log);
  CHECK(reader.CaughtUp() == fold.Encode());
  reader.changes.Take();
  log.LoseEnd(std::string(kControlTopic), PartitionId(0), Offset(5));
  const std::string lost = ReadFrom(Offset(0)).value();
  CHECK(lost != fold.Encode());
  CHECK(reader.CaughtUp() == lost);
  CHECK(reader.changes.Take().everything);
}

TEST_CASE_METHOD(Logged, "a log that lost its end and grew again is told by a snapshot") {
  for (int i = 0; i < 3; ++i) AppendCommit();
  const Fold before = fold;
  AppendCommit();
  AppendCommit();
  Reader reader(&executor, &log);
  CHECK(reader.CaughtUp() == fold.Encode());
  // Other records stand where those were that it read.
  log.LoseEnd(std::string(kControlTopic), PartitionId(0), before.next_offset());
  fold = before;
  Append(Claim{2, "c", {"b", 1}});
  CHECK(fold.next_offset() == Offset(8));
  const FoldImage image(fold);
  Append(Claim{3, "c", {"b", 1}});
  CHECK(reader.CaughtUp() != fold.Encode());
  for (const Snapshot& chunk : Cut(image)) Append(chunk);
  CHECK(reader.CaughtUp() == fold.Encode());

  // A snapshot that is wrong itself makes it begin again once, and no more.
  AppendCommit();
  while (fold.next_offset().value % 8 != 0) AppendCommit();
  FoldImage wrong(fold);
  wrong.hash = Hash("another");
  for (const Snapshot& chunk : Cut(wrong)) Append(chunk);
  CHECK(reader.CaughtUp() == fold.Encode());
  reader.changes.Take();
  CHECK(reader.CaughtUp() == fold.Encode());
  CHECK(reader.changes.empty());
}

TEST_CASE_METHOD(Logged, "a log is trimmed to the last whole snapshot but one") {
  ControlReader leader(&log);
  ControlWriter writer(&log, &leader);
  REQUIRE(executor.RunUntilDone(leader.Start()).ok());
  executor.Spawn(leader.Follow());
  const auto start = [&] {
    return executor.RunUntilDone(log.Range(std::string(kControlTopic), PartitionId(0)))->start;
  };
  const auto caught_up = [&] { return executor.RunUntilDone(leader.CatchUp()).ok(); };
  const auto trimmed = [&] { return caught_up() && executor.RunUntilDone(writer.Trim()).ok(); };
  CHECK(trimmed());
  AppendSnapshot();
  AppendCommit();
  CHECK(trimmed());
  CHECK(start() == Offset(0));

  // A reader that has read so far, and then nothing for a while.
  ControlReader slow(&log);
  REQUIRE(executor.RunUntilDone(slow.Start()).ok());

  const Offset first = end();
  AppendSnapshot();
  AppendCommit();
  AppendSnapshot();
  CHECK(trimmed());
  CHECK(start() == first);
  // Not whole: it counts for nothing.
  AppendCommit();
  Append(Cut().front());
  CHECK(trimmed());
  CHECK(start() == first);

  AppendSnapshot();
  CHECK(trimmed());
  CHECK(start() > first);
  ControlReader reader(&log);
  REQUIRE(executor.RunUntilDone(reader.Start()).ok());
  CHECK(reader.fold().Encode() == fold.Encode());

  // Its place is gone: it begins again, and writes as before.
  ChangeFeed changes(&slow);
  changes.Take();
  executor.Spawn(slow.Follow());
  REQUIRE(executor.RunUntilDone(slow.CatchUp()).ok());
  CHECK(slow.fold().Encode() == fold.Encode());
  CHECK(changes.Take().everything);
  CHECK(slow.failure().empty());
  CHECK(executor.RunUntilDone(ControlWriter(&log, &slow).Write(Claim{2, "c", {"b", 1}})).value() ==
        Verdict::kValid);
  leader.Stop();
  slow.Stop();
}

TEST_CASE_METHOD(Logged, "a log whose last snapshot but one cannot be read is not trimmed") {
  ControlReader leader(&log);
  ControlWriter writer(&log, &leader);
  REQUIRE(executor.RunUntilDone(leader.Start()).ok());
  executor.Spawn(leader.Follow());
  for (int i = 0; i < 2; ++i) {
    AppendCommit();
    for (Snapshot chunk : Cut()) {
      chunk.state.back() = static_cast<char>(chunk.state.back() + 1);
      Append(chunk);
    }
  }
  REQUIRE(executor.RunUntilDone(leader.CatchUp()).ok());
  CHECK(executor.RunUntilDone(writer.Trim()).error().code == Code::kCorruption);
  CHECK(executor.RunUntilDone(log.Range(std::string(kControlTopic), PartitionId(0)))->start ==
        Offset(0));
  leader.Stop();
}

}  // namespace millrace::control
