#include <rapidcheck.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "millrace/base/check.h"
#include "millrace/base/hash.h"
#include "support/all_changes.h"
#include "window_test_support.h"

using namespace millrace;
using namespace millrace::window;

namespace {

struct Event {
  Micros t;
  std::string key;
  std::optional<int64_t> v;
};

std::string Interval(Micros micros) {
  return "INTERVAL '" + std::to_string(micros) + " microseconds'";
}

FoldSpec HopSpec(Micros size, Micros slide, Micros offset, const std::string& lateness) {
  return Plan(kColumns, "watermark_delay = '0 seconds', max_ahead = '36525 days'",
              "CREATE MATERIALIZED VIEW r WITH (allowed_lateness = '" + lateness +
                  "') AS SELECT k, window_start, window_end, count(*) AS n, sum(v) AS s, "
                  "min(v) AS lo, max(v) AS hi, count(*) FILTER (WHERE v > 0) AS p, "
                  "max(v::text) AS x FROM hop(s, ts, " +
                  Interval(slide) + ", " + Interval(size) + ", " + Interval(offset) +
                  ") GROUP BY k, window_start, window_end;");
}

/// Feeds records in offset order, in batches of the caller's choice.
class Feed {
 public:
  explicit Feed(const FoldSpec& spec) : builder_(spec.stream) {}

  void Row(const Event& e) {
    builder_.BeginRecord(Offset(offset_++), e.t);
    const auto c = [&](size_t column) -> ColumnData& { return builder_.column(column); };
    c(0).AppendInteger(e.t);
    c(1).AppendText(e.key);
    if (e.v) {
      c(2).AppendInteger(*e.v);
    } else {
      c(2).AppendNull();
    }
    c(3).AppendNull();
    c(4).AppendNull();
    builder_.EndRow(-1, 0);
  }
  void Flush(ShardFold* fold) {
    if (builder_.rows() > 0) fold->Add(builder_.Build());
  }
  void AdvanceTo(ShardFold* fold, Micros to) {
    Flush(fold);
    fold->Apply(Advance{Offset(offset_++), 0, to});
  }

