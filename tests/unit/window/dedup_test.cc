#include "dedup.h"

#include <rapidcheck.h>

#include <set>

#include "window_test_support.h"

using namespace millrace;
using namespace millrace::window;

namespace {

using Seen = ProducerState::Seen;

/// Rule 1 as it is written.
struct Model {
  int64_t acked_below = 0;
  std::set<int64_t> seen;

  Seen Check(int64_t sequence) {
    if (sequence < acked_below || seen.count(sequence) != 0) return Seen::kDuplicate;
    if (static_cast<Int128>(sequence) - acked_below >= 65'536) return Seen::kOutOfSpan;
    seen.insert(sequence);
    return Seen::kNew;
  }
};

/// A restart: what a cut stores, read back.
ProducerState Restored(const ProducerState& state) {
  std::string stored;
  state.Encode(&stored);
  ProducerState restored;
  ByteReader in(stored);
  REQUIRE(restored.Decode(&in));
  return restored;
}

/// One fold of events of producer p, and of time that passes.
class Shard {
 public:
  explicit Shard(const std::string& options = "", bool append_times = true)
      : fold_([&] {
          FoldSpec spec =
              Plan("ts timestamptz NOT NULL", "watermark_delay = '0 seconds'" + options,
                   "CREATE MATERIALIZED VIEW r AS SELECT window_start, window_end, count(*) AS n "
                   "FROM tumble(s, ts, INTERVAL '1 hour') GROUP BY window_start, window_end;");
          spec.stream.append_times = append_times;
          return spec;
        }()) {}

  void Event(int64_t sequence) { Event("p", sequence); }
  void Event(const std::string& id, int64_t sequence) {
    StreamSpec stream;
    stream.columns = {{"ts", Type::kTimestamp, true}};
    BatchBuilder builder(stream);
    builder.BeginRecord(Offset(offset_++), now_);
    const int16_t producer = builder.AddProducer("local", id, 0);
    builder.column(0).AppendInteger(0);
    builder.EndRow(producer, sequence);
    fold_.Add(builder.Build());
  }
  /// Records of which no append time is more than an hour after the one before.
  void Pass(Micros time) {
    for (; time > 0; time -= kForgetEvery) {
      now_ += std::min(time, kForgetEvery);
      fold_.Apply(Advance{Offset(offset_++), now_, kMinusInfinity});
    }
  }
  void Ticks(int n) {
    for (int i = 0; i < n; ++i) {
      fold_.Apply(Tick{Offset(offset_), now_, fold_.last_tick(), 2 * kSecond});
      ++offset_;
    }
  }
  int64_t duplicates() const { return fold_.ledger().duplicate; }
  size_t state_bytes() const { return fold_.state_bytes(); }

