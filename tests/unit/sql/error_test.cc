#include <string>

#include "millrace/base/utf8.h"
#include "sql_test_support.h"
#include "support/catch.h"

using namespace millrace;
using namespace millrace::sql_test;

namespace {

/// The whole text of an error at `line` and `column` of `script`.
std::string Expected(const std::string& script, int line, int column, const std::string& what,
                     const std::string& hint = "") {
  size_t start = 0;
  for (int i = 1; i < line; ++i) start = script.find('\n', start) + 1;
  const size_t end = std::min(script.find('\n', start), script.size());
  std::string out = "line " + std::to_string(line) + ", column " + std::to_string(column) + ": " +
                    what + "\n" + script.substr(start, end - start) + "\n" +
                    std::string(static_cast<size_t>(column - 1), ' ') + "^";
  if (!hint.empty()) out += "\nhint: " + hint;
  return out;
}

struct Wrong {
  View view;
  int line;
  int column;
  std::string what;
  std::string hint;
};

struct WrongScript {
  std::string sql;
  int column;
  std::string what;
};

}  // namespace

TEST_CASE("an error names line and column, shows the line, points at the place and gives a hint") {
  const auto c = GENERATE(values<Wrong>({
      {WithWhere("v > 0 AND kk = 'a'"), 5, 17, "unknown column \"kk\"", "did you mean \"k\"?"},
      {WithWhere("x.v > 0"), 5, 7, "\"x\" is not in FROM", "write s.v, or the column alone"},
      {WithWhere("j = 'x'"), 5, 11, "a text stands where int is needed: 'x'",
       "write the number without quotes"},
      {WithWhere("k = 1"), 5, 9, "a comparison cannot bring together text and int",
       "write CAST(... AS text)"},
      {WithWhere("j"), 5, 7, "WHERE needs a condition, not int",
       "write a comparison, for example x > 0"},
      {WithWhere("ts > '2001-01-01'"), 5, 12, "not a time: '2001-01-01'",
       "write it as '2001-02-03T04:05:06Z' or '2001-02-03T04:05:06+01:00'"},
      {WithWhere("ts > '9999-12-31T23:59:59.999999-00:01'"), 5, 12,
       "the time is out of range: '9999-12-31T23:59:59.999999-00:01'",
       "times lie between 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z"},
      {WithWhere("ts > timestamptz '-0001-01-01T00:00:00Z'"), 5, 24,
       "the time is out of range: '-0001-01-01T00:00:00Z'",
       "times lie between 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z"},
      {WithWhere("v > 9223372036854775808"), 5, 11, "the number does not fit a bigint",
       "write it with a decimal point to have a double precision"},
      {WithWhere("d > 1e-400"), 5, 11, "the number does not fit a double precision", ""},
      {WithOptions("allowed_lateness = '36525 days 1 us'"), 2, 34,
       "\"allowed_lateness\": longer than 36,525 days: \"36525 days 1 us\"", ""},
      {WithWhere("window_start > ts"), 5, 7,
       "window_start cannot stand in WHERE: an event has no window yet",
       "use the event time, or write the condition in HAVING"},
      {WithWhere("count(*) > 1"), 5, 7, "an aggregate cannot stand in WHERE",
       "write the condition in HAVING"},
      {WithWhere("d % 2 = 0"), 5, 9, "operator % needs int or bigint, not double precision",
       "write CAST(... AS bigint)"},
      {WithWhere("b::bigint = 1"), 5, 8, "cannot cast boolean to bigint",
       "write CASE WHEN x THEN 1 WHEN NOT x THEN 0 END"},
      {WithWhere("k = 'é' AND kk = 'x'"), 5, 19, "unknown column \"kk\"", "did you mean \"k\"?"},
      {WithWhere("ts > now()"), 5, 12,
       "now() is refused: a result is a function of the events alone, so that a replay gives the "
       "same rows",
       "use the event time, window_start or window_end"},
      {WithSelect("j"), 3, 37, "column \"j\" is neither in GROUP BY nor inside an aggregate",
       "add it to GROUP BY, or write for example max(j)"},
      {WithSelect("cuont(*)"), 3, 37, "unknown function cuont()", "did you mean \"count\"?"},
      {WithSelect("sum(max(j))"), 3, 41, "an aggregate cannot stand inside an aggregate", ""},
      {WithSelect("sum(v) / 2 AS x"), 3, 44, "operator / does not take numeric",
       "sum(bigint) is numeric: write CAST(... AS double precision), or CAST(... AS bigint) where "
       "it fits"},
      {WithSelect("count(*) + 1"), 3, 46, "this column has no name",
       "write the expression AS name"},
      {WithSelect("count(*) AS K"), 3, 37, "column \"k\" is there twice",
       "give one of them another name"},
      {WithSelect("count(*) AS \"Window_Date\""), 3, 37,
       "a view cannot have a column \"Window_Date\": readers of its files take the folders for a "
       "column of that name",
       "write the expression AS another name"},
      {WithSelect("count(*) AS _n"), 3, 37,
       "column names that begin with _ are the system's: \"_n\"", "write \"n\""},
      {WithHaving("HAVING n > 2"), 7, 8, "unknown column \"n\"",
       "a name given in SELECT is not known here: write its expression"},
      {WithHaving("ORDER BY k"), 7, 1, "ORDER BY is not supported: a view is a table",
       "order when you read it"},
      {WithGroup("k, window_start"), 6, 10, "GROUP BY must have window_end",
       "write GROUP BY ..., window_start, window_end"},
      {WithGroup("k, j, window_start, window_end"), 6, 13,
       "SELECT does not name this column of GROUP BY",
       "every column of GROUP BY is part of a row's key: add it to SELECT"},
      {WithGroup("9, window_start, window_end"), 6, 10, "GROUP BY position 9 is not in SELECT",
       "SELECT has 4 columns"},
      {WithOptions("allowed_latenes = '1 hour'"), 2, 34,
       "CREATE MATERIALIZED VIEW has no option \"allowed_latenes\"",
       "did you mean \"allowed_lateness\"?"},
      {WithOptions("file_interval = '7 hours'"), 2, 34, "file_interval must divide a day evenly",
       "write for example '15 minutes', '1 hour', '6 hours' or '1 day'"},
      {WithOptions("start = '-300000-01-01T00:00:00Z'"), 2, 34,
       "option \"start\": the time is out of range: '-300000-01-01T00:00:00Z'",
       "times lie between 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z"},
      {WithOptions("emit = 'changes'"), 2, 34, "option \"emit\" is one of 'final', 'updates'", ""},
      {WithFrom("tumble(q, ts, INTERVAL '1 hour')"), 4, 13, "unknown stream \"default.q\"",
       "declare it first: CREATE TABLE q (...) WITH (...); `millrace stream list` shows what there "
       "is"},
      {WithFrom("tumble(s, t2, INTERVAL '1 hour')"), 4, 16, "\"t2\" is not the event time of \"s\"",
       "write tumble(s, ts, ...)"},
      {WithFrom("tumbel(s, ts, INTERVAL '1 hour')"), 4, 6, "unknown window function tumbel()",
       "did you mean \"tumble\"?"},
      {WithFrom("tumble(s, ts, INTERVAL '1 month')"), 4, 29,
       "months and years have no fixed length: \"1 month\"", "write days or weeks"},
      {WithFrom("s"), 4, 6, "\"s\" stands without a window in FROM",
       "write FROM tumble(s, time, INTERVAL '1 hour')"},
      {WithFrom("tumble(s, ts, INTERVAL '1 hour') JOIN x ON true"), 4, 39,
       "joins are not supported: a view reads one stream",
       "write FROM tumble(stream, time, INTERVAL '1 hour') or FROM hop(stream, time, slide, size)"},
      {WithWhere("v >"), 6, 1, "syntax error at or near \"GROUP\"", ""},
  }));
  const std::string sql = c.view.Sql();
  const Error error = ErrorOf(sql);
  CHECK(error.code == Code::kInvalidArgument);
  CHECK(error.message == Expected(sql, c.line, c.column, c.what, c.hint));
}