 private:
  BatchBuilder builder_;
  int64_t offset_ = 0;
};

/// Each window by itself, from the events alone.
Standing ByHand(const std::vector<Event>& events, Micros size, Micros slide, Micros offset) {
  std::map<std::tuple<Micros, Micros, std::string>, std::vector<Event>> groups;
  for (const Event& e : events) {
    for (Micros start = e.t - size + 1; start <= e.t; ++start) {
      if (FloorMod(start - offset, slide) != 0) continue;
      groups[{start, start + size, '\1' + e.key + std::string(2, '\0')}].push_back(e);
    }
  }
  Standing rows;
  for (const auto& [at, members] : groups) {
    Int128 sum = 0;
    int64_t lo = 0;
    int64_t hi = 0;
    int64_t some = 0;
    int64_t positive = 0;
    std::string text;
    for (const Event& e : members) {
      if (!e.v) continue;
      lo = some == 0 ? *e.v : std::min(lo, *e.v);
      hi = some == 0 ? *e.v : std::max(hi, *e.v);
      text = some == 0 ? std::to_string(*e.v) : std::max(text, std::to_string(*e.v));
      ++some;
      sum += *e.v;
      positive += *e.v > 0 ? 1 : 0;
    }
    const bool any = some > 0;
    rows[at] = {Text(members[0].key),
                {Type::kTimestamp, std::get<0>(at)},
                {Type::kTimestamp, std::get<1>(at)},
                Bigint(static_cast<int64_t>(members.size())),
                any ? Value{Type::kNumeric, sum} : Null(Type::kNumeric),
                any ? Bigint(lo) : Null(Type::kBigint),
                any ? Bigint(hi) : Null(Type::kBigint),
                Bigint(positive),
                any ? Text(text) : Null(Type::kText)};
  }
  return rows;
}

rc::Gen<Event> AnyEvent() {
  return rc::gen::apply(
      [](Micros t, int key, std::optional<int64_t> v) {
        return Event{t, std::string(1, static_cast<char>('a' + key)), v};
      },
      rc::gen::inRange<Micros>(-60, 60), rc::gen::inRange(0, 5),
      rc::gen::oneOf(rc::gen::just<std::optional<int64_t>>(std::nullopt),
                     rc::gen::map(rc::gen::oneOf(rc::gen::inRange<int64_t>(-20, 20),
                                                 rc::gen::arbitrary<int64_t>()),
                                  [](int64_t v) { return std::optional<int64_t>(v); })));
}

/// A fold over all types, with lateness, provisional rows, HAVING and rows that fail.
FoldSpec MixedSpec() {
  return Plan(kColumns, "watermark_delay = '5 microseconds', idle_timeout = '3 seconds'",
              "CREATE MATERIALIZED VIEW r WITH (emit = 'updates', allowed_lateness = "
              "'20 microseconds', file_idle = '2 seconds') AS SELECT k, v % 3 AS m, window_start, "
              "window_end, count(*) AS n, sum(i) AS si, sum(d) AS sd, avg(v) AS av, max(k) AS mk, "
              "10 / (count(*) - 3) AS q FROM hop(s, ts, " +
                  Interval(4) + ", " + Interval(10) +
                  ") GROUP BY k, v % 3, window_start, window_end HAVING count(*) <> 2;");
}

/// One random record.
LogItem RandomItem(const FoldSpec& spec, const ShardFold& fold, int64_t* offset, Micros* now) {
  const int what = *rc::gen::inRange(0, 12);
  if (what == 0) {
    return Tick{Offset((*offset)++), *now, fold.last_tick(), *rc::gen::inRange(1, 3) * kSecond};
  } else if (what == 1) {
    return Advance{Offset((*offset)++), *now, *now + *rc::gen::inRange(-10, 10)};
  } else {
    BatchBuilder builder(spec.stream);
    for (int records = *rc::gen::inRange(1, 4); records > 0; --records) {
      *now += *rc::gen::inRange(0, 4);
      builder.BeginRecord(Offset((*offset)++), *now);
      const int16_t producer = builder.AddProducer("u", *rc::gen::element("p", "q"), *offset / 8);
      const auto c = [&](size_t column) -> ColumnData& { return builder.column(column); };
      c(0).AppendInteger(*now - *rc::gen::inRange(0, 40));
      c(1).AppendText(*rc::gen::element("a", "b", ""));
      c(2).AppendInteger(*rc::gen::inRange(-5, 5));
      c(3).AppendInteger(*rc::gen::element(1, 2, std::numeric_limits<int32_t>::max()));
      c(4).AppendDouble(*rc::gen::element(0.1, 1e300, -1e-300, 0x1p-1074, -0.0));
      builder.EndRow(producer, *rc::gen::inRange<int64_t>(0, 300));
    }
    return builder.Build();
  }
}

void Give(const LogItem& item, ShardFold* fold) {
  if (const auto* batch = std::get_if<EventBatch>(&item)) fold->Add(*batch);
  if (const auto* tick = std::get_if<Tick>(&item)) fold->Apply(*tick);
  if (const auto* advance = std::get_if<Advance>(&item)) fold->Apply(*advance);
}

/// One random record into the fold.
void RandomRecord(const FoldSpec& spec, ShardFold* fold, int64_t* offset, Micros* now) {
  Give(RandomItem(spec, *fold, offset, now), fold);
}

/// A cut's changes written over what was stored before.
void Store(const StateChange& change, std::map<std::string, std::string>* stored) {
  for (const auto& [begin, end] : change.delete_ranges)
    stored->erase(stored->lower_bound(begin), stored->lower_bound(end));
  for (const auto& [key, value] : change.puts) (*stored)[key] = value;
}

/// docs/formats/state.md, "Hash".
Hash128 HashOf(const std::map<std::string, std::string>& stored) {
  Hash128 sum;
  for (const auto& [key, value] : stored) {
    const Hash128 h = Hash(key);
    sum += h;
    sum += Hash(value, h.lo);
  }
  return sum;
}

}  // namespace

