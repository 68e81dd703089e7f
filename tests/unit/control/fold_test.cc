#include "millrace/control/fold.h"

#include <optional>

#include "millrace/sql/plan_codec.h"
#include "millrace/sql/planner.h"
#include "support/catch.h"
#include "support/stamped.h"
#include "support/two_shards_sql.h"

namespace millrace::control {
namespace {

/// A fold with leader 1, the stream and the pipeline `r` of two shards.
struct Defined {
  Defined() {
    const auto statements = PlanScript(test::kTwoShardsSql).value();
    CHECK(Apply(Claim{1, "c", {"a", 1}}) == Verdict::kValid);
    CHECK(Apply(DefineStream{{1, 0}, std::get<StreamSpec>(statements[0])}) == Verdict::kValid);
    pipeline = std::get<PipelineSpec>(statements[1]);
    CHECK(Apply(Define{{1, 0}, pipeline, {Offset(0), Offset(5)}, Offset(1)}) == Verdict::kValid);
    incarnation = *fold.Current("default", "r");
    shard = {incarnation, PartitionId(1)};
  }

  Verdict Apply(const Record& record) {
    return fold.Apply(fold.next_offset(), 1000, test::Stamped(fold, record));
  }
  Commit CommitOf(int64_t epoch, int64_t cut, int64_t next) {
    return {shard, Epoch(epoch), CutNumber(cut), Offset(next), "m" + std::to_string(cut), {}, {}};
  }
  Verdict HaltAt(int64_t epoch, int64_t from, int64_t lowest, std::optional<int64_t> base = {}) {
    const std::vector<int64_t> firsts(kOutputs + 1, 1);
    return Apply(Halt{shard, Epoch(epoch), Offset(from), Offset(lowest), firsts,
                      RecordIdentity{Offset(from - 1), 7}, "m", base.has_value(),
                      CutNumber(base.value_or(0))});
  }
  /// The same of a log that is another one.
  Verdict PinnedSkipTo(int64_t epoch, int64_t base, int64_t from, int64_t to) {
    const Verdict halted = HaltAt(epoch - 1, from, std::min(from, to), base);
    if (halted != Verdict::kValid) return halted;
    return Apply(Skip{{1, 0}, shard, {"a", 1}, Epoch(epoch), Offset(to), "r"});
  }
  /// A halt under the epoch before, and the skip.
  Verdict SkipTo(int64_t epoch, int64_t from, int64_t to) {
    const Verdict halted = HaltAt(epoch - 1, from, from + 1);
    if (halted != Verdict::kValid) return halted;
    return Apply(Skip{{1, 0}, shard, {"a", 1}, Epoch(epoch), Offset(to), "r"});
  }
  /// From and to of the skips that a checkpoint of the epoch does not cover.
  using Offsets = std::vector<std::pair<int64_t, int64_t>>;
  Offsets Places(Epoch epoch) {
    Offsets out;
    for (const SkipState& s : Shard().SkipsAfter(epoch)) out.emplace_back(s.from.value, s.to.value);
    return out;
  }
  const ShardState& Shard() { return fold.shards().at(shard); }

