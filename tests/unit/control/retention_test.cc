#include "millrace/control/retention.h"

#include "millrace/control/settings.h"

#include <limits>

#include "millrace/sql/planner.h"
#include "support/catch.h"
#include "support/stamped.h"
#include "support/two_shards_sql.h"

namespace millrace::control {
namespace {

/// Leader 1, stream `s` of two partitions and view `r` from 10 and 20.
struct Streamed {
  Streamed() {
    const auto statements = PlanScript(test::kTwoShardsSql).value();
    CHECK(Apply(Claim{1, "c", {"a", 1}}) == Verdict::kValid);
    CHECK(Apply(DefineStream{{1, 0}, std::get<StreamSpec>(statements[0])}) == Verdict::kValid);
    view = std::get<PipelineSpec>(statements[1]);
    CHECK(Define(view.name, 10, 20) == Verdict::kValid);
    shard = {*fold.Current("default", "r"), PartitionId(0)};
    stream = {"default", "s", fold.FindStream("default", "s")->generation};
    Assigned(shard, 1);
  }

  Verdict Apply(const Record& record) {
    return fold.Apply(fold.next_offset(), 1000, test::Stamped(fold, record));
  }
  Verdict Define(const std::string& name, int64_t first, int64_t second) {
    PipelineSpec spec = view;
    spec.name = name;
    const Offset generation = fold.FindStream("default", "s")->generation;
    return Apply(control::Define{{1, 0}, spec, {Offset(first), Offset(second)}, generation});
  }
  void Assigned(const ShardId& id, int64_t epoch) {
    CHECK(Apply(Assign{{1, 0}, id, {"a", 1}, Epoch(epoch)}) == Verdict::kValid);
  }
  void Committed(int64_t next) {
    const ShardState& s = fold.shards().at(shard);
    const CutNumber cut(s.last_cut.value + 1);
    CHECK(Apply(Commit{shard, s.epoch, cut, Offset(next), "m", {}, {}}) == Verdict::kValid);
  }
  void Halted(int64_t from, int64_t lowest) {
    const std::vector<int64_t> firsts(kOutputs + 1, 1);
    const Epoch epoch = fold.shards().at(shard).epoch;
    const CutNumber base = fold.shards().at(shard).last_cut;
    CHECK(Apply(Halt{shard, epoch, Offset(from), Offset(lowest), firsts, {}, "m", true, base}) ==
          Verdict::kValid);
  }
  Verdict SkipTo(int64_t to) {
    const Epoch epoch(fold.shards().at(shard).epoch.value + 1);
    return Apply(Skip{{1, 0}, shard, {"a", 1}, epoch, Offset(to), "r"});
  }
  Verdict TrimTo(int64_t first, int64_t second) {
    return Apply(Trim{{1, 0}, stream, {Offset(first), Offset(second)}});
  }
  int64_t Floor(int partition = 0) {
    return RetentionFloor(fold, *fold.FindStream(stream), PartitionId(partition)).value;
  }