TEST_CASE("windows put together from slices are what each window gives by itself") {
  CHECK(rc::check([] {
    const auto size = *rc::gen::inRange<Micros>(1, 40);
    const auto slide = *rc::gen::inRange<Micros>(1, size + 1);
    const auto offset = *rc::gen::inRange<Micros>(-20, 20);
    auto events = *rc::gen::container<std::vector<Event>>(AnyEvent());
    // In order of time windows close one by one; all at once where an Advance closes them; and with
    // lateness to spare, events change windows that have closed.
    const int way = *rc::gen::inRange(0, 3);
    FoldSpec spec = HopSpec(size, slide, offset, way == 2 ? "1 second" : "0 seconds");
    if (way == 0) {
      std::stable_sort(events.begin(), events.end(),
                       [](const Event& a, const Event& b) { return a.t < b.t; });
    } else if (way == 1) {
      spec.stream.watermark_delay = kSecond;
    }
    ShardFold fold(spec);
    Feed feed(spec);
    Standing table;
    for (const Event& e : events) {
      feed.Row(e);
      if (*rc::gen::inRange(0, 4) == 0) feed.Flush(&fold);
      if (way == 2 && *rc::gen::inRange(0, 6) == 0)
        feed.AdvanceTo(&fold, *rc::gen::inRange<Micros>(-60, 100));
      Apply(TakeRows(&fold), &table);
    }
    feed.AdvanceTo(&fold, kPlusInfinity);
    Apply(TakeRows(&fold), &table);
    RC_ASSERT(table == ByHand(events, size, slide, offset));
    RC_ASSERT(fold.ledger().Balanced());
    RC_ASSERT(fold.ledger().late == 0);
    RC_ASSERT(fold.open_windows() == 0u);
  }));
}

TEST_CASE("a million rows' worth of keys and windows come out in order and in pieces") {
  // More keys than a page, a chunk of evaluation or a piece of output holds.
  const bool final_at_once = GENERATE(true, false);
  const FoldSpec spec = HopSpec(3, 1, 0, final_at_once ? "0 seconds" : "1 second");
  ShardFold fold(spec);
  Feed feed(spec);
  constexpr int kKeys = 3000;
  for (Micros t = 0; t < 6; ++t) {
    for (int k = 0; k < kKeys; ++k) feed.Row({t, std::to_string(k * 7919 % kKeys), t * k});
    feed.Flush(&fold);
  }
  feed.AdvanceTo(&fold, kPlusInfinity);
  std::vector<OutputRows> made = TakeAll(&fold);
  CHECK(made.size() > 4);
  std::map<Output, int64_t> last;
  std::map<Output, std::tuple<Micros, std::string>> previous;
  for (const OutputRows& piece : made) {
    CHECK(piece.bytes.size() < (80u << 10));
    OutputSeqs seen = {};
    int64_t file_end = 0;
    for (const OutputRow& row : DecodeRows(piece.bytes)) {
      if (row.file_end) {
        CHECK(row.seq == last[Output::kFiles]);
        file_end = row.seq;
        seen[static_cast<size_t>(row.output)] = row.seq;
        continue;
      }
      seen[static_cast<size_t>(row.output)] = row.seq;
      if (row.seq != ++last[row.output]) FAIL("row " << row.seq << " out of order");
      const std::tuple<Micros, std::string> at(row.window_end, row.key);
      if (at <= previous[row.output]) FAIL("row " << row.seq << " in the wrong place");
      previous[row.output] = at;
    }
    CHECK(piece.last_file_end == file_end);
    CHECK(piece.last == seen);
    // A result that is final is its file row.
    if (piece.output == Output::kResults)
      CHECK((piece.last[static_cast<size_t>(Output::kFiles)] != 0) == final_at_once);
  }
  CHECK(last[Output::kResults] == 8 * kKeys);
  CHECK(last[Output::kFiles] == 8 * kKeys);
}

