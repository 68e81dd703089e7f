#include <string>

#include "sql_test_support.h"
#include "support/catch.h"

using namespace millrace;
using namespace millrace::sql_test;

TEST_CASE("a stream without options has the documented defaults") {
  const StreamSpec spec = PlanStream(
      "CREATE TABLE flights (at timestamptz NOT NULL, origin text) WITH (event_time = 'at', "
      "watermark_delay = '4 hours')");
  StreamSpec expected;
  expected.name_space = "default";
  expected.name = "flights";
  expected.schema_id = 1;
  expected.columns = {{"at", Type::kTimestamp, true}, {"origin", Type::kText, false}};
  expected.event_time = 0;
  expected.watermark_delay = 4 * 3'600 * kSecond;
  expected.partition_key = -1;
  expected.max_ahead = 3'600 * kSecond;
  expected.idle_timeout = 30 * kSecond;
  expected.format = RecordFormat::kArrow;
  expected.partitions = 4;
  expected.ticks = true;
  expected.topic = "default.flights";
  CHECK(spec == expected);
}

TEST_CASE("every option of a stream lands in its field") {
  const StreamSpec spec = PlanStream(
      "CREATE TABLE air.flights (origin text, at timestamptz) WITH (event_time = 'at', "
      "watermark_delay = '1 day', partition_key = 'origin', partitioned_by_key, max_ahead = "
      "'90 minutes', idle_timeout = '1.5 seconds', format = 'json', partitions = 64, ticks = off, "
      "keep_raw = true, topic = 'Other.topic-1')");
  CHECK(spec.name_space == "air");
  CHECK(spec.event_time == 1);
  CHECK(spec.watermark_delay == kDay);
  CHECK(spec.partition_key == 0);
  CHECK(spec.partitioned_by_key);
  CHECK(spec.max_ahead == 5'400 * kSecond);
  CHECK(spec.idle_timeout == 1'500'000);
  CHECK(spec.format == RecordFormat::kJson);
  CHECK(spec.partitions == 64);
  CHECK_FALSE(spec.ticks);
  CHECK(spec.keep_raw);
  CHECK(spec.topic == "Other.topic-1");
}

TEST_CASE("a foreign stream holds JSON and gets no ticks") {
  const std::string table =
      "CREATE TABLE s (t timestamptz, k text) WITH (event_time = 't', watermark_delay = '1 s', "
      "partition_key = 'k', foreign, ";
  const StreamSpec spec = PlanStream(table + "partitions = 8, partitioned_by_key)");
  CHECK(spec.foreign);
  CHECK(spec.format == RecordFormat::kJson);
  CHECK_FALSE(spec.ticks);
  CHECK(spec.partitions == 8);
  // In one partition equal keys cannot lie apart.
  CHECK_FALSE(PlanStream(table + "partitions = 1)").partitioned_by_key);
  CHECK(PlanStream(table + "partitions = 1, ticks = on)").ticks);
}

TEST_CASE("every spelling of a column type gives its type") {
  const auto c = GENERATE(values<std::pair<std::string, Type>>({
      {"int", Type::kInt},
      {"integer", Type::kInt},
      {"int4", Type::kInt},
      {"bigint", Type::kBigint},
      {"int8", Type::kBigint},
      {"double precision", Type::kDouble},
      {"float8", Type::kDouble},
      {"text", Type::kText},
      {"varchar", Type::kText},
      {"character varying", Type::kText},
      {"boolean", Type::kBool},
      {"bool", Type::kBool},
      {"timestamptz", Type::kTimestamp},
      {"timestamp with time zone", Type::kTimestamp},
  }));
  CAPTURE(c.first);
  const StreamSpec spec = PlanStream("CREATE TABLE s (t timestamptz, c " + c.first +
                                     ") WITH (event_time = 't', watermark_delay = '0 s')");
  CHECK(spec.columns[1].type == c.second);
}

TEST_CASE("a column knows whether it was quoted") {
  const StreamSpec spec = PlanStream(
      "CREATE TABLE s (At timestamptz, \"At2\" text, \"at3\" text, /* \" */ at4 text,\n"
      "U&\"at5\" text, u int, U6 int) WITH (event_time = 'at', watermark_delay = '0 s')");
  std::string found;
  for (const ColumnSpec& c : spec.columns) found += c.name + (c.quoted ? "! " : " ");
  CHECK(found == "at At2! at3! at4 at5! u u6 ");
}

TEST_CASE("a view without options has the documented defaults") {
  const PipelineSpec spec = PlanPipeline(View{});
  CHECK(spec.name_space == "default");
  CHECK(spec.name == "r");
  CHECK(spec.stream == "s");
  CHECK(spec.schema_id == 1);
  CHECK(spec.semantics_version == kSemanticsVersion);
  CHECK_FALSE(spec.where);
  CHECK_FALSE(spec.having);
  CHECK(spec.allowed_lateness == 0);
  CHECK_FALSE(spec.updates);
  CHECK(spec.start == StartKind::kEarliest);
  CHECK(spec.file_interval == 3'600 * kSecond);
  CHECK(spec.file_idle == 300 * kSecond);
}

TEST_CASE("every option of a view lands in its field") {
  PipelineSpec spec = PlanPipeline(
      WithOptions("allowed_lateness = '1 hour 30 minutes', emit = 'updates', start = 'latest', "
                  "file_interval = '15 minutes', file_idle = '1 week'"));
  CHECK(spec.allowed_lateness == 5'400 * kSecond);
  CHECK(spec.updates);
  CHECK(spec.start == StartKind::kLatest);
  CHECK(spec.file_interval == 900 * kSecond);
  CHECK(spec.file_idle == 7 * kDay);
  spec = PlanPipeline(WithOptions("emit = 'final', start = '2001-01-01T00:00:00Z'"));
  CHECK_FALSE(spec.updates);
  CHECK(spec.start == StartKind::kTime);
  CHECK(spec.start_time == 978'307'200 * kSecond);
  CHECK(PlanPipeline(WithOptions("allowed_lateness = '36525 days'")).allowed_lateness ==
        36'525 * kDay);
  CHECK(PlanPipeline(WithOptions("start = '9999-12-31T23:59:59.999999Z'")).start_time ==
        kMaxEventTime);
  CHECK(PlanPipeline(WithOptions("start = '0001-01-01T00:00:00Z'")).start_time == kMinEventTime);
  CHECK(PlanPipeline(WithOptions("start = 'earliest'")).start == StartKind::kEarliest);
}

TEST_CASE("statements are planned in the order of the script") {
  const auto plans = PlanScript(
      "CREATE TABLE a (t timestamptz) WITH (event_time = 't', watermark_delay = '0 s', partitions "
      "= 1); -- first\n"
      "CREATE MATERIALIZED VIEW x AS SELECT window_start, window_end, count(*) AS n FROM tumble(a, "
      "t, '1 hour') GROUP BY window_start, window_end;\n"
      "CREATE TABLE b (t timestamptz) WITH (event_time = 't', watermark_delay = '0 s');");
  REQUIRE(plans.ok());
  REQUIRE(plans->size() == 3);
  CHECK(std::get<StreamSpec>((*plans)[0]).name == "a");
  CHECK(std::get<PipelineSpec>((*plans)[1]).name == "x");
  CHECK(std::get<StreamSpec>((*plans)[2]).name == "b");
}

TEST_CASE("a view finds its stream in the script first, then in the catalogue") {
  StreamSpec known;
  known.name_space = "air";
  known.name = "flights";
  known.schema_id = 7;
  known.columns = {{"at", Type::kTimestamp, true}, {"origin", Type::kText, false}};
  known.partition_key = 1;
  const StreamLookup lookup = [&](std::string_view space, std::string_view name) {
    return space == "air" && name == "flights" ? &known : nullptr;
  };
  const std::string view =
      " AS SELECT origin, window_start, window_end, count(*) AS n FROM tumble(flights, at, "
      "INTERVAL '1 hour') GROUP BY origin, window_start, window_end";
  const auto plans = PlanScript("CREATE MATERIALIZED VIEW air.v" + view, lookup);
  REQUIRE(plans.ok());
  const auto& spec = std::get<PipelineSpec>(plans->front());
  CHECK(spec.name_space == "air");
  CHECK(spec.stream == "flights");
  CHECK(spec.schema_id == 7);

  PlannerOptions options;
  options.name_space = "air";
  CHECK(PlanScript("CREATE MATERIALIZED VIEW v" + view, lookup, options).ok());
  CHECK_FALSE(PlanScript("CREATE MATERIALIZED VIEW v" + view, lookup).ok());
}

TEST_CASE("one stage is allowed where the rows of a group share a partition") {
  const std::string view =
      "CREATE MATERIALIZED VIEW r AS SELECT j, window_start, window_end, count(*) AS n FROM "
      "tumble(s, ts, INTERVAL '1 hour') GROUP BY j, window_start, window_end";
  const std::string columns =
      "CREATE TABLE s (ts timestamptz, k text, j int) WITH (event_time = "
      "'ts', watermark_delay = '0 s'";
  const auto code = [&](const std::string& options, bool any = false) {
    PlannerOptions planner;
    planner.any_grouping = any;
    const auto plans = PlanScript(columns + options + ");" + view, {}, planner);
    return plans.ok() ? "planned" : std::string(CodeName(plans.error().code));
  };
  CHECK(code(", partition_key = 'j'") == "planned");
  CHECK(code(", partition_key = 'j', partitioned_by_key = on") == "planned");
  CHECK(code(", partitions = 1") == "planned");
  CHECK(code(", partition_key = 'k', partitions = 1") == "planned");
  CHECK(code(", partition_key = 'k'") == "conflict");
  CHECK(code("") == "conflict");
  CHECK(code(", partition_key = 'k'", true) == "planned");
}

TEST_CASE("a group that is computed from the partition key may span partitions") {
  View view;
  view.select = "coalesce(k, 'x') AS k2, window_start, window_end, count(*) AS n";
  view.group = "k2, window_start, window_end";
  CHECK(ErrorOf(view).code == Code::kConflict);
}

TEST_CASE("the script of the first example in docs/sql.md plans as it says") {
  const PipelineSpec spec = PlanPipeline(R"(
CREATE TABLE flights (
  scheduled_at timestamptz NOT NULL, origin text, destination text, delay_minutes int,
  distance_miles int
) WITH (partition_key = 'origin', event_time = 'scheduled_at', watermark_delay = '4 hours');

CREATE MATERIALIZED VIEW delays_hourly WITH (allowed_lateness = '1 hour') AS
SELECT origin, window_start, window_end, count(*) AS flights,
       avg(delay_minutes) AS mean_delay, max(delay_minutes) AS worst_delay
FROM tumble(flights, scheduled_at, INTERVAL '1 hour')
WHERE distance_miles > 100
GROUP BY origin, window_start, window_end;
)");
  CHECK(spec.window.size == 3'600 * kSecond);
  CHECK(Line(spec, "where") == "(greater [boolean] (column [int] 4) (literal [int] 100))");
  CHECK(Line(spec, "group") == "(column [text] 1)");
  REQUIRE(spec.select.size() == 6);
  CHECK(spec.select[0].group_column == 0);
  CHECK(spec.select[4].expr.type == Type::kDouble);
  CHECK(spec.select[5].expr.type == Type::kInt);
}

TEST_CASE("two streams of a script never have one topic, however they name it") {
  const std::string with = "(t timestamptz) WITH (event_time = 't', watermark_delay = '1 s'";
  const std::string script = GENERATE_COPY(
      "CREATE TABLE a " + with + ");\nCREATE TABLE b " + with + ", topic = 'default.a');",
      "CREATE TABLE a " + with + ");\nCREATE TABLE other.a " + with + ", topic = 'default.a');",
      "CREATE TABLE b " + with + ", topic = 'default.a');\nCREATE TABLE a " + with + ");",
      "CREATE TABLE a " + with + ", topic = 'x');\nCREATE TABLE b " + with + ", topic = 'x');");
  const auto plans = PlanScript(script);
  REQUIRE_FALSE(plans.ok());
  CHECK(plans.error().code == Code::kConflict);
  CHECK(plans.error().message.find("line 2, column 14: the topic ") == 0);
  const bool first_is_b = script.find("TABLE b") < script.find("TABLE a");
  CHECK(plans.error().message.find(first_is_b ? "belongs to \"default.b\""
                                              : "belongs to \"default.a\"") != std::string::npos);
}

TEST_CASE("a script drops streams and views by name, several in one statement") {
  const auto plans =
      PlanScript("DROP TABLE a, other.b; DROP MATERIALIZED VIEW IF EXISTS v RESTRICT;");
  REQUIRE(plans.ok());
  REQUIRE(plans->size() == 3);
  CHECK(std::get<DropStatement>(plans->at(0)) == DropStatement{false, "default", "a", false});
  CHECK(std::get<DropStatement>(plans->at(1)) == DropStatement{false, "other", "b", false});
  CHECK(std::get<DropStatement>(plans->at(2)) == DropStatement{true, "default", "v", true});
}

TEST_CASE("what a stream keeps is set with it, and later") {
  const auto plans = PlanScript(
      "CREATE TABLE s (t timestamptz) WITH (event_time = 't', watermark_delay = '1 s', "
      "keep_for = '7 days', keep_bytes = '10 GB');"
      "ALTER TABLE air.s SET (keep_bytes = 5); ALTER TABLE s RESET (keep_bytes, keep_for);");
  REQUIRE(plans.ok());
  REQUIRE(plans->size() == 6);
  const auto setting = [&](size_t i) { return std::get<SettingStatement>(plans->at(i)); };
  CHECK(setting(1) == SettingStatement{"default", "s", "keep_for", 7 * kDay});
  CHECK(setting(2) == SettingStatement{"default", "s", "keep_bytes", int64_t{10} << 30});
  CHECK(setting(3) == SettingStatement{"air", "s", "keep_bytes", 5});
  CHECK(setting(4) == SettingStatement{"default", "s", "keep_bytes", 0});
  CHECK(setting(5) == SettingStatement{"default", "s", "keep_for", 0});
}

TEST_CASE("bytes are written as in PostgreSQL") {
  const auto bytes = [](const std::string& text) -> int64_t {
    const auto plans = PlanScript("ALTER TABLE s SET (keep_bytes = " + text + ")");
    return plans.ok() ? std::get<SettingStatement>(plans->at(0)).value : -1;
  };
  CHECK(bytes("1") == 1);
  CHECK(bytes("'1'") == 1);
  CHECK(bytes("'3 bytes'") == 3);
  CHECK(bytes("'3kB'") == 3 << 10);
  CHECK(bytes("'3 MB'") == 3 << 20);
  CHECK(bytes("'8388607 TB'") == int64_t{8388607} << 40);
  for (const char* const wrong : {"'8388608 TB'", "0", "-1", "'0 MB'", "'1 PB'", "'1 mb'", "''",
                                  "'1.5 GB'", "'many'", "9223372036854775808", "on"}) {
    INFO(wrong);
    CHECK(bytes(wrong) == -1);
  }
}

TEST_CASE("what a script dropped is gone for the statements behind it") {
  const std::string with =
      "(t timestamptz) WITH (event_time = 't', watermark_delay = '1 s', partitions = 1);\n";
  const std::string view =
      "CREATE MATERIALIZED VIEW v AS SELECT window_start, window_end, count(*) AS n FROM tumble(s, "
      "t, INTERVAL '1 s') GROUP BY window_start, window_end;\n";
  const StreamSpec known = PlanStream("CREATE TABLE s " + with);
  const auto lookup = [&](std::string_view, std::string_view name) {
    return name == "s" ? &known : nullptr;
  };
  CHECK(PlanScript(view, lookup).ok());
  CHECK_FALSE(PlanScript("DROP TABLE s;" + view, lookup).ok());
  CHECK(PlanScript("DROP TABLE s; CREATE TABLE s " + with + view, lookup).ok());
  CHECK(PlanScript("CREATE TABLE s " + with + "DROP TABLE s; CREATE TABLE s " + with + view).ok());
  // The topic is free too.
  CHECK(PlanScript("CREATE TABLE s " + with +
                   "DROP TABLE s; CREATE TABLE x (t timestamptz) WITH "
                   "(event_time = 't', watermark_delay = '1 s', topic = 'default.s');")
            .ok());
}

TEST_CASE("runs of operators that would cost the parser minutes are refused") {
  const std::string head = "CREATE TABLE s (t timestamptz) ";
  std::string nested;
  std::string beside;
  for (int i = 0; i < 15'000; ++i) {
    nested += "/*";
    beside += "/**/";
  }
  CHECK(PlanScript(head + nested).error().message.find("more than 64 comments") !=
        std::string::npos);
  CHECK(PlanScript(head + beside).error().message.find("more than 64 comments") !=
        std::string::npos);
  CHECK(PlanScript(head + std::string(60'000, '+')).error().message.find("more than 64 signs +") !=
        std::string::npos);
  const std::string banner =
      "/*" + std::string(200, '*') + "*/ /* a /* b */ c */ --" + std::string(200, '=') + "\n";
  CHECK(PlanScript(banner + head + "WITH (event_time = 't', watermark_delay = '1 s')").ok());
}
