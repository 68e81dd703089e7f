#include "millrace/control/snapshot.h"

#include <random>

#include "logged.h"

namespace millrace::control {
namespace {

/// Random records, most of them valid, and snapshots that go wrong in every way. Knows which of
/// them may be used without asking the reader.
class RandomLog : public Logged {
 public:
  explicit RandomLog(uint64_t seed) : random_(seed) {}

  void AppendSome() {
    const int64_t n = fold.leader().n - (Chance(10) ? 1 : 0);
    const int64_t wrong = Chance(10) ? 1 : 0;
    switch (random_() % 12) {
      case 0:
        Append(Claim{fold.leader().n + 1 + wrong, "c", {Chance(2) ? "a" : "b", random_()}});
        break;
      case 1:
        Append(Drop{{n, 0}, shard.incarnation});
        break;
      case 2:
      case 3: {
        PipelineSpec spec = pipeline;
        spec.name += std::to_string(random_() % 3);
        const StreamSpec* stream = fold.FindStream("default", "s");
        const Offset generation = stream == nullptr ? Offset(1) : stream->generation;
        Append(Define{{n, 0}, spec, {Offset(1), Offset(2)}, generation});
        if (stream == nullptr) Append(DefineStream{{n, 0}, stream_spec});
        Append(DropStream{{n, 0}, "default", "s", generation, "1"});
        break;
      }
      case 4: {
        const LogEntry entry{{}, "not a record", {}};
        fold.ApplyUnreadable(
            executor.RunUntilDone(log.Append(std::string(kControlTopic), PartitionId(0), entry))
                .value());
        break;
      }
      default:
        AppendForShard(n, wrong);
    }
  }

  void AppendSnapshot() {
    Expected expected;
    std::vector<Snapshot> chunks = Cut();
    const Snapshot& first = chunks.front();
    expected.at = first.at;
    expected.first_chunk = end();
    const size_t damaged = Chance(5) ? random_() % chunks.size() : chunks.size();
    const size_t missing = Chance(5) ? random_() % chunks.size() : chunks.size();
    bool valid = damaged == chunks.size() && missing == chunks.size();
    for (size_t i = 0; i < chunks.size(); ++i) {
      if (Chance(8)) AppendSome();
      if (i == missing) continue;
      if (i == damaged) chunks[i].state[0] = static_cast<char>(chunks[i].state[0] ^ 1);
      valid &= Append(chunks[i]) == Verdict::kValid;
      if (Chance(8)) Append(chunks[i]);
    }
    if (valid) expected_.push_back(expected);
  }

  bool CanReadFrom(Offset start) const {
    return start == Offset(0) ||
           std::any_of(expected_.begin(), expected_.end(), [&](const Expected& e) {
             return e.first_chunk >= start && e.at.value >= start.value - 1;
           });
  }

  bool Chance(uint64_t one_in) { return random_() % one_in == 0; }

 private:
  struct Expected {
    Offset at;
    Offset first_chunk;
  };

  void AppendForShard(int64_t n, int64_t wrong) {
    if (fold.shards().empty()) return;
    auto at = fold.shards().begin();
    std::advance(at, random_() % fold.shards().size());
    const ShardId id = at->first;
    const ShardState s = at->second;
    shard = id;
    const Epoch next(s.epoch.value + 1 + wrong);
    switch (random_() % 6) {
      case 0:
        Append(Assign{{n, 0}, id, {"b", 1}, next});
        break;
      case 1:
        Append(Halt{id,
                    s.epoch,
                    s.next_offset,
                    Offset(s.next_offset.value + 1),
                    std::vector<int64_t>(kOutputs + 1, 2),
                    {},
                    "why",
                    false,
                    CutNumber(0)});
        if (Chance(2))
          Append(Skip{{n, 0}, id, {"b", 1}, next, Offset(s.next_offset.value + 9), "why"});
        break;
      default:
        Append(Commit{id,
                      s.epoch,
                      CutNumber(s.last_cut.value + 1 + wrong),
                      Offset(s.next_offset.value + 3),
                      "m" + std::to_string(random_()),
                      {random_(), 1},
                      {2, random_()}});
    }
  }

  std::mt19937_64 random_;
  std::vector<Expected> expected_;
};

}  // namespace

TEST_CASE("a reader that begins anywhere has the fold of everything, or says that it cannot") {
  int usable = 0;
  int refused = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    RandomLog log(seed);
    while (log.end() < Offset(150)) {
      log.AppendSome();
      if (log.Chance(20)) log.AppendSnapshot();
    }
    const std::string everything = log.fold.Encode();
    for (int64_t start = 0; start <= log.end().value; start += 1 + start / 20) {
      INFO("start " << start);
      const auto read = log.ReadFrom(Offset(start));
      REQUIRE(read.ok() == log.CanReadFrom(Offset(start)));
      if (read.ok()) {
        REQUIRE(*read == everything);
        ++usable;
      } else {
        REQUIRE(read.error().code == Code::kCorruption);
        ++refused;
      }
    }
  }
  CHECK(usable > 500);
  CHECK(refused > 500);
}