TEST_CASE("rows that come in parts are the same rows in the same order, and so is the state") {
  CHECK(rc::check([] {
    const FoldSpec spec = MixedSpec();
    ShardFold whole(spec);
    FoldSpec in_parts = spec;
    in_parts.output_bytes = *rc::gen::inRange<size_t>(1, 300);
    ShardFold parts(in_parts);
    int64_t offset = 0;
    Micros now = 1'000'000;
    const auto by_output = [](const std::vector<OutputRow>& rows) {
      std::map<Output, std::vector<OutputRow>> out;
      for (const OutputRow& row : rows) out[row.output].push_back(row);
      return out;
    };
    for (int records = *rc::gen::inRange(0, 60); records > 0; --records) {
      const LogItem item = RandomItem(spec, whole, &offset, &now);
      Give(item, &whole);
      Give(item, &parts);
      RC_ASSERT(by_output(TakeRows(&parts)) == by_output(TakeRows(&whole)));
      if (*rc::gen::inRange(0, 5) > 0) continue;
      StateHash hash_of_whole;
      StateHash hash_of_parts;
      std::map<std::string, std::string> stored_by_whole;
      std::map<std::string, std::string> stored_by_parts;
      Store(AllChanges(whole.Freeze(true), &hash_of_whole), &stored_by_whole);
      Store(AllChanges(parts.Freeze(true), &hash_of_parts), &stored_by_parts);
      RC_ASSERT(stored_by_parts == stored_by_whole);
    }
  }));
}

TEST_CASE("a record that makes any number of rows due gives out a bounded part of them at a time") {
  const bool updates = GENERATE(false, true);
  CAPTURE(updates);
  FoldSpec spec = updates ? Plan(kColumns, "watermark_delay = '1 second'",
                                 "CREATE MATERIALIZED VIEW r WITH (emit = 'updates') AS SELECT k, "
                                 "window_start, window_end, count(*) AS n FROM hop(s, ts, " +
                                     Interval(1) + ", " + Interval(60) +
                                     ") GROUP BY k, window_start, window_end;")
                          : HopSpec(60, 1, 0, "0 seconds");
  spec.output_bytes = 100'000;
  ShardFold fold(spec);
  Feed feed(spec);
  constexpr int kKeys = 3000;
  for (int k = 0; k < kKeys; ++k) feed.Row({1000, std::to_string(k), k});
  feed.Flush(&fold);
  REQUIRE(TakeAll(&fold).empty());
  if (updates) {
    fold.Apply(Tick{Offset(kKeys), 1000, Offset(-1), kSecond});
  } else {
    fold.Apply(Advance{Offset(kKeys), 1000, kPlusInfinity});
  }
  int parts = 0;
  int64_t rows = 0;
  for (bool more = true; more; ++parts) {
    size_t bytes = 0;
    for (const OutputRows& made : fold.TakeOutput()) {
      bytes += made.bytes.size();
      for (const OutputRow& row : DecodeRows(made.bytes)) rows += row.output != Output::kFiles;
    }
    CHECK(bytes < spec.output_bytes + (64u << 10));
    more = fold.emitting();
    if (more) {
      CHECK_THROWS_AS(fold.Freeze(false), InvariantViolation);
      CHECK_THROWS_AS(fold.Apply(Advance{Offset(kKeys + 1), 0, 0}), InvariantViolation);
      fold.Continue();
    }
  }
  CHECK(parts > 50);
  CHECK(rows == 60 * kKeys);
}