TEST_CASE("a caret stands below its character whatever tabs stand before it") {
  const std::string message = ErrorOf(WithWhere("\tkk = 1")).message;
  CHECK(message.find("\nWHERE \tkk = 1\n      \t^\n") != std::string::npos);
}

TEST_CASE("of a long line a message shows the piece around its place") {
  // Characters of two bytes, so that a cut in one would be seen.
  std::string many;
  for (int i = 0; i < 3000; ++i) many += "\xc3\xa9";
  const std::string message =
      ErrorOf(WithWhere("k = '" + many + "' AND kk = '" + many + "'")).message;
  CHECK(message.size() < 1000);
  CHECK(Utf8Prefix(message) == message.size());
  const size_t shown = message.find("\n...");
  REQUIRE(shown != message.npos);
  const size_t next = message.find('\n', shown + 1);
  const size_t end = message.find('\n', next + 1);
  CHECK(message.substr(next - 3, 3) == "...");
  CHECK(message.substr(next + 1, end - next - 1) == std::string(153, ' ') + "^");
  // 150 characters, the last six of them of one byte.
  const std::string before = message.substr(shown + 4, 2 * 144 + 6);
  CHECK(before.substr(0, 4) == "\xc3\xa9\xc3\xa9");
  CHECK(message.substr(shown + 4 + before.size(), 2) == "kk");
}