  Fold fold;
  PipelineSpec pipeline;
  Incarnation incarnation;
  ShardId shard;
};

}  // namespace

TEST_CASE("the first claim of a number wins, and only the leader's records count") {
  Fold fold;
  CHECK(fold.Apply(Offset(0), 0, Claim{1, "c", {"a", 1}}) == Verdict::kValid);
  CHECK(fold.Apply(Offset(1), 0, Claim{1, "c", {"b", 1}}) == Verdict::kStale);
  CHECK(fold.Apply(Offset(2), 0, Claim{3, "c", {"c", 1}}) == Verdict::kStale);
  CHECK(fold.leader().process.name == "a");
  CHECK(fold.Apply(Offset(3), 0, Claim{2, "c", {"b", 1}}) == Verdict::kValid);
  CHECK(fold.leader().process.name == "b");
  Defined d;
  CHECK(d.Apply(Claim{2, "c", {"b", 1}}) == Verdict::kValid);
  CHECK(d.Apply(Assign{{1, 0}, d.shard, {"a", 1}, Epoch(1)}) == Verdict::kNotLeader);
  CHECK(d.Apply(Drop{{1, 0}, d.incarnation}) == Verdict::kNotLeader);
}

TEST_CASE("the first claim names the cluster, and a claim for another one does not count") {
  Fold fold;
  CHECK(fold.Apply(Offset(0), 0, Claim{1, "", {"a", 1}}) == Verdict::kConflict);
  CHECK(fold.Apply(Offset(1), 0, Claim{1, "here", {"a", 1}}) == Verdict::kValid);
  CHECK(fold.Apply(Offset(2), 0, Claim{2, "there", {"b", 2}}) == Verdict::kConflict);
  CHECK(fold.Apply(Offset(3), 0, Claim{2, "here", {"b", 2}}) == Verdict::kValid);
  CHECK(fold.cluster() == "here");
  CHECK(fold.leader().process.instance == 2);
}

TEST_CASE_METHOD(Defined, "a record of the leader counts once, and never behind a later one") {
  const Assign assign{{1, 10}, shard, {"a", 1}, Epoch(1)};
  CHECK(Apply(assign) == Verdict::kValid);
  CHECK(Apply(assign) == Verdict::kLate);
  CHECK(Apply(Assign{{1, 9}, shard, {"b", 2}, Epoch(2)}) == Verdict::kLate);
  // Also behind one that did not take effect.
  CHECK(Apply(Assign{{1, 20}, shard, {"b", 2}, Epoch(9)}) == Verdict::kStale);
  CHECK(Apply(Assign{{1, 15}, shard, {"b", 2}, Epoch(2)}) == Verdict::kLate);
  // Records of a number that does not lead count for nothing.
  CHECK(Apply(Assign{{2, 99}, shard, {"b", 2}, Epoch(2)}) == Verdict::kNotLeader);
  CHECK(fold.leader().k == 20);
  CHECK(Apply(Assign{{1, 21}, shard, {"b", 2}, Epoch(2)}) == Verdict::kValid);
  CHECK(Shard().worker.instance == 2);
  // The next leader counts from the beginning.
  CHECK(Apply(Claim{2, "c", {"b", 2}}) == Verdict::kValid);
  CHECK(Apply(Assign{{2, 1}, shard, {"b", 2}, Epoch(3)}) == Verdict::kValid);
}

TEST_CASE_METHOD(Defined, "a late definition does not bring back what was dropped") {
  const Drop drop{{1, 5}, incarnation};
  const Define define{{1, 4}, pipeline, {Offset(0), Offset(0)}, Offset(1)};
  CHECK(Apply(drop) == Verdict::kValid);
  CHECK(Apply(define) == Verdict::kLate);
  CHECK(fold.Current("default", "r") == nullptr);
  Define again = define;
  again.by.k = 6;
  CHECK(Apply(again) == Verdict::kValid);
  CHECK(Apply(drop) == Verdict::kLate);
  CHECK(fold.Current("default", "r") != nullptr);
}

TEST_CASE_METHOD(Defined, "a leader says that it goes, and the next one begins as if it stayed") {
  CHECK(Apply(Beat{{1, 0}, 10'000'000}) == Verdict::kValid);
  CHECK_FALSE(fold.leader().left);
  CHECK(Apply(Beat{{1, 0}, 0}) == Verdict::kValid);
  CHECK(fold.leader().left);
  CHECK(Fold::Decode(fold.Encode())->leader().left);
  CHECK(Apply(Claim{2, "c", {"b", 2}}) == Verdict::kValid);
  CHECK_FALSE(fold.leader().left);
}

TEST_CASE(
    "a definition counts once, and its name is free again after a drop under another incarnation") {
  Defined d;
  CHECK(d.Apply(Define{{1, 0}, d.pipeline, {Offset(0), Offset(0)}, Offset(1)}) ==
        Verdict::kConflict);
  CHECK(d.Apply(Define{{1, 0}, d.pipeline, {Offset(0)}, Offset(1)}) == Verdict::kUnknown);
  CHECK(d.Apply(Drop{{1, 0}, d.incarnation}) == Verdict::kValid);
  CHECK(d.Apply(Drop{{1, 0}, d.incarnation}) == Verdict::kUnknown);
  CHECK(d.fold.shards().empty());
  CHECK(d.Apply(Define{{1, 0}, d.pipeline, {Offset(7), Offset(7)}, Offset(1)}) == Verdict::kValid);
  CHECK(*d.fold.Current("default", "r") != d.incarnation);
}

TEST_CASE("a topic belongs to one stream, whatever the second is called and wherever it lives") {
  Defined d;
  const StreamSpec first = *d.fold.FindStream("default", "s");
  StreamSpec second = first;
  second.name = GENERATE("s", "t");
  second.name_space = second.name == "s" ? "other" : "default";
  CHECK(d.Apply(DefineStream{{1, 0}, second}) == Verdict::kConflict);
  CHECK(d.fold.FindStream(second.name_space, second.name) == nullptr);
  CHECK(d.fold.StreamOfTopic(first.topic)->name == "s");
  second.topic = "of its own";
  const Offset at = d.fold.next_offset();
  CHECK(d.Apply(DefineStream{{1, 0}, second}) == Verdict::kValid);
  CHECK(d.fold.FindStream(second.name_space, second.name)->generation == at);
}

TEST_CASE("a view that does not fit the columns of its stream does not count") {
  Defined d;
  PipelineSpec other = d.pipeline;
  other.name = "other";
  CHECK(d.Apply(Define{{1, 0}, other, {Offset(0), Offset(0)}, Offset(1)}) == Verdict::kValid);
  other.name = "wrong";
  other.group_by.at(0).expr.index = GENERATE(0, 900);
  CHECK(d.Apply(Define{{1, 0}, other, {Offset(0), Offset(0)}, Offset(1)}) == Verdict::kUnreadable);
  CHECK(d.fold.Current("default", "wrong") == nullptr);
}

TEST_CASE("a snapshot whose view does not fit the columns of its stream is damaged") {
  Defined d;
  std::string bytes = d.fold.Encode();
  StreamSpec stream = *d.fold.FindStream("default", "s");
  const std::string good = EncodeStream(stream);
  stream.columns.at(1).type = Type::kInt;
  const std::string bad = EncodeStream(stream);
  REQUIRE(good.size() == bad.size());
  CHECK(Fold::Decode(bytes)->Encode() == bytes);
  bytes.replace(bytes.find(good), good.size(), bad);
  CHECK(Fold::Decode(bytes).error().code == Code::kCorruption);
}

TEST_CASE("a stream is dropped when no view reads it, and its name and topic are free") {
  Defined d;
  const StreamSpec first = *d.fold.FindStream("default", "s");
  const DropStream drop{{1, 0}, "default", "s", first.generation, "7"};
  CHECK(d.Apply(drop) == Verdict::kConflict);
  CHECK(d.fold.ReadersOf("default", "s") == std::vector<std::string>{"r"});
  CHECK(d.Apply(Drop{{1, 0}, d.incarnation}) == Verdict::kValid);
  CHECK(d.Apply(DropStream{{0, 0}, "default", "s", first.generation, "7"}) == Verdict::kNotLeader);
  CHECK(d.Apply(DropStream{{1, 0}, "default", "s", Offset(99), "7"}) == Verdict::kUnknown);
  CHECK(d.Apply(drop) == Verdict::kValid);
  CHECK(d.Apply(drop) == Verdict::kUnknown);
  CHECK(d.fold.FindStream("default", "s") == nullptr);
  CHECK(d.fold.dropped_topics().at(first.generation).id == "7");

  StreamSpec again = first;
  CHECK(d.Apply(DefineStream{{1, 0}, again}) == Verdict::kValid);
  CHECK(d.fold.FindStream("default", "s")->generation > first.generation);
  // What was decided about the first stream does not touch the second.
  CHECK(d.Apply(drop) == Verdict::kUnknown);
  CHECK(d.Apply(Define{{1, 0}, d.pipeline, {Offset(3), Offset(4)}, first.generation}) ==
        Verdict::kUnknown);
  const std::string bytes = d.fold.Encode();
  CHECK(Fold::Decode(bytes)->Encode() == bytes);
  CHECK(Fold::Decode(bytes)->dropped_topics().at(first.generation).name == first.topic);
}

TEST_CASE("an epoch rises by one, and commits of any other epoch are skipped") {
  Defined d;
  CHECK(d.Apply(Assign{{1, 0}, d.shard, {"a", 1}, Epoch(2)}) == Verdict::kStale);
  CHECK(d.Apply(Assign{{1, 0}, d.shard, {"a", 1}, Epoch(1)}) == Verdict::kValid);
  CHECK(d.Apply(d.CommitOf(1, 1, 9)) == Verdict::kValid);
  CHECK(d.Apply(Assign{{1, 0}, d.shard, {"b", 1}, Epoch(2)}) == Verdict::kValid);
  // The old owner wakes up and commits.
  CHECK(d.Apply(d.CommitOf(1, 2, 12)) == Verdict::kStale);
  CHECK(d.Shard().next_offset == Offset(9));
  CHECK(d.Apply(d.CommitOf(2, 2, 10)) == Verdict::kValid);
}

TEST_CASE("commits are numbered without gaps and never go back") {
  Defined d;
  d.Apply(Assign{{1, 0}, d.shard, {"a", 1}, Epoch(1)});
  CHECK(d.Apply(d.CommitOf(1, 1, 4)) == Verdict::kConflict);  // below the start, 5
  CHECK(d.Apply(d.CommitOf(1, 2, 9)) == Verdict::kStale);
  CHECK(d.Apply(d.CommitOf(1, 1, 9)) == Verdict::kValid);
  CHECK(d.Apply(d.CommitOf(1, 1, 9)) == Verdict::kStale);
  CHECK(d.Apply(d.CommitOf(1, 2, 8)) == Verdict::kConflict);
  for (int64_t cut = 2; cut < 6; ++cut)
    CHECK(d.Apply(d.CommitOf(1, cut, 9 + cut)) == Verdict::kValid);
  REQUIRE(d.Shard().commits.size() == kKeptCommits);
  CHECK(d.Shard().commits.front().cut == CutNumber(3));
}

TEST_CASE_METHOD(Defined, "a skip replaces an assign, and commits count from where it goes on") {
  Apply(Assign{{1, 0}, shard, {"a", 1}, Epoch(1)});
  Apply(CommitOf(1, 1, 100));
  CHECK(SkipTo(1, 100, 110) == Verdict::kStale);
  CHECK(SkipTo(2, -1, 110) == Verdict::kConflict);
  CHECK(SkipTo(2, 100, 110) == Verdict::kValid);
  CHECK(Shard().epoch == Epoch(2));
  CHECK(Apply(CommitOf(1, 2, 120)) == Verdict::kStale);
  CHECK(Apply(CommitOf(2, 2, 109)) == Verdict::kConflict);
  CHECK(Apply(CommitOf(2, 2, 110)) == Verdict::kValid);
}

TEST_CASE_METHOD(Defined,
                 "a skip needs the halt of the epoch before, and goes no lower than that says") {
  const auto skip = [&](int64_t epoch, int64_t to) {
    return Apply(Skip{{1, 0}, shard, {"b", 2}, Epoch(epoch), Offset(to), "r"});
  };
  Apply(Assign{{1, 0}, shard, {"a", 1}, Epoch(1)});
  Apply(CommitOf(1, 1, 100));
  CHECK(skip(2, 120) == Verdict::kConflict);
  CHECK(HaltAt(2, 100, 101) == Verdict::kStale);
  CHECK(HaltAt(1, 100, 100) == Verdict::kConflict);
  CHECK(HaltAt(1, 100, 101) == Verdict::kValid);
  CHECK(HaltAt(1, 110, 111) == Verdict::kStale);
  CHECK(Shard().halt->from == Offset(100));
  CHECK(skip(2, 100) == Verdict::kConflict);
  // An assignment ends the halt, and a skip that was decided for it with it.
  CHECK(Apply(Assign{{1, 0}, shard, {"a", 1}, Epoch(2)}) == Verdict::kValid);
  CHECK_FALSE(Shard().halt);
  CHECK(skip(2, 120) == Verdict::kStale);
  CHECK(skip(3, 120) == Verdict::kConflict);
  CHECK(HaltAt(2, 100, 101) == Verdict::kValid);
  CHECK(skip(3, 101) == Verdict::kValid);
  CHECK(Shard().worker.instance == 2);
  CHECK(Shard().next_offset == Offset(101));
  CHECK_FALSE(Shard().halt);
}

TEST_CASE_METHOD(Defined,
                 "skips add up, and every checkpoint knows those that it was made before") {
  Apply(Assign{{1, 0}, shard, {"a", 1}, Epoch(1)});
  Apply(CommitOf(1, 1, 100));
  CHECK(SkipTo(2, 194, 195) == Verdict::kValid);
  CHECK(SkipTo(3, 195, 196) == Verdict::kValid);
  CHECK(Apply(Assign{{1, 0}, shard, {"a", 1}, Epoch(4)}) == Verdict::kValid);
  CHECK(Places(Epoch(1)) == Offsets{{194, 195}, {195, 196}});
  CHECK(Apply(CommitOf(4, 2, 200)) == Verdict::kValid);
  CHECK(SkipTo(5, 230, 231) == Verdict::kValid);
  CHECK(Places(Epoch(4)) == Offsets{{230, 231}});
  CHECK(Places(Epoch(5)) == Offsets{});
  // The newest checkpoint may be lost, and all of them.
  CHECK(Places(Epoch(1)) == Offsets{{194, 195}, {195, 196}, {230, 231}});
  CHECK(Places(Epoch(0)) == Places(Epoch(1)));
  CHECK(Shard().commits.size() == 2);
}

TEST_CASE_METHOD(Defined, "a skip of a shard that fell back voids the checkpoints past its place") {
  Apply(Assign{{1, 0}, shard, {"a", 1}, Epoch(1)});
  Apply(CommitOf(1, 1, 100));
  Apply(CommitOf(1, 2, 200));
  SkipTo(2, 250, 251);
  Apply(CommitOf(2, 3, 300));
  // Restored from the first one, the owner halts below the skip that the last one was made past.
  CHECK(SkipTo(3, 150, 151) == Verdict::kValid);
  REQUIRE(Shard().commits.size() == 1);
  CHECK(Shard().commits[0].cut == CutNumber(1));
  CHECK(Places(Epoch(1)) == Offsets{{150, 151}, {250, 251}});
  CHECK(Apply(CommitOf(3, 4, 260)) == Verdict::kValid);
  CHECK(Places(Epoch(3)) == Offsets{});
}

TEST_CASE_METHOD(Defined, "a pinned skip leaves its base as the only way on") {
  Apply(Assign{{1, 0}, shard, {"a", 1}, Epoch(1)});
  Apply(CommitOf(1, 1, 100));
  SkipTo(2, 110, 112);
  Apply(CommitOf(2, 2, 200));
  Apply(CommitOf(2, 3, 300));
  CHECK(PinnedSkipTo(3, 9, 200, 130) == Verdict::kConflict);  // no such base
  CHECK(HaltAt(2, 200, 201, 2) == Verdict::kConflict);
  CHECK(PinnedSkipTo(3, 2, 200, 130) == Verdict::kValid);
  REQUIRE(Shard().commits.size() == 1);
  CHECK(Shard().commits[0].cut == CutNumber(2));
  CHECK(Places(Epoch(0)) == Offsets{{200, 130}});
  CHECK(Shard().start_gone);
  CHECK(Shard().next_offset == Offset(130));
  CHECK(Apply(CommitOf(3, 4, 150)) == Verdict::kValid);
  // Forward skips follow behind it, and void what leads past them.
  CHECK(SkipTo(4, 140, 141) == Verdict::kValid);
  CHECK(Places(Epoch(2)) == Offsets{{200, 130}, {140, 141}});
  REQUIRE(Shard().commits.size() == 1);
  CHECK(Shard().commits[0].cut == CutNumber(2));
}

TEST_CASE_METHOD(Defined, "a pinned skip from the start gives up every checkpoint") {
  Apply(Assign{{1, 0}, shard, {"a", 1}, Epoch(1)});
  Apply(CommitOf(1, 1, 100));
  CHECK(PinnedSkipTo(2, 0, 5, 5) == Verdict::kValid);
  CHECK(Shard().commits.empty());
  CHECK_FALSE(Shard().start_gone);
  CHECK(Places(Epoch(0)) == Offsets{{5, 5}});
  CHECK(Apply(CommitOf(2, 2, 20)) == Verdict::kValid);
}

TEST_CASE("a record that does not decode is passed over by every reader alike") {
  CHECK(Decode("not a record").error().code == Code::kCorruption);
  Fold fold;
  fold.ApplyUnreadable(Offset(0));
  CHECK(fold.next_offset() == Offset(1));
}

TEST_CASE("records and snapshots read back as what they were") {
  Defined d;
  d.Apply(Assign{{1, 0}, d.shard, {"a", 1}, Epoch(1)});
  d.Apply(d.CommitOf(1, 1, 9));
  d.SkipTo(2, 9, 20);
  d.SkipTo(3, 30, 31);
  d.PinnedSkipTo(4, 1, 9, 7);
  d.HaltAt(4, 50, 51);
  const std::string bytes = d.fold.Encode();
  Fold copy = Fold::Decode(bytes).value();
  CHECK(copy.Encode() == bytes);
  // A reader that begins at the snapshot goes on exactly like one that read everything.
  const Record next = test::Stamped(d.fold, Assign{{1, 0}, d.shard, {"b", 1}, Epoch(5)});
  CHECK(copy.Apply(copy.next_offset(), 5, Decode(Encode(next)).value()) == d.Apply(next));
  CHECK(copy.Encode() == d.fold.Encode());
  for (size_t n = 0; n < bytes.size(); n += 7)
    CHECK_FALSE(Fold::Decode(std::string_view(bytes).substr(0, n)).ok());
  std::string other = bytes;
  other[0] = 1;
  CHECK(Fold::Decode(other).error().message.find("version") != std::string::npos);
}

}  // namespace millrace::control