  Fold fold;
  PipelineSpec view;
  ShardId shard;
  Incarnation stream;
};

}  // namespace

TEST_CASE_METHOD(Streamed,
                 "the floor is the lowest of the kept commits, and the start below three") {
  CHECK(Floor() == 10);
  CHECK(Floor(1) == 20);
  Committed(100);
  Committed(200);
  CHECK(Floor() == 10);
  Committed(300);
  CHECK(Floor() == 100);
  Committed(400);
  CHECK(Floor() == 200);
  CHECK(Define("other", 50, 60) == Verdict::kValid);
  CHECK(Floor() == 50);
  CHECK(Floor(1) == 20);
}

TEST_CASE_METHOD(Streamed, "a start that a skip gave up holds no records") {
  Committed(100);
  CHECK(Floor() == 10);
  Halted(100, 90);
  CHECK(SkipTo(100) == Verdict::kValid);
  CHECK(Floor() == 100);
}

TEST_CASE_METHOD(Streamed, "a skip back lowers the floor until every kept commit covers it") {
  for (const int64_t next : {100, 200, 300}) Committed(next);
  Halted(300, 60);
  CHECK(SkipTo(70) == Verdict::kValid);
  CHECK(Floor() == 70);
  Committed(310);
  Committed(320);
  CHECK(Floor() == 70);
  Committed(330);
  CHECK(Floor() == 310);
}

TEST_CASE_METHOD(Streamed, "where no view reads a stream nothing holds its records") {
  CHECK(Apply(Drop{{1, 0}, shard.incarnation}) == Verdict::kValid);
  CHECK(Floor() == std::numeric_limits<int64_t>::max());
  CHECK(TrimTo(1'000'000, 0) == Verdict::kValid);
}

TEST_CASE_METHOD(Streamed, "a stream is trimmed upwards and never above its floor") {
  CHECK(TrimTo(11, 20) == Verdict::kConflict);
  CHECK(TrimTo(10, 21) == Verdict::kConflict);
  CHECK(TrimTo(0, 0) == Verdict::kConflict);
  CHECK(TrimTo(10, 0) == Verdict::kValid);
  CHECK(TrimTo(10, 0) == Verdict::kConflict);
  CHECK(TrimTo(9, 20) == Verdict::kConflict);
  CHECK(TrimTo(10, 20) == Verdict::kValid);
  CHECK(fold.TrimOf(stream.defined_at, PartitionId(1)) == Offset(20));
  CHECK(Apply(Trim{{1, 0}, stream, {Offset(10)}}) == Verdict::kUnknown);
  Incarnation earlier = stream;
  earlier.defined_at = Offset(99);
  CHECK(Apply(Trim{{1, 0}, earlier, {Offset(10), Offset(20)}}) == Verdict::kUnknown);
}

TEST_CASE_METHOD(Streamed, "a Define and a Trim see each other, whichever comes first") {
  CHECK(Apply(Drop{{1, 0}, shard.incarnation}) == Verdict::kValid);
  if (GENERATE(true, false)) {
    CHECK(TrimTo(15, 30) == Verdict::kValid);
    CHECK(Define("late", 14, 30) == Verdict::kConflict);
    CHECK(Define("late", 15, 30) == Verdict::kValid);
  } else {
    CHECK(Define("late", 14, 30) == Verdict::kValid);
    CHECK(TrimTo(15, 30) == Verdict::kConflict);
    CHECK(TrimTo(14, 30) == Verdict::kValid);
  }
}

TEST_CASE_METHOD(Streamed, "a skip does not go below the trim") {
  for (const int64_t next : {100, 200, 300}) Committed(next);
  CHECK(TrimTo(90, 0) == Verdict::kValid);
  Halted(300, 60);
  CHECK(SkipTo(89) == Verdict::kConflict);
  CHECK(SkipTo(90) == Verdict::kValid);
}

TEST_CASE("what an operator says of a setting becomes the value of a record, or is refused") {
  CHECK(SettingValue(true, "paused", "on") == "on");
  CHECK(SettingValue(true, "paused", "off") == "");
  CHECK(SettingValue(false, "balance", "on") == "");
  CHECK(SettingValue(false, "balance", "off") == "off");
  CHECK(SettingValue(false, "expected_workers", "0") == "");
  CHECK(SettingValue(false, "expected_workers", "007") == "7");
  CHECK(SettingValue(false, "expected_workers", "1000") == "1000");
  for (const char* const value : {"1001", "-1", "x", "1.5"})
    CHECK_FALSE(SettingValue(false, "expected_workers", value));
  CHECK_FALSE(SettingValue(false, "paused", "on"));
  CHECK_FALSE(SettingValue(true, "balance", "off"));
  CHECK_FALSE(SettingValue(true, "paused", "yes"));
  CHECK(SettingValue(false, "followers", "on") == "on");
  CHECK(SettingValue(false, "followers", "off") == "");
}

TEST_CASE_METHOD(Streamed, "settings belong to what stands and go with it") {
  const Incarnation cluster = TheCluster();
  CHECK(Apply(Set{{1, 0}, stream, "keep_for", "604800000000"}) == Verdict::kValid);
  for (const char* const no_limit : {"7 days", "0", "-1", "1 ", "9223372036854775808"})
    CHECK(Apply(Set{{1, 0}, stream, "keep_bytes", no_limit}) == Verdict::kUnreadable);
  CHECK(Apply(Set{{1, 0}, stream, "pin.1", "w"}) == Verdict::kValid);
  CHECK(PinnedTo(fold, stream, PartitionId(1)) == "w");
  CHECK(PinnedTo(fold, stream, PartitionId(0)) == "");
  CHECK_FALSE(KeepOf(fold, stream).bytes);
  for (const char* const none : {"pin.2", "pin.-1", "pin.01", "pin.", "pin", "pin.1x"})
    CHECK(Apply(Set{{1, 0}, stream, none, "w"}) == Verdict::kUnreadable);
  CHECK(Apply(Set{{1, 0}, stream, "pin.1", std::string(201, 'w')}) == Verdict::kUnreadable);
  CHECK(Apply(Set{{1, 0}, stream, "pin.1", ""}) == Verdict::kValid);
  CHECK(PinnedTo(fold, stream, PartitionId(1)) == "");
  CHECK(Apply(Set{{1, 0}, shard.incarnation, "paused", "on"}) == Verdict::kValid);
  CHECK(Apply(Set{{1, 0}, cluster, "balance", "off"}) == Verdict::kValid);
  CHECK(Apply(Set{{1, 0}, stream, "paused", "on"}) == Verdict::kUnreadable);
  CHECK(Apply(Set{{1, 0}, cluster, "keep_for", "1"}) == Verdict::kUnreadable);
  for (const char* const other : {"off", "true", "On"})
    CHECK(Apply(Set{{1, 0}, shard.incarnation, "paused", other}) == Verdict::kUnreadable);
  for (const char* const other : {"0", "1001", "-1", "five", " 5", "05"})
    CHECK(Apply(Set{{1, 0}, cluster, "expected_workers", other}) == Verdict::kUnreadable);
  CHECK(Apply(Set{{1, 0}, cluster, "expected_workers", "5"}) == Verdict::kValid);
  CHECK(Apply(Set{{1, 0}, cluster, "balance", "on"}) == Verdict::kUnreadable);
  Incarnation earlier = stream;
  earlier.defined_at = Offset(99);
  CHECK(Apply(Set{{1, 0}, earlier, "keep_for", "1"}) == Verdict::kUnknown);
  CHECK(Apply(Set{{1, 0}, {"other", "", Offset(0)}, "balance", "off"}) == Verdict::kUnknown);
  CHECK(TrimTo(10, 20) == Verdict::kValid);

  const std::string bytes = fold.Encode();
  const Fold copy = Fold::Decode(bytes).value();
  CHECK(copy.Encode() == bytes);
  CHECK(KeepOf(copy, stream).time == 7 * kDay);
  CHECK_FALSE(KeepOf(copy, stream).bytes);
  CHECK_FALSE(MayBalance(copy));
  CHECK(ExpectedWorkers(copy) == 5);
  CHECK(IsPaused(copy, shard.incarnation));
  CHECK(copy.TrimOf(stream.defined_at, PartitionId(0)) == Offset(10));

  CHECK(Apply(Set{{1, 0}, cluster, "balance", ""}) == Verdict::kValid);
  CHECK(MayBalance(fold));
  CHECK(Apply(Set{{1, 0}, cluster, "expected_workers", ""}) == Verdict::kValid);
  CHECK(fold.SettingsOf(cluster).empty());
  CHECK(Apply(Drop{{1, 0}, shard.incarnation}) == Verdict::kValid);
  CHECK(fold.SettingsOf(shard.incarnation).empty());
  CHECK(Apply(DropStream{{1, 0}, "default", "s", stream.defined_at, "7"}) == Verdict::kValid);
  CHECK(fold.SettingsOf(stream).empty());
  CHECK(fold.TrimOf(stream.defined_at, PartitionId(0)) == Offset(0));
}

TEST_CASE("Set and Trim read back as what they were") {
  const Record set = Set{{3, 4}, {"a", "b", Offset(5)}, "pin", "w1"};
  const Record trim = Trim{{3, 4}, {"a", "b", Offset(5)}, {Offset(6), Offset(7)}};
  for (const Record& record : {set, trim})
    CHECK(Encode(Decode(Encode(record)).value()) == Encode(record));
}

}  // namespace millrace::control