TEST_CASE("what is right but not built yet is a conflict, and says so") {
  const auto view = GENERATE(values<View>({
      WithFrom("session(s, ts, INTERVAL '5 seconds')"),
      WithFrom("cumulate(s, ts, INTERVAL '1 minute', INTERVAL '5 minutes')"),
      WithSelect("stddev_samp(j) AS x"),
      WithSelect("var_pop(j) AS x"),
      WithSelect("first_value(j) AS x"),
      WithSelect("bool_and(b) AS x"),
      WithSelect("count(DISTINCT j) AS x"),
      WithSelect("approx_count_distinct(j) AS x"),
      WithSelect("approx_percentile(d, 0.5) AS x"),
      WithWhere("k LIKE 'a%'"),
      WithWhere("upper(k) = 'A'"),
      WithWhere("extract(hour FROM ts) = 1"),
      WithWhere("trim(k) = ''"),
      WithWhere("k -> 'a' = 'b'"),
      WithWhere("k || 'a' = 'b'"),
  }));
  const Error error = ErrorOf(view);
  CAPTURE(error.message);
  CHECK(error.code == Code::kConflict);
  CHECK(error.message.find("not available yet") != std::string::npos);
}

TEST_CASE("a refusal names what the script says and what to write instead") {
  struct Refused {
    View view;
    int column;
    std::string what;
    std::string hint;
  };
  const std::string scalars =
      "functions of one row are coalesce and nullif, beside CASE, CAST and + - * / %; send what "
      "else you need as a column of its own";
  const std::string no_pattern = "compare with =, <> or IN (...)";
  const std::string cast = "write CAST(... AS bigint) or CAST(... AS double precision)";
  const auto c = GENERATE_COPY(values<Refused>({
      {WithWhere("trim(k) = 'a'"), 7, "trim() is not available yet", scalars},
      {WithWhere("trim(leading from k) = 'a'"), 7, "trim() is not available yet", scalars},
      {WithWhere("btrim(k) = 'a'"), 7, "btrim() is not available yet", scalars},
      {WithWhere("ltrim(k) = 'a'"), 7, "ltrim() is not available yet", scalars},
      {WithWhere("ts AT TIME ZONE 'UTC' > ts"), 10, "AT TIME ZONE is not available yet",
       "for windows of local days write tumble(stream, time, INTERVAL '1 day', timezone => "
       "'Europe/Berlin')"},
      {WithWhere("extract(hour FROM ts) = 1"), 7, "extract() is not available yet",
       "windows are made in FROM; send another part of a time as a column of its own"},
      {WithWhere("mod(j, 2) = 1"), 7, "mod() is not available yet", "write a % b"},
      {WithWhere("upper(k) = 'A'"), 7, "upper() is not available yet", scalars},
      {WithWhere("k LIKE 'a'"), 9, "LIKE is not available yet", no_pattern},
      {WithWhere("k NOT ILIKE 'a'"), 9, "ILIKE is not available yet", no_pattern},
      {WithWhere("k SIMILAR TO 'a'"), 9, "SIMILAR TO is not available yet", no_pattern},
      {WithWhere("(ts, ts) OVERLAPS (ts, ts)"), 16, "OVERLAPS is not supported",
       "compare the four times with < and AND"},
      {WithWhere("k + 'a' = 'b'"), 9, "operator + needs numbers, not text",
       cast + "; texts are joined when you read them"},
      {WithWhere("k * 2 = 4"), 9, "operator * needs numbers, not text", cast},
      {WithWhere("'1' + 1 = 2"), 11, "operator + needs numbers, not text",
       "write the number without quotes"},
      {WithWhere("b + 1 = 2"), 9, "operator + needs numbers, not boolean",
       "write CASE WHEN x THEN 1 WHEN NOT x THEN 0 END"},
      {WithWhere("ts - ts = 2"), 10, "operator - needs numbers, not timestamptz",
       "compare times with times; windows are made in FROM"},
      {WithWhere("-k = 4"), 7, "operator - needs a number, not text", cast},
      {WithSelect("sum(DISTINCT j) AS x"), 37, "DISTINCT in sum() is not supported",
       "GROUP BY the column and take the sum of its values when you read"},
      {WithSelect("max(DISTINCT j) AS x"), 37, "DISTINCT in max() is not supported",
       "leave it out"},
      {WithSelect("max(j, v) AS x"), 37, "max() takes one argument",
       "write max(CASE WHEN a > b THEN a ELSE b END)"},
      {WithSelect("min(j, v) AS x"), 37, "min() takes one argument",
       "write min(CASE WHEN a < b THEN a ELSE b END)"},
      {WithSelect("sum(j, v) AS x"), 37, "sum() takes one argument",
       "write sum(a + b), or sum(a) and sum(b)"},
      {WithSelect("avg() AS x"), 37, "avg() takes one argument", "write avg(column)"},
      {WithSelect("sum(*) AS x"), 37, "sum() needs a column, not *",
       "write sum(column), or count(*) for the number of rows"},
  }));
  const std::string sql = c.view.Sql();
  CHECK(ErrorOf(sql).message ==
        Expected(sql, c.view.where.empty() ? 3 : 5, c.column, c.what, c.hint));
}

