#include <catch2/catch.hpp>
#include <string>

#include "sql_test_support.h"

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