TEST_CASE("rows decode and encode to the bytes that the fold wrote, of every kind") {
  std::set<std::pair<Output, bool>> kinds;
  CHECK(rc::check([&] {
    const FoldSpec spec = MixedSpec();
    ShardFold fold(spec);
    int64_t offset = 0;
    Micros now = 1'000'000;
    const int records = *rc::gen::inRange(0, 60);
    for (int i = 0; i < records; ++i) {
      RandomRecord(spec, &fold, &offset, &now);
      for (const OutputRow& row : TakeRows(&fold)) kinds.insert({row.output, row.deleted});
    }
    RC_ASSERT(fold.ledger().Balanced());
  }));
  CHECK(kinds == std::set<std::pair<Output, bool>>{{Output::kResults, false},
                                                   {Output::kResults, true},
                                                   {Output::kFiles, false},
                                                   {Output::kProvisional, false},
                                                   {Output::kProvisional, true},
                                                   {Output::kLate, false},
                                                   {Output::kQuarantine, false}});
}

TEST_CASE("the hash kept up from changes is the hash of all that is stored, and of a restore") {
  CHECK(rc::check([] {
    const FoldSpec spec = MixedSpec();
    auto fold = std::make_unique<ShardFold>(spec);
    std::map<std::string, std::string> stored;
    StateHash hash;
    int64_t offset = 0;
    Micros now = 1'000'000;
    const int records = *rc::gen::inRange(0, 40);
    for (int i = 0; i < records; ++i) {
      RandomRecord(spec, fold.get(), &offset, &now);
      const int cut = *rc::gen::inRange(0, 5);
      if (cut > 1) continue;
      // What the fold does after the freeze must not show.
      FrozenFold frozen = fold->Freeze(cut == 1);
      for (int more = *rc::gen::inRange(0, 3); cut == 0 && more > 0; --more)
        RandomRecord(spec, fold.get(), &offset, &now);
      Store(AllChanges(std::move(frozen), &hash), &stored);
      RC_ASSERT(hash.total() == HashOf(stored));
    }
    Store(AllChanges(fold->Freeze(false), &hash), &stored);
    RC_ASSERT(hash.total() == HashOf(stored));
    auto restored = std::make_unique<ShardFold>(spec);
    for (const auto& [key, value] : stored) RC_ASSERT(restored->Restore(key, value).ok());
    RC_ASSERT(restored->FinishRestore().total() == hash.total());
    std::map<std::string, std::string> again;
    StateHash all;
    Store(AllChanges(restored->Freeze(true), &all), &again);
    RC_ASSERT(again == stored);
    // Both go on alike.
    TakeAll(fold.get());
    BatchBuilder builder(spec.stream);
    builder.BeginRecord(Offset(offset), now + 100);
    const auto c = [&](size_t column) -> ColumnData& { return builder.column(column); };
    c(0).AppendInteger(now + 100);
    builder.EndRow(-1, 0);
    const EventBatch batch = builder.Build();
    fold->Add(batch);
    restored->Add(batch);
    RC_ASSERT(TakeRows(fold.get()) == TakeRows(restored.get()));
  }));
}

TEST_CASE("a batch of another stream's columns is never read, whatever its columns look like") {
  const FoldSpec spec =
      Plan(kColumns, "watermark_delay = '0 seconds'",
           "CREATE MATERIALIZED VIEW r AS SELECT k, window_start, window_end, count(*) AS n "
           "FROM tumble(s, ts, INTERVAL '1 second') GROUP BY k, window_start, window_end;");
  ShardFold fold(spec);
  FoldSpec other = spec;
  if (GENERATE(true, false)) {
    other.stream.generation = Offset(spec.stream.generation.value + 1);
  } else {
    ++other.stream.schema_id;
  }
  Feed feed(other);
  feed.Row({5, "a", 1});
  CHECK_THROWS_AS(feed.Flush(&fold), InvariantViolation);
  CHECK(fold.ledger().read == 0);
}
