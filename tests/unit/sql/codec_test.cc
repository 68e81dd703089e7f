#include <functional>
#include <set>
#include <string>
#include <vector>

#include "sql_test_support.h"
#include "support/catch.h"

using namespace millrace;
using namespace millrace::sql_test;

namespace {

/// A view with a bit of everything.
PipelineSpec Rich() {
  View view;
  view.with =
      "WITH (allowed_lateness = '1 hour', emit = 'updates', start = '2001-01-01T00:00:00Z')";
  view.select =
      "k, coalesce(j, -7) AS jj, window_start, window_end, sum(v) FILTER (WHERE d > -0.5) AS "
      "total, "
      "max(k) AS last, CASE WHEN count(*) > 1 THEN 'é\"' END AS many";
  view.from = "tumble(s, ts, INTERVAL '1 day', timezone => 'Pacific/Apia')";
  view.where = "WHERE b AND ts > '2001-01-01T00:00:00Z' OR k IN ('a', 'b') OR j IS NULL";
  view.group = "k, jj, window_start, window_end";
  view.having = "HAVING sum(v) > 1";
  return PlanPipeline(view);
}

StreamSpec Stream() { return PlanStream(kTable); }

Code DecodeCode(const PipelineSpec& spec) {
  const auto decoded = DecodePipeline(EncodePipeline(spec));
  return decoded.ok() ? Code::kInternal : decoded.error().code;
}

}  // namespace

TEST_CASE("a stream reads back from its bytes") {
  StreamSpec spec = Stream();
  CHECK(*DecodeStream(EncodeStream(spec)) == spec);
  spec.partition_key = -1;
  spec.append_times = false;
  spec.foreign = true;
  spec.ticks = false;
  spec.keep_raw = true;
  spec.format = RecordFormat::kJson;
  CHECK(*DecodeStream(EncodeStream(spec)) == spec);
}

TEST_CASE("a view reads back from its bytes") {
  const PipelineSpec rich = Rich();
  CHECK(*DecodePipeline(EncodePipeline(rich)) == rich);
  View hop = WithFrom("hop(s, ts, INTERVAL '1 week', INTERVAL '8 days')");
  hop.with = "WITH (start = 'latest')";
  const PipelineSpec plain = PlanPipeline(hop);
  CHECK(*DecodePipeline(EncodePipeline(plain)) == plain);
}

