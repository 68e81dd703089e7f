#include <rapidcheck.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "millrace/base/check.h"
#include "millrace/base/hash.h"
#include "window_test_support.h"

using namespace millrace;
using namespace millrace::window;

namespace {

struct Event {
  Micros t;
  std::string key;
  std::optional<int64_t> v;
};

constexpr const char* kColumns =
    "ts timestamptz NOT NULL, k text, v bigint, i int, d double precision";

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
    auto& c = builder_.columns();
    c[0].AppendInteger(e.t);
    c[1].AppendText(e.key);
    if (e.v) {
      c[2].AppendInteger(*e.v);
    } else {
      c[2].AppendNull();
    }
    c[3].AppendNull();
    c[4].AppendNull();
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

/// One random record into the fold.
void RandomRecord(const FoldSpec& spec, ShardFold* fold, int64_t* offset, Micros* now) {
  const int what = *rc::gen::inRange(0, 12);
  if (what == 0) {
    fold->Apply(
        Tick{Offset((*offset)++), *now, fold->last_tick(), *rc::gen::inRange(1, 3) * kSecond});
  } else if (what == 1) {
    fold->Apply(Advance{Offset((*offset)++), *now, *now + *rc::gen::inRange(-10, 10)});
  } else {
    BatchBuilder builder(spec.stream);
    for (int records = *rc::gen::inRange(1, 4); records > 0; --records) {
      *now += *rc::gen::inRange(0, 4);
      builder.BeginRecord(Offset((*offset)++), *now);
      const int16_t producer = builder.AddProducer("u", *rc::gen::element("p", "q"), *offset / 8);
      auto& c = builder.columns();
      c[0].AppendInteger(*now - *rc::gen::inRange(0, 40));
      c[1].AppendText(*rc::gen::element("a", "b", ""));
      c[2].AppendInteger(*rc::gen::inRange(-5, 5));
      c[3].AppendInteger(*rc::gen::element(1, 2, std::numeric_limits<int32_t>::max()));
      c[4].AppendDouble(*rc::gen::element(0.1, 1e300, -1e-300, 0x1p-1074, -0.0));
      builder.EndRow(producer, *rc::gen::inRange<int64_t>(0, 300));
    }
    fold->Add(builder.Build());
  }
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
  std::vector<OutputRows> made = fold.TakeOutput();
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
      const FrozenFold frozen = fold->Freeze(cut == 1);
      for (int more = *rc::gen::inRange(0, 3); cut == 0 && more > 0; --more)
        RandomRecord(spec, fold.get(), &offset, &now);
      Store(frozen.Changes(&hash), &stored);
      RC_ASSERT(hash.total() == HashOf(stored));
    }
    Store(fold->Freeze(false).Changes(&hash), &stored);
    RC_ASSERT(hash.total() == HashOf(stored));
    auto restored = std::make_unique<ShardFold>(spec);
    for (const auto& [key, value] : stored) RC_ASSERT(restored->Restore(key, value).ok());
    RC_ASSERT(restored->FinishRestore().total() == hash.total());
    std::map<std::string, std::string> again;
    StateHash all;
    Store(restored->Freeze(true).Changes(&all), &again);
    RC_ASSERT(again == stored);
    // Both go on alike.
    fold->TakeOutput();
    BatchBuilder builder(spec.stream);
    builder.BeginRecord(Offset(offset), now + 100);
    auto& c = builder.columns();
    c[0].AppendInteger(now + 100);
    for (size_t i = 1; i < c.size(); ++i) c[i].AppendNull();
    builder.EndRow(-1, 0);
    const EventBatch batch = builder.Build();
    fold->Add(batch);
    restored->Add(batch);
    RC_ASSERT(TakeRows(fold.get()) == TakeRows(restored.get()));
  }));
}

