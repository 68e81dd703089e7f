#include <string>

#include "sql_test_support.h"
#include "support/catch.h"

using namespace millrace;
using namespace millrace::sql_test;

namespace {

struct Foreign {
  std::string sql;
  std::string place;  ///< "line L, column C"
  std::string what;
  std::string hint;
};

void Check(const std::string& sql, const Foreign& c) {
  const Error error = ErrorOf(sql);
  CAPTURE(error.message);
  CHECK(error.code == Code::kInvalidArgument);
  CHECK(error.message.find(c.place + ": ") == 0);
  CHECK(error.message.find(c.what) != std::string::npos);
  CHECK(error.message.find("\nhint: " + c.hint) != std::string::npos);
}

/// Whatever the code and the place are.
void CheckSays(const std::string& sql, const std::string& what, const std::string& hint) {
  const Error error = ErrorOf(sql);
  CAPTURE(error.message);
  CHECK(error.message.find(what) != std::string::npos);
  const size_t at = error.message.find("\nhint: ");
  REQUIRE(at != std::string::npos);
  CHECK(error.message.find(hint, at) != std::string::npos);
}

}  // namespace

TEST_CASE("window functions of Flink are answered with ours") {
  const auto c = GENERATE(values<Foreign>({
      {"TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR))", "line 4, column 6",
       "without TABLE( )", "write FROM tumble(stream, time, INTERVAL '1 hour')"},
      {"TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR)", "line 4, column 6", "without TABLE",
       "write FROM tumble(stream, time"},
      {"HOP(DATA => TABLE s, TIMECOL => DESCRIPTOR(ts), SLIDE => INTERVAL '1' HOUR)",
       "line 4, column 6", "by position", "write FROM tumble(stream, time"},
      {"tumble(s, ts, INTERVAL 1 HOUR)", "line 4, column 20", "an interval is written as text",
       "write INTERVAL '1 hour'"},
  }));
  Check(WithFrom(c.sql).Sql(), c);
  Check(WithGroup("tumble(ts, INTERVAL '1 hour')").Sql(),
        {"", "line 6, column 10", "a window function stands in FROM", "write FROM tumble("});
  Check(WithSelect("TUMBLE_START(ts, INTERVAL '1 hour')").Sql(),
        {"", "line 3, column 37", "a window's start is a column", "write window_start"});
}

TEST_CASE("windows and EMIT of ksqlDB and RisingWave are answered with ours") {
  Check(WithFrom("s WINDOW TUMBLING (SIZE 1 HOUR, GRACE PERIOD 5 MINUTES)").Sql(),
        {"", "line 4, column 8", "WINDOW TUMBLING is not a clause", "write FROM tumble("});
  Check(WithFrom("s WINDOW HOPPING (SIZE 1 HOUR, ADVANCE BY 5 MINUTES)").Sql(),
        {"", "line 4, column 8", "WINDOW HOPPING is not a clause", "write FROM hop("});
  Check(WithFrom("s WINDOW SESSION (5 MINUTES)").Sql(),
        {"", "line 4, column 8", "sessions are not available yet", "write FROM tumble("});
  Check(WithHaving("EMIT CHANGES").Sql(),
        {"", "line 7, column 1", "EMIT CHANGES is not needed", "leave it out; to see"});
  Check(WithHaving("EMIT FINAL").Sql(),
        {"", "line 7, column 1", "EMIT FINAL is not needed", "leave it out"});
  Check(WithHaving("EMIT ON WINDOW CLOSE").Sql(),
        {"", "line 7, column 1", "EMIT ON WINDOW CLOSE is not needed", "leave it out"});
}