TEST_CASE("what the script writes without parentheses is named without them") {
  CHECK(ErrorOf(WithWhere("ts > current_timestamp"))
            .message.find(": current_timestamp is refused:") != std::string::npos);
  CHECK(ErrorOf(WithWhere("ts > localtimestamp(3)")).message.find(": localtimestamp is refused:") !=
        std::string::npos);
  CHECK(ErrorOf(WithWhere("ts > now()")).message.find(": now() is refused:") != std::string::npos);
}

TEST_CASE("functions whose value is not in the log are refused with the reason") {
  const std::string call =
      GENERATE("now()", "current_timestamp", "current_date", "localtimestamp(3)", "random()",
               "clock_timestamp()", "gen_random_uuid()", "current_user");
  const Error error = ErrorOf(WithWhere("j = 1 OR " + call + " IS NULL"));
  CAPTURE(error.message);
  CHECK(error.code == Code::kInvalidArgument);
  CHECK(error.message.find("is refused: a result is a function of the events alone") !=
        std::string::npos);
}

TEST_CASE("other statements and clauses are refused with what to write instead") {
  const std::string view = "CREATE MATERIALIZED VIEW v AS ";
  const auto c = GENERATE_COPY(values<WrongScript>({
      {"SELECT 1", 1, "a query stands in a view"},
      {"  -- why\n INSERT INTO s VALUES (1)", 2, "events do not come in by INSERT"},
      {"CREATE VIEW v AS SELECT 1", 1, "plain views are not supported"},
      {"DROP VIEW s", 1, "write DROP TABLE stream or DROP MATERIALIZED VIEW view"},
      {"DROP TABLE s CASCADE", 14, "drop the views by their names"},
      {"DROP TABLE a.b.c", 6, "at most two parts"},
      {"DROP TABLE s, \"S\"", 12, "not a name for a stream"},
      {"ALTER TABLE s ADD COLUMN x int", 1, "never changed in place"},
      {"ALTER TABLE s SET (ticks = off)", 20, "ALTER TABLE has no option \"ticks\""},
      {"ALTER TABLE s SET (keep_for = '0 s')", 20, "must be more than 0"},
      {"ALTER TABLE IF EXISTS s SET (keep_for = '1 s')", 1, "IF EXISTS is not supported here"},
      {"ALTER TABLE s SET (keep_for = '1 s'), RESET (keep_for)", 1, "never changed in place"},
      {"ALTER MATERIALIZED VIEW s SET (keep_for = '1 s')", 1, "never changed in place"},
      {"CREATE TABLE s AS SELECT 1", 1, "it has no AS SELECT"},
      {"CREATE TEMP TABLE s (a int)", 1, "TEMPORARY and UNLOGGED"},
      {"CREATE TABLE IF NOT EXISTS s (a int)", 1, "IF NOT EXISTS is not needed"},
      {"CREATE TABLE s (a int, CHECK (a > 1))", 24, "constraints on a table"},
      {"CREATE TABLE s (a int DEFAULT 3)", 23, "DEFAULT is not supported"},
      {"CREATE TABLE s (a int PRIMARY KEY)", 23, "PRIMARY KEY and UNIQUE"},
      {"CREATE TABLE s (a text COLLATE \"C\")", 24, "COLLATE is not supported"},
      {"CREATE TABLE s (a timestamp)", 19, "write timestamptz"},
      {"CREATE TABLE s (a numeric(3, 2))", 19, "type \"numeric\" is not supported"},
      {"CREATE TABLE s (a varchar(10))", 19, "a length or precision"},
      {"CREATE TABLE s (a int[])", 19, "arrays are not supported"},
      {"CREATE TABLE s (a json)", 19, "json is not available yet"},
      {"CREATE TABLE s ()", 14, "a stream needs columns"},
      {"CREATE TABLE s (_a int)", 17, "column names that begin with _"},
      {"CREATE TABLE s (a int, \"A\" int)", 24, "is there twice"},
      {"CREATE TABLE s (window_start timestamptz)", 17, "the bound of its window"},
      {"CREATE TABLE \"S\" (a int)", 14, "not a name for a stream: \"S\""},
      {"CREATE TABLE a.b.c (a int)", 14, "at most two parts"},
      {"CREATE TABLE s (t timestamptz)", 14, "option \"event_time\" is missing"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 't')", 14,
       "option \"watermark_delay\" is missing"},
      {"CREATE TABLE s (t text) WITH (event_time = 't', watermark_delay = '1 s')", 31,
       "must be a timestamptz column"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 'x', watermark_delay = '1 s')", 38,
       "names no column"},
      {"CREATE TABLE s (t timestamptz, VendorID int) WITH (event_time = 't', watermark_delay = '1 "
       "s', partition_key = 'VendorID')",
       95,
       "write 'vendorid': a column that is not quoted has its name in lower case, and events may "
       "spell it \"VendorID\" all the same"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 't', watermark_delay = 5)", 56,
       "needs an interval"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 't', watermark_delay = '-1 s')", 56,
       "must not be negative"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 't', watermark_delay = '1 s', "
       "partitions = -4)",
       81, "a whole number from 1 to 1024"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 't', watermark_delay = '1 s', "
       "partitioned_by_key)",
       81, "needs a partition_key"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 't', watermark_delay = '1 s', ticks = "
       "2)",
       81, "is on or off"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 't', watermark_delay = '1 s', topic = "
       "'a b')",
       81, "not a topic name"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 't', watermark_delay = '1 s', foreign, "
       "partitions = 2, format = 'arrow')",
       106, "others do not write blocks of ours"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 't', watermark_delay = '1 s', foreign)",
       14, "write as many as the topic has"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 't', watermark_delay = '1 s', foreign, "
       "partitions = 2, keep_for = '1 day')",
       106, "nothing is deleted from a topic that others made"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 't', watermark_delay = '1 s', foreign, "
       "partitions = 2, partition_key = 't')",
       106, "add partitioned_by_key = on"},
      {"CREATE TABLE s (t timestamptz) WITH (event_time = 't', event_time = 't')", 56,
       "is given twice"},
      {"CREATE TABLE s (t timestamptz) WITH (kafka_topic = 't')", 38, "write topic = '...'"},
      {view + "SELECT 1", 31, "the view reads no stream"},
      {view + "SELECT 1 UNION SELECT 2", 40, "UNION is not supported"},
      {view + "WITH q AS (SELECT 1) SELECT 1 FROM q", 31, "WITH queries are not supported"},
      {view + "SELECT DISTINCT 1", 38, "DISTINCT is not supported"},
      {view + "SELECT 1 LIMIT 3", 40, "LIMIT is not supported"},
      {view + "SELECT 1 FROM (SELECT 1) x", 40, "subqueries are not supported"},
      {view + "SELECT (SELECT 1) FROM x", 38, "subqueries are not supported"},
      {view + "SELECT * FROM x", 38, "* is not supported"},
      {view + "SELECT sum(x) OVER () FROM x", 38, "OVER is not supported"},
      {view + "VALUES (1)", 31, "VALUES is not supported"},
      {"CREATE MATERIALIZED VIEW r_late AS SELECT 1 FROM tumble(a, b, c)", 26,
       "cannot end in _late"},
  }));
  const std::string message = ErrorOf(c.sql).message;
  CAPTURE(message);
  CHECK(message.find(", column " + std::to_string(c.column) + ": ") != std::string::npos);
  CHECK(message.find(c.what) != std::string::npos);
}