TEST_CASE("aggregates have the types and the values of the rules") {
  const FoldSpec spec = Plan(
      kColumns, "watermark_delay = '0 seconds'",
      "CREATE MATERIALIZED VIEW r AS SELECT window_start, window_end, sum(i) AS si, sum(v) AS sv, "
      "sum(d) AS sd, avg(i) AS ai, avg(v) AS av, avg(d) AS ad, min(d) AS nd, max(d) AS xd, "
      "count(v) AS cv, min(ts) AS nt, sum(i) FILTER (WHERE i < 0) AS none FROM "
      "tumble(s, ts, INTERVAL '1 second') GROUP BY window_start, window_end;");
  ShardFold fold(spec);
  BatchBuilder builder(spec.stream);
  const int32_t most = std::numeric_limits<int32_t>::max();
  const int64_t large = std::numeric_limits<int64_t>::max();
  const double values[] = {-0.0, 0.1, 0.2};
  for (int row = 0; row < 3; ++row) {
    builder.BeginRecord(Offset(row), 0);
    auto& c = builder.columns();
    c[0].AppendInteger(row);
    c[1].AppendNull();
    row == 2 ? c[2].AppendNull() : c[2].AppendInteger(large - row);
    c[3].AppendInteger(most);
    c[4].AppendDouble(values[row]);
    builder.EndRow(-1, 0);
  }
  fold.Add(builder.Build());
  fold.Apply(Advance{Offset(3), 0, kPlusInfinity});
  const auto rows = TakeRows(&fold);
  REQUIRE(rows.size() == 3);  // the result, the file row and the file's end
  const auto& v = rows[0].values;
  CHECK(v[2] == Bigint(3 * int64_t{most}));
  CHECK(v[3] == Value{Type::kNumeric, Int128{large} * 2 - 1});
  CHECK(v[4] == Double(0.30000000000000004));  // the exact sum lies nearer to it than to 0.3
  CHECK(v[5] == Double(most));
  CHECK(v[6] == Double(0x1p63));
  CHECK(v[7] == Double(0.1));
  CHECK(v[8] == Double(0));
  CHECK_FALSE(std::signbit(std::get<double>(v[8].data)));
  CHECK(v[9] == Double(0.2));
  CHECK(v[10] == Bigint(2));
  CHECK(v[11] == Value{Type::kTimestamp, int64_t{0}});
  CHECK(v[12] == Null(Type::kBigint));
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

TEST_CASE("min and max of doubles: NaN is the largest, and the one NaN") {
  const FoldSpec spec =
      Plan(kColumns, "watermark_delay = '0 seconds'",
           "CREATE MATERIALIZED VIEW r AS SELECT d, window_start, window_end, min(d) AS lo, "
           "max(d) AS hi FROM tumble(s, ts, INTERVAL '1 second') GROUP BY d, window_start, "
           "window_end;");
  ShardFold fold(spec);
  BatchBuilder builder(spec.stream);
  builder.BeginRecord(Offset(0), 0);
  for (const double d : {std::nan("7"), -std::nan("9"), -0.0, 0.0}) {
    auto& c = builder.columns();
    c[0].AppendInteger(0);
    for (size_t i = 1; i < 4; ++i) c[i].AppendNull();
    c[4].AppendDouble(d);
    builder.EndRow(-1, 0);
  }
  fold.Add(builder.Build());
  fold.Apply(Advance{Offset(1), 0, kPlusInfinity});
  auto rows = TakeRows(&fold);
  std::erase_if(rows, [](const OutputRow& row) { return row.output != Output::kResults; });
  REQUIRE(rows.size() == 2);
  for (const size_t column : {0, 3, 4}) {
    const double zero = std::get<double>(rows[0].values[column].data);
    CHECK((zero == 0 && !std::signbit(zero)));
    const double nan = std::get<double>(rows[1].values[column].data);
    CHECK(std::bit_cast<uint64_t>(nan) == 0x7ff8000000000000);
  }
}