TEST_CASE("a table of local days takes little room") {
  CHECK(EncodePipeline(Rich()).size() < 4'096);
}

TEST_CASE("an expression of 100 levels reads back, one of 101 is refused") {
  PipelineSpec spec = PlanPipeline(View{});
  Expr expr;
  expr.op = Expr::Op::kColumn;
  expr.type = Type::kBool;
  expr.index = 5;
  for (int depth = 1; depth < 100; ++depth) {
    Expr outer;
    outer.op = Expr::Op::kNot;
    outer.type = Type::kBool;
    outer.args.push_back(std::move(expr));
    expr = std::move(outer);
  }
  spec.aggregates[0].filter = expr;
  CHECK(*DecodePipeline(EncodePipeline(spec)) == spec);
  Expr deeper;
  deeper.op = Expr::Op::kNot;
  deeper.type = Type::kBool;
  deeper.args.push_back(std::move(expr));
  spec.aggregates[0].filter = deeper;
  CHECK(DecodeCode(spec) == Code::kCorruption);
}

TEST_CASE("a plan that no planner made is corruption, not a plan") {
  using Change = std::function<void(PipelineSpec*)>;
  const std::vector<Change> changes = {
      [](PipelineSpec* s) { s->name = "../x"; },
      [](PipelineSpec* s) { s->name_space = ""; },
      [](PipelineSpec* s) { s->stream = "S"; },
      [](PipelineSpec* s) { s->select[0].name = "\xff"; },
      [](PipelineSpec* s) { s->where->op = static_cast<Expr::Op>(99); },
      [](PipelineSpec* s) { s->where->type = static_cast<Type>(8); },
      [](PipelineSpec* s) { s->where->type = Type::kInt; },
      [](PipelineSpec* s) { s->where->args.clear(); },
      [](PipelineSpec* s) { s->window.kind = static_cast<WindowKind>(3); },
      [](PipelineSpec* s) { s->window.size = 0; },
      [](PipelineSpec* s) { s->window.slide = 0; },
      [](PipelineSpec* s) { s->window.offset = -1; },
      [](PipelineSpec* s) { s->window.days = 2; },
      [](PipelineSpec* s) { s->window.zone.clear(); },
      [](PipelineSpec* s) { s->window.day_starts.clear(); },
      [](PipelineSpec* s) { s->window.day_starts[3] += 5 * kDay; },
      [](PipelineSpec* s) { s->window.day_starts.resize(60'000); },
      [](PipelineSpec* s) { s->aggregates[0].kind = static_cast<Aggregate>(7); },
      [](PipelineSpec* s) { s->aggregates[0].kind = Aggregate::kCountStar; },
      [](PipelineSpec* s) { s->aggregates[0].type = Type::kInt; },
      [](PipelineSpec* s) { s->aggregates[0].argument.reset(); },
      [](PipelineSpec* s) { s->aggregates[0].filter = s->aggregates[0].argument; },
      [](PipelineSpec* s) { s->aggregates[0].argument->index = -1; },
      [](PipelineSpec* s) { s->having->args[0].index = 99; },
      [](PipelineSpec* s) { s->having->args[0].index = 0; },
      [](PipelineSpec* s) { s->select[0].expr.index = 99; },
      [](PipelineSpec* s) { s->select[0].group_column = 1; },
      [](PipelineSpec* s) { s->select[4].group_column = 0; },
      [](PipelineSpec* s) { s->select.clear(); },
      [](PipelineSpec* s) { s->start = static_cast<StartKind>(4); },
      [](PipelineSpec* s) { s->file_interval = 7 * 3'600 * kSecond; },
      [](PipelineSpec* s) { s->file_idle = 0; },
      [](PipelineSpec* s) { s->allowed_lateness = -1; },
  };
  const PipelineSpec rich = Rich();
  for (size_t i = 0; i < changes.size(); ++i) {
    CAPTURE(i);
    PipelineSpec spec = rich;
    changes[i](&spec);
    CHECK(DecodeCode(spec) == Code::kCorruption);
  }
}

TEST_CASE("a stream that no planner made is corruption") {
  using Change = std::function<void(StreamSpec*)>;
  const std::vector<Change> changes = {
      [](StreamSpec* s) { s->event_time = 7; },
      [](StreamSpec* s) { s->event_time = -1; },
      [](StreamSpec* s) { s->event_time = 1; },
      [](StreamSpec* s) { s->partition_key = 7; },
      [](StreamSpec* s) { s->columns[1].type = static_cast<Type>(0); },
      [](StreamSpec* s) { s->columns[1].type = Type::kNumeric; },
      [](StreamSpec* s) { s->format = static_cast<RecordFormat>(0); },
      [](StreamSpec* s) { s->partitions = 0; },
      [](StreamSpec* s) { s->idle_timeout = 0; },
      [](StreamSpec* s) { s->watermark_delay = -1; },
      [](StreamSpec* s) { s->columns.clear(); },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    CAPTURE(i);
    StreamSpec spec = Stream();
    changes[i](&spec);
    const auto decoded = DecodeStream(EncodeStream(spec));
    REQUIRE_FALSE(decoded.ok());
    CHECK(decoded.error().code == Code::kCorruption);
  }
}

TEST_CASE("cut or changed bytes give a checked plan or corruption") {
  const std::string bytes = EncodePipeline(Rich());
  size_t refused = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int bit : {0, 3, 7}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      const auto decoded = DecodePipeline(changed);
      if (!decoded.ok()) {
        ++refused;
        if (decoded.error().code != Code::kCorruption) FAIL("another code at byte " << i);
      }
    }
    // A cut between two fields is a shorter message, and may be a whole plan.
    const auto cut = DecodePipeline(std::string_view(bytes).substr(0, i));
    if (!cut.ok() && cut.error().code != Code::kCorruption) FAIL("another code at cut " << i);
  }
  CHECK(refused > bytes.size());
  CHECK_FALSE(DecodePipeline("").ok());
  CHECK_FALSE(DecodeStream("").ok());
}

TEST_CASE("a pipeline is checked against the stream it reads") {
  const PipelineSpec rich = Rich();
  CHECK(CheckPipeline(rich, Stream()).ok());
  StreamSpec stream = Stream();
  stream.columns[3].type = Type::kInt;
  CHECK_FALSE(CheckPipeline(rich, stream).ok());
  stream = Stream();
  stream.columns.resize(4);
  CHECK_FALSE(CheckPipeline(rich, stream).ok());
  stream = Stream();
  stream.name = "other";
  CHECK_FALSE(CheckPipeline(rich, stream).ok());
}

TEST_CASE("the hash of a stream changes with every field") {
  using Change = std::function<void(StreamSpec*)>;
  const std::vector<Change> changes = {
      [](StreamSpec* s) { s->name_space = "x"; },
      [](StreamSpec* s) { s->name = "x"; },
      [](StreamSpec* s) { s->schema_id = 2; },
      [](StreamSpec* s) { s->columns.pop_back(); },
      [](StreamSpec* s) { s->columns[1].name = "x"; },
      [](StreamSpec* s) { s->columns[1].type = Type::kInt; },
      [](StreamSpec* s) { s->columns[1].not_null = true; },
      [](StreamSpec* s) { s->columns[1].quoted = true; },
      [](StreamSpec* s) { s->event_time = 6; },
      [](StreamSpec* s) { s->watermark_delay = 1; },
      [](StreamSpec* s) { s->partition_key = -1; },
      [](StreamSpec* s) { s->partitioned_by_key = true; },
      [](StreamSpec* s) { s->max_ahead = 1; },
      [](StreamSpec* s) { s->idle_timeout = 1; },
      [](StreamSpec* s) { s->format = RecordFormat::kJson; },
      [](StreamSpec* s) { s->partitions = 5; },
      [](StreamSpec* s) { s->ticks = false; },
      [](StreamSpec* s) { s->keep_raw = true; },
      [](StreamSpec* s) { s->append_times = false; },
      [](StreamSpec* s) { s->foreign = !s->foreign; },
      [](StreamSpec* s) { s->topic = "x"; },
  };
  std::set<std::pair<uint64_t, uint64_t>> seen;
  const auto add = [&](const StreamSpec& s) {
    const Hash128 hash = PlanHash(s);
    return seen.insert({hash.hi, hash.lo}).second;
  };
  CHECK(add(Stream()));
  for (size_t i = 0; i < changes.size(); ++i) {
    CAPTURE(i);
    StreamSpec spec = Stream();
    changes[i](&spec);
    CHECK(add(spec));
  }
  CHECK(PlanHash(Stream()) == PlanHash(Stream()));
}

TEST_CASE("the hash of a view changes with every field") {
  using Change = std::function<void(PipelineSpec*)>;
  const std::vector<Change> changes = {
      [](PipelineSpec* s) { s->name_space = "x"; },
      [](PipelineSpec* s) { s->name = "x"; },
      [](PipelineSpec* s) { s->stream = "x"; },
      [](PipelineSpec* s) { s->schema_id = 2; },
      [](PipelineSpec* s) { s->semantics_version = kSemanticsVersion + 1; },
      [](PipelineSpec* s) { s->where.reset(); },
      [](PipelineSpec* s) { s->where->op = Expr::Op::kAnd; },
      [](PipelineSpec* s) { s->where->args.pop_back(); },
      [](PipelineSpec* s) { s->where->args[0].args[0].index = 6; },
      [](PipelineSpec* s) { s->where->args[0].args[1].args[1].integer += 1; },
      [](PipelineSpec* s) { s->where->args[1].args[0].args[1].text = "c"; },
      [](PipelineSpec* s) { s->where->args[1].args[0].args[1].is_null = true; },
      [](PipelineSpec* s) { s->group_by.pop_back(); },
      [](PipelineSpec* s) { s->group_by[0].expr.index = 2; },
      [](PipelineSpec* s) { s->group_by[0].expr.type = Type::kInt; },
      [](PipelineSpec* s) { s->window.kind = WindowKind::kHop; },
      [](PipelineSpec* s) { s->window.size += 1; },
      [](PipelineSpec* s) { s->window.slide += 1; },
      [](PipelineSpec* s) { s->window.offset += 1; },
      [](PipelineSpec* s) { s->window.zone = "UTC"; },
      [](PipelineSpec* s) { s->window.days = 2; },
      [](PipelineSpec* s) { s->window.day_starts.pop_back(); },
      [](PipelineSpec* s) { s->window.day_starts[7] += 1; },
      [](PipelineSpec* s) {
        for (Micros& start : s->window.day_starts) start += 1;
      },
      [](PipelineSpec* s) { s->aggregates.pop_back(); },
      [](PipelineSpec* s) { s->aggregates[0].kind = Aggregate::kAvg; },
      [](PipelineSpec* s) { s->aggregates[0].argument->index = 2; },
      [](PipelineSpec* s) { s->aggregates[0].filter.reset(); },
      [](PipelineSpec* s) { s->aggregates[0].filter->args[1].real = 0.5; },
      [](PipelineSpec* s) { s->aggregates[0].type = Type::kDouble; },
      [](PipelineSpec* s) { s->having.reset(); },
      [](PipelineSpec* s) { std::swap(s->where, s->having); },
      [](PipelineSpec* s) { s->select[0].name = "x"; },
      [](PipelineSpec* s) { s->select[0].expr.index = 1; },
      [](PipelineSpec* s) { s->select[0].group_column = -1; },
      [](PipelineSpec* s) { s->allowed_lateness += 1; },
      [](PipelineSpec* s) { s->updates = false; },
      [](PipelineSpec* s) { s->start = StartKind::kLatest; },
      [](PipelineSpec* s) { s->start_time += 1; },
      [](PipelineSpec* s) { s->file_interval += 1; },
      [](PipelineSpec* s) { s->file_idle += 1; },
  };
  const PipelineSpec rich = Rich();
  std::set<std::pair<uint64_t, uint64_t>> seen;
  const auto add = [&](const PipelineSpec& s) {
    const Hash128 hash = PlanHash(s);
    return seen.insert({hash.hi, hash.lo}).second;
  };
  CHECK(add(rich));
  for (size_t i = 0; i < changes.size(); ++i) {
    CAPTURE(i);
    PipelineSpec spec = rich;
    changes[i](&spec);
    CHECK(add(spec));
  }
  CHECK(PlanHash(rich) == PlanHash(Rich()));
}

TEST_CASE("the text of a plan is the one that docs/formats/plan.md shows") {
  StreamSpec spec = PlanStream(
      "CREATE TABLE flights (scheduled_at timestamptz NOT NULL, origin text) WITH (partition_key = "
      "'origin', event_time = 'scheduled_at', watermark_delay = '4 hours')");
  CHECK(PlanText(spec) ==
        "millrace plan 3\n"
        "stream \"default\" \"flights\"\n"
        "schema_id 1\n"
        "column \"scheduled_at\" [timestamptz] not_null unquoted\n"
        "column \"origin\" [text] nullable unquoted\n"
        "event_time 0\n"
        "watermark_delay 14400000000\n"
        "partition_key 1\n"
        "partitioned_by_key false\n"
        "max_ahead 3600000000\n"
        "idle_timeout 30000000\n"
        "format arrow\n"
        "partitions 4\n"
        "ticks true\n"
        "keep_raw false\n"
        "append_times true\n"
        "foreign false\n"
        "topic \"default.flights\"\n");
  // A changed hash makes `apply` see a change in every definition that stands.
  CHECK(PlanHash(spec) == Hash(PlanText(spec)));
}