TEST_CASE("a name stands for one stream or view of its namespace") {
  const std::string table =
      "CREATE TABLE s (ts timestamptz) WITH (event_time = 'ts', watermark_delay = '0 s');";
  CHECK(ErrorOf(table + table).message.find("\"default.s\" is defined already") !=
        std::string::npos);
  View view;
  CHECK(ErrorOf(view.Sql() + ";\n" + view.Sql().substr(kTable.size()))
            .message.find("line 8, column 26: \"default.r\" is defined already") == 0);
}

TEST_CASE("a view and its stream share a namespace") {
  View view = WithFrom("tumble(other.s, ts, INTERVAL '1 hour')");
  CHECK(ErrorOf(view).message.find(
            "the view is in namespace \"default\", the stream in \"other\"") != std::string::npos);
}

TEST_CASE("a script that is no text, too long or empty is refused") {
  CHECK(ErrorOf(std::string("SELECT \xff")).message ==
        "line 1, column 8: the script is not UTF-8 text from here on\nSELECT \n       ^");
  CHECK(ErrorOf(std::string("SELECT\0 1", 9)).message.find("not UTF-8") != std::string::npos);
  CHECK(ErrorOf(std::string(kMaxScriptBytes + 1, ' ')).message.find("at most 65,536 bytes") !=
        std::string::npos);
  CHECK(ErrorOf(" -- nothing\n;").message.find("has no statement") != std::string::npos);
}

TEST_CASE("the longest script that nests at every second byte is refused, not a crash") {
  std::string deep = "SELECT 1";
  while (deep.size() + 2 <= kMaxScriptBytes) deep += "+1";
  CHECK(ErrorOf(deep).code == Code::kInvalidArgument);
  CHECK(ErrorOf("SELECT " + std::string(60'000, '(')).message.find("nested too deeply") !=
        std::string::npos);
}
