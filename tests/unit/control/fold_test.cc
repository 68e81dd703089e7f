#include "millrace/control/fold.h"

#include <catch2/catch.hpp>

#include "millrace/sql/planner.h"
#include "support/two_shards_sql.h"

namespace millrace::control {
namespace {

/// A fold with leader 1, the stream and the pipeline `r` of two shards.
struct Defined {
  Defined() {
    const auto statements = PlanScript(test::kTwoShardsSql).value();
    CHECK(Apply(Claim{1, "a"}) == Verdict::kValid);
    CHECK(Apply(DefineStream{1, "stream", std::get<StreamSpec>(statements[0])}) == Verdict::kValid);
    pipeline = std::get<PipelineSpec>(statements[1]);
    CHECK(Apply(Define{1, "view", pipeline, {Offset(0), Offset(5)}}) == Verdict::kValid);
    incarnation = *fold.Current("default", "r");
    shard = {incarnation, PartitionId(1)};
  }

  Verdict Apply(const Record& record) { return fold.Apply(fold.next_offset(), 1000, record); }
  Commit CommitOf(int64_t epoch, int64_t cut, int64_t next) {
    return {shard, Epoch(epoch), CutNumber(cut), Offset(next), "m" + std::to_string(cut), {}, {}};
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
  CHECK(fold.Apply(Offset(0), 0, Claim{1, "a"}) == Verdict::kValid);
  CHECK(fold.Apply(Offset(1), 0, Claim{1, "b"}) == Verdict::kStale);
  CHECK(fold.Apply(Offset(2), 0, Claim{3, "c"}) == Verdict::kStale);
  CHECK(fold.leader() == "a");
  CHECK(fold.Apply(Offset(3), 0, Claim{2, "b"}) == Verdict::kValid);
  CHECK(fold.leader() == "b");
  Defined d;
  CHECK(d.Apply(Claim{2, "b"}) == Verdict::kValid);
  CHECK(d.Apply(Assign{1, d.shard, "a", Epoch(1)}) == Verdict::kNotLeader);
  CHECK(d.Apply(Drop{1, d.incarnation}) == Verdict::kNotLeader);
}

TEST_CASE(
    "a definition counts once, and its name is free again after a drop under another incarnation") {
  Defined d;
  CHECK(d.Apply(Define{1, "view", d.pipeline, {Offset(0), Offset(0)}}) == Verdict::kDuplicate);
  CHECK(d.Apply(Define{1, "other", d.pipeline, {Offset(0), Offset(0)}}) == Verdict::kConflict);
  CHECK(d.Apply(Define{1, "short", d.pipeline, {Offset(0)}}) == Verdict::kUnknown);
  CHECK(d.Apply(Drop{1, d.incarnation}) == Verdict::kValid);
  CHECK(d.Apply(Drop{1, d.incarnation}) == Verdict::kUnknown);
  CHECK(d.fold.shards().empty());
  CHECK(d.Apply(Define{1, "again", d.pipeline, {Offset(7), Offset(7)}}) == Verdict::kValid);
  CHECK(*d.fold.Current("default", "r") != d.incarnation);
}

TEST_CASE("an epoch rises by one, and commits of any other epoch are skipped") {
  Defined d;
  CHECK(d.Apply(Assign{1, d.shard, "a", Epoch(2)}) == Verdict::kStale);
  CHECK(d.Apply(Assign{1, d.shard, "a", Epoch(1)}) == Verdict::kValid);
  CHECK(d.Apply(d.CommitOf(1, 1, 9)) == Verdict::kValid);
  CHECK(d.Apply(Assign{1, d.shard, "b", Epoch(2)}) == Verdict::kValid);
  // The old owner wakes up and commits.
  CHECK(d.Apply(d.CommitOf(1, 2, 12)) == Verdict::kStale);
  CHECK(d.Shard().next_offset == Offset(9));
  CHECK(d.Apply(d.CommitOf(2, 2, 10)) == Verdict::kValid);
}

TEST_CASE("commits are numbered without gaps and never go back") {
  Defined d;
  d.Apply(Assign{1, d.shard, "a", Epoch(1)});
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

TEST_CASE(
    "a skip replaces an assign, moves the next offset either way and stands until a commit covers "
    "it") {
  Defined d;
  d.Apply(Assign{1, d.shard, "a", Epoch(1)});
  d.Apply(d.CommitOf(1, 1, 100));
  const std::vector<int64_t> firsts(kOutputs + 1, 1);
  CHECK(d.Apply(Skip{1, d.shard, "a", Epoch(2), Offset(99), Offset(200), firsts, "r"}) ==
        Verdict::kConflict);
  CHECK(d.Apply(Skip{1, d.shard, "a", Epoch(2), Offset(100), Offset(60), firsts, "r"}) ==
        Verdict::kValid);
  CHECK(d.Shard().next_offset == Offset(60));
  REQUIRE(d.Shard().skip.has_value());
  CHECK(d.Apply(Assign{1, d.shard, "a", Epoch(3)}) == Verdict::kValid);
  REQUIRE(d.Shard().skip.has_value());
  CHECK(d.Apply(d.CommitOf(3, 2, 61)) == Verdict::kValid);
  CHECK_FALSE(d.Shard().skip.has_value());
}

TEST_CASE("a record that does not decode is passed over by every reader alike") {
  CHECK(Decode("not a record").error().code == Code::kCorruption);
  Fold fold;
  fold.ApplyUnreadable(Offset(0));
  CHECK(fold.next_offset() == Offset(1));
}

TEST_CASE("records and snapshots read back as what they were") {
  Defined d;
  d.Apply(Assign{1, d.shard, "a", Epoch(1)});
  d.Apply(d.CommitOf(1, 1, 9));
  d.Apply(Skip{1, d.shard, "a", Epoch(2), Offset(9), Offset(20),
               std::vector<int64_t>(kOutputs + 1, 3), "r"});
  const std::string bytes = d.fold.Encode();
  Fold copy = Fold::Decode(bytes).value();
  CHECK(copy.Encode() == bytes);
  // A reader that begins at the snapshot goes on exactly like one that read everything.
  const Record next = Assign{1, d.shard, "b", Epoch(3)};
  CHECK(copy.Apply(copy.next_offset(), 5, Decode(Encode(next)).value()) == d.Apply(next));
  CHECK(copy.Encode() == d.fold.Encode());
  for (size_t n = 0; n < bytes.size(); n += 7)
    CHECK_FALSE(Fold::Decode(std::string_view(bytes).substr(0, n)).ok());
}

}  // namespace millrace::control