 private:
  ShardFold fold_;
  int64_t offset_ = 0;
  Micros now_ = 0;
};

/// Ticks of 2 s until they have counted for 7 days; the first one counts for nothing.
constexpr int kSevenDaysOfTicks = 7 * 24 * 1800 + 1;

}  // namespace

TEST_CASE("a producer's sequences are judged as a set and a bound would judge them") {
  CHECK(rc::check([] {
    ProducerState state;
    Model model;
    const auto steps = *rc::gen::inRange(0, 200);
    // Near the largest number too, where distances would overflow if they were added up.
    model.acked_below = *rc::gen::element<int64_t>(0, 0, 1000, INT64_MAX - 15'000'000);
    state.RaiseAckedBelow(model.acked_below);
    for (int i = 0; i < steps; ++i) {
      switch (*rc::gen::inRange(0, 10)) {
        case 0: {
          const int64_t to =
              model.acked_below + *rc::gen::element(-5, 0, 1, 63, 64, 65, 700, 70'000);
          state.RaiseAckedBelow(to);
          if (to > model.acked_below) {
            model.acked_below = to;
            model.seen.erase(model.seen.begin(), model.seen.lower_bound(to));
          }
          break;
        }
        case 1:
          state = Restored(state);
          break;
        default: {
          const int64_t ahead =
              *rc::gen::oneOf(rc::gen::inRange(-10, 300),
                              rc::gen::element(255, 256, 4095, 65'535, 65'536, 200'000));
          RC_ASSERT(state.Check(model.acked_below + ahead) ==
                    model.Check(model.acked_below + ahead));
        }
      }
    }
  }));
}

TEST_CASE("a stored producer that lies beyond the span is refused") {
  ProducerState state;
  state.Check(65'535);
  std::string stored;
  state.Encode(&stored);
  std::string beyond = stored;
  ByteWriter(&beyond).Varint(1);
  ProducerState restored;
  ByteReader in(beyond);
  CHECK_FALSE(restored.Decode(&in));
}

TEST_CASE("producers are told apart by principal and id, and forgotten after seven silent days") {
  ProducerTable table;
  REQUIRE(table.Find("a", "bc", 0)->Check(1) == Seen::kNew);
  CHECK(table.Find("ab", "c", 0)->Check(1) == Seen::kNew);
  CHECK(table.Find("a", "bc", 5)->Check(1) == Seen::kDuplicate);
  table.Find("ab", "c", 0)->last_read = kDay;
  table.Forget(7 * kDay - 1);
  CHECK(table.size() == 2);
  table.Forget(7 * kDay);
  CHECK(table.size() == 1);
  CHECK(table.Find("a", "bc", 7 * kDay)->Check(1) == Seen::kNew);
  table.Forget(8 * kDay - 1);
  CHECK(table.size() == 2);
  table.Forget(8 * kDay);
  CHECK(table.size() == 1);
}

TEST_CASE("producers are found by the beginning of their ids, with how far they have come") {
  ProducerTable table;
  for (const char* id : {"a/1", "a/2", "b/1", "a"}) table.Find("local", id, 0);
  table.Find("other", "a/3", 0);
  ProducerState* state = table.Find("local", "a/2", 0);
  state->Check(40);
  state->Check(7);
  std::string found;
  const auto note = [&](std::string_view id, const ProducerState& p) {
    found += std::string(id) + "=" + std::to_string(p.End()) + " ";
    return true;
  };
  table.EachWith("local", "a/", note);
  CHECK(found == "a/1=0 a/2=41 ");
  state->Check(5'000);
  state->RaiseAckedBelow(6'000);
  found.clear();
  table.EachWith("local", "a/2", note);
  CHECK(found == "a/2=6000 ");
  found.clear();
  table.EachWith("local", "", [&](std::string_view id, const ProducerState& p) {
    note(id, p);
    return found.size() < 6;
  });
  CHECK(found == "a=0 a/1=0 ");
}

TEST_CASE("changes of producers are told once, and what is forgotten is deleted") {
  ProducerTable table;
  table.Find("", "a", 0);
  table.Find("", "b", 0)->last_read = kDay;
  std::vector<std::pair<std::string, std::string>> puts;
  std::vector<std::string> deletes;
  table.TakeChanges(false, &puts, &deletes);
  CHECK(puts.size() == 2);
  puts.clear();
  table.TakeChanges(false, &puts, &deletes);
  CHECK(puts.empty());
  table.Forget(7 * kDay);
  table.TakeChanges(false, &puts, &deletes);
  CHECK(puts.empty());
  REQUIRE(deletes.size() == 1);
  CHECK(deletes[0] == std::string(1, '\0') + "a");
}

TEST_CASE("a shard forgets a producer by append times, with ticks and without") {
  const std::string options = GENERATE("", ", ticks = 'off'");
  Shard before(options);
  Shard after(options);
  for (Shard* shard : {&before, &after}) shard->Event(7);
  before.Pass(7 * kDay - 1);
  before.Event(7);
  CHECK(before.duplicates() == 1);
  after.Pass(7 * kDay);
  after.Event(7);
  CHECK(after.duplicates() == 0);
  // A duplicate is an event that was read: seven more days begin with it.
  before.Pass(7 * kDay - 1);
  before.Event(7);
  CHECK(before.duplicates() == 2);
}

TEST_CASE("without append times ticks pass, and nothing else does") {
  Shard shard("", false);
  shard.Event(7);
  shard.Pass(30 * kDay);
  shard.Ticks(kSevenDaysOfTicks - 1);
  shard.Event(7);
  CHECK(shard.duplicates() == 1);
  shard.Ticks(kSevenDaysOfTicks);
  shard.Event(7);
  CHECK(shard.duplicates() == 1);
}

TEST_CASE("the producers of a shard count in its state_bytes until they are forgotten") {
  Shard shard;
  shard.Event(1);
  const size_t one = shard.state_bytes();
  for (int i = 0; i < 1'000; ++i) shard.Event(std::to_string(10'000 + i), 1);
  // An entry, the principal "local" with its length, the id, and a ring of 256 sequences.
  CHECK(shard.state_bytes() == one + 1'000 * (ProducerTable::kEntryBytes + 6 + 5 + 32));
  shard.Pass(8 * kDay);
  shard.Event(1);
  CHECK(shard.state_bytes() == one);
}

TEST_CASE(
    "a table's bytes follow the rings of its producers, through growth, restart and silence") {
  ProducerTable table;
  ProducerState* const state = table.Find("local", "p", 0);
  const size_t least = ProducerTable::kEntryBytes + 7;
  CHECK(table.bytes() == least + 32);
  state->Check(65'535);
  CHECK(table.bytes() == least + 8'192);
  std::vector<std::pair<std::string, std::string>> puts;
  std::vector<std::string> deletes;
  table.TakeChanges(true, &puts, &deletes);
  ProducerTable restored;
  REQUIRE(restored.Restore(puts.at(0).first, puts.at(0).second));
  CHECK(restored.bytes() == table.bytes());
  state->RaiseAckedBelow(65'000);
  table.Forget(0);
  CHECK(table.bytes() == least + 128);
  CHECK(state->Check(65'535) == Seen::kDuplicate);
  CHECK(state->Check(65'534) == Seen::kNew);
  table.Forget(7 * kDay);
  CHECK(table.bytes() == 0);
}