TEST_CASE("declarations of other systems are answered with CREATE TABLE") {
  const auto c = GENERATE(values<Foreign>({
      {"CREATE TABLE s (ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)",
       "line 1, column 34", "WATERMARK FOR is not a clause",
       "write ) WITH (event_time = 'column', watermark_delay = '5 seconds')"},
      {"CREATE STREAM s (a int) WITH (kafka_topic = 'x')", "line 1, column 1",
       "a stream is made with CREATE TABLE", "write CREATE TABLE name"},
      {"CREATE OR REPLACE STREAM s (a int)", "line 1, column 1", "a definition is never replaced",
       "write CREATE TABLE or CREATE MATERIALIZED VIEW"},
      {"CREATE SOURCE s (a int) WITH (connector = 'kafka') FORMAT PLAIN ENCODE JSON",
       "line 1, column 1", "a stream is made with CREATE TABLE", "write CREATE TABLE name"},
      {"CREATE SINK x FROM y", "line 1, column 1", "results need no sink", "leave it out"},
      {"CREATE TABLE s (a int) FORMAT PLAIN ENCODE JSON", "line 1, column 24",
       "FORMAT ... ENCODE is not a clause", "write WITH (format = 'json'"},
      {"CREATE TABLE s (a int) WITH ('connector' = 'kafka')", "line 1, column 29",
       "option names are written without quotes", "write WITH (event_time"},
      {"CREATE TABLE s (`a` int)", "line 1, column 17", "names are quoted with \"", "a name"},
      {"CREATE TABLE s (a int, PRIMARY KEY (a) NOT ENFORCED)", "line 1, column 40",
       "constraints on a table are not supported", "NOT NULL"},
      {"CREATE TABLE s (a int) PARTITIONED BY (a)", "line 1, column 24",
       "PARTITIONED BY is not a clause", "write WITH (partition_key = 'column'"},
      {"CREATE TABLE s (a int) DISTRIBUTED BY (a) INTO 4 BUCKETS", "line 1, column 24",
       "DISTRIBUTED is not a clause", "write WITH (partition_key = 'column'"},
      {"CREATE TABLE s (a int METADATA FROM 'x')", "line 1, column 23", "METADATA columns",
       "declare what is in the events"},
      {"CREATE TABLE s (a string)", "line 1, column 19", "type \"string\" is not supported",
       "write text"},
  }));
  CAPTURE(c.sql);
  Check(c.sql, c);
}

TEST_CASE("a form is looked for in the statement that is wrong, and not in strings or comments") {
  const std::string good = kTable;
  CHECK(ErrorOf(good + "CREATE SINK x; CREATE TABEL y").message.find("results need no sink") !=
        std::string::npos);
  CHECK(ErrorOf(good + "CREATE TABEL y; CREATE SINK x").message.find("syntax error") !=
        std::string::npos);
  CHECK(ErrorOf("CREATE TABEL y -- EMIT CHANGES\n WITH (a = 'EMIT CHANGES')")
            .message.find("EMIT is") == std::string::npos);
}

TEST_CASE("forms that other systems have say what to write, and never what has another value") {
  CheckSays(
      WithFrom("TABLE(CUMULATE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR))")
          .Sql(),
      "windows of this kind are not available yet", "windows are tumble(");
  CheckSays(
      WithFrom("TABLE(SESSION(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' MINUTE))").Sql(),
      "windows of this kind are not available yet", "windows are tumble(");
  CheckSays(WithGroup("window(ts, '10 minutes')").Sql(), "window() is not a function here",
            "write FROM tumble(");
  CheckSays(WithFrom("(SELECT * FROM s)").Sql(), "subqueries are not supported", "filter in WHERE");
  CheckSays(WithFrom("tumble(s, ts, INTERVAL '1 day', offset => INTERVAL '6 hours')").Sql(),
            "OFFSET is a word of SQL", "write \"offset\" => ");
  CheckSays(WithFrom("tumble(s, ts AT TIME ZONE 'Asia/Shanghai', INTERVAL '1 day')").Sql(),
            "takes no AT TIME ZONE",
            "write ts alone, and for local days add an argument: "
            "timezone => 'Asia/Shanghai'");
  CheckSays(WithFrom("tumble(s, ts, INTERVAL '12 hours', timezone => 'Asia/Shanghai')").Sql(),
            "whole days long", "distance from UTC as the offset");
  CheckSays(WithFrom("tumble(s, ts, INTERVAL '1 day', timezone => 'GMT+8')").Sql(),
            "unknown time zone \"GMT+8\"", "'Etc/GMT-8'");
  CheckSays(WithSelect("window_time").Sql(), "unknown column \"window_time\"",
            "the first moment behind it");
  CheckSays(WithSelect("percentile_cont(0.95) WITHIN GROUP (ORDER BY v) AS p").Sql(),
            "percentile_cont() is not available yet", "aggregates are count");
  CheckSays(WithSelect("latest_by_offset(v) AS p").Sql(), "latest_by_offset() is not available yet",
            "aggregates are count");
}

TEST_CASE("columns of other systems say what to write, and never what holds less") {
  const std::string with = ") WITH (event_time = 't', watermark_delay = '1 s');";
  CheckSays("CREATE TABLE s (t timestamptz, n BIGINT UNSIGNED" + with,
            "UNSIGNED is not part of a type", "write bigint: it holds up to");
  CheckSays("CREATE TABLE s (t timestamptz, n uint64" + with, "type \"uint64\" is not supported",
            "write bigint: it holds up");
  CheckSays("CREATE TABLE s (t timestamptz, user text" + with, "syntax error",
            "\"user\" is a word of SQL");
  CheckSays("CREATE TABLE s (t timestamptz PRIMARY KEY" + with, "no meaning for a stream",
            "an event that is sent twice under its number counts once");
  const auto marked = PlanScript(
      "\xef\xbb\xbf"
      "CREATE TABLE s (t timestamptz" +
      with);
  CHECK(marked.ok());
}