TEST_CASE_METHOD(Logged, "a reader begins at a snapshot as late as the record before the start") {
  AppendCommit();
  const Offset taken(end().value - 1);
  AppendCommit();
  AppendSnapshot();
  const Offset at(end().value);
  AppendCommit();
  CHECK(ReadFrom(Offset(taken.value + 1)).value() == fold.Encode());
  CHECK_FALSE(ReadFrom(at).ok());
}

TEST_CASE_METHOD(Logged, "what a deposed leader wrote as a snapshot is passed over for the next") {
  const std::vector<Snapshot> stale = Cut();
  const Offset start = end();
  Append(Claim{2, "c", {"b", 1}});
  for (const Snapshot& chunk : stale) CHECK(Append(chunk) == Verdict::kNotLeader);
  CHECK_FALSE(ReadFrom(start).ok());
  AppendCommit();
  AppendSnapshot();
  AppendCommit();
  CHECK(ReadFrom(start).value() == fold.Encode());
}

TEST_CASE_METHOD(Logged, "a snapshot whose writer was deposed half way is passed over") {
  const std::vector<Snapshot> chunks = Cut();
  REQUIRE(chunks.size() > 2);
  const Offset start = end();
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (i == 1) Append(Claim{2, "c", {"b", 1}});
    Append(chunks[i]);
  }
  CHECK_FALSE(ReadFrom(start).ok());
  AppendSnapshot();
  CHECK(ReadFrom(start).value() == fold.Encode());
}

TEST_CASE_METHOD(Logged, "damaged and incomplete snapshots are passed over for the next") {
  const std::string damage = GENERATE("a bit flipped", "the first chunk missing",
                                      "the last chunk missing", "another offset");
  INFO(damage);
  std::vector<Snapshot> chunks = Cut();
  const Offset start = end();
  if (damage == "a bit flipped") chunks[1].state[7] = static_cast<char>(chunks[1].state[7] ^ 4);
  if (damage == "the first chunk missing") chunks.erase(chunks.begin());
  if (damage == "the last chunk missing") chunks.pop_back();
  if (damage == "another offset") {
    AppendCommit();
    for (Snapshot& chunk : chunks) ++chunk.at.value;
  }
  for (const Snapshot& chunk : chunks) Append(chunk);
  AppendCommit();
  const auto refused = ReadFrom(start);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::kCorruption);
  CHECK(refused.error().message.find("from a backup") != std::string::npos);
  CHECK(refused.error().message.find("snapshots=1") != std::string::npos);
  AppendSnapshot();
  CHECK(ReadFrom(start).value() == fold.Encode());
}

TEST_CASE_METHOD(Logged, "a log without its first record and without a snapshot is refused") {
  const auto refused = ReadFrom(Offset(1));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::kCorruption);
  CHECK(refused.error().message.find("snapshots=0") != std::string::npos);
}

TEST_CASE("a fold is cut into chunks of at most the given size that give it back") {
  Logged log;
  const std::string bytes = log.fold.Encode();
  const size_t size = GENERATE(size_t{1}, size_t{7}, size_t{100}, kSnapshotChunkBytes);
  std::string joined;
  const auto chunks = CutSnapshot(FoldImage(log.fold), size);
  for (const Snapshot& chunk : chunks) {
    CHECK(chunk.state.size() <= size);
    CHECK(chunk.hash == Hash(bytes));
    CHECK(static_cast<size_t>(chunk.chunks) == chunks.size());
    joined += std::get<Snapshot>(Decode(Encode(chunk)).value()).state;
  }
  CHECK(joined == bytes);
}

TEST_CASE("only a snapshot of which every chunk was valid is whole") {
  Logged log;
  const auto chunks = log.Cut();
  WholeSnapshots whole;
  const auto note_all = [&](const std::vector<Snapshot>& some, Verdict verdict) {
    for (const Snapshot& chunk : some) whole.Note(verdict, chunk);
  };
  note_all(chunks, Verdict::kNotLeader);
  note_all({chunks.begin(), chunks.end() - 1}, Verdict::kValid);
  CHECK_FALSE(whole.last());
  log.AppendCommit();
  const auto later = log.Cut();
  note_all(later, Verdict::kValid);
  CHECK(whole.last() == later.front().at);
  CHECK_FALSE(whole.last_but_one());
  // The rest of the one given up comes late, and the other comes twice.
  note_all(chunks, Verdict::kValid);
  note_all(later, Verdict::kValid);
  CHECK(whole.last() == later.front().at);
  CHECK_FALSE(whole.last_but_one());
  log.AppendCommit();
  const auto last = log.Cut();
  note_all(last, Verdict::kValid);
  CHECK(whole.last() == last.front().at);
  CHECK(whole.last_but_one() == later.front().at);
}

}  // namespace millrace::control
