#include "millrace/cli/csv_to_json.h"

#include "cli_test_support.h"
#include "support/catch.h"

namespace millrace::cli {
namespace {

CsvRecord Record(const std::vector<std::string_view>& texts) {
  CsvRecord record;
  for (const std::string_view t : texts) record.fields.push_back({t, false});
  return record;
}

StreamSpec OneColumn(Type type) {
  StreamSpec s;
  s.name = "s";
  s.columns = {{"ts", Type::kTimestamp, false}, {"v", type, false}};
  return s;
}

/// The JSON of column v, or the message of the error.
std::string Converted(Type type, std::string_view text, bool quoted = false) {
  const auto convert = CsvToJson::Create(OneColumn(type), Record({"ts", "v"}));
  REQUIRE(convert.ok());
  CsvRecord record = Record({"", text});
  record.fields[1].quoted = quoted;
  std::string json;
  const Status done = convert->Convert(record, &json);
  return done.ok() ? json : done.error().message;
}

TEST_CASE("a CSV record becomes a JSON object of the declared types") {
  const auto convert = CsvToJson::Create(
      test::Flights().spec,
      Record({"scheduled_at", "origin", "destination", "delay_minutes", "distance_miles"}));
  REQUIRE(convert.ok());
  CHECK(convert->ignored().empty());
  std::string json;
  REQUIRE(convert->Convert(Record({"2001-01-01T00:03:00Z", "LAX", "", "-20", "1946"}), &json).ok());
  CHECK(
      json ==
      R"({"scheduled_at":"2001-01-01T00:03:00Z","origin":"LAX","delay_minutes":-20,"distance_miles":1946})");
}

TEST_CASE("an unquoted empty field is NULL, a quoted one is empty text") {
  CHECK(Converted(Type::kText, "") == "{}");
  CHECK(Converted(Type::kText, "", true) == R"({"v":""})");
  CHECK(Converted(Type::kInt, "") == "{}");
}

TEST_CASE("integers are checked and written as JSON writes them") {
  CHECK(Converted(Type::kInt, "2147483647") == R"({"v":2147483647})");
  CHECK(Converted(Type::kInt, "-007") == R"({"v":-7})");
  CHECK(Converted(Type::kInt, "7", true) == R"({"v":7})");
  CHECK(Converted(Type::kBigint, "-9223372036854775808") == R"({"v":-9223372036854775808})");
  const std::string text = GENERATE("2147483648", "1.0", "1e3", " 1", "1 ", "+1", "x", "0x10");
  CHECK(Converted(Type::kInt, text) ==
        "expected int (-2147483648 to 2147483647), got \"" + text + "\": column=v");
  CHECK(Converted(Type::kInt, "", true) ==
        "expected int (-2147483648 to 2147483647), got \"\": column=v");
  CHECK(Converted(Type::kBigint, "abc") ==
        "expected bigint (-9223372036854775808 to 9223372036854775807), got \"abc\": column=v");
}

TEST_CASE("doubles take every spelling of a number, and its three names") {
  CHECK(Converted(Type::kDouble, "1.50") == R"({"v":1.50})");
  CHECK(Converted(Type::kDouble, "-1E+3") == R"({"v":-1E+3})");
  CHECK(Converted(Type::kDouble, ".5") == R"({"v":0.5})");
  CHECK(Converted(Type::kDouble, "007.") == R"({"v":7})");
  CHECK(Converted(Type::kDouble, "NaN") == R"({"v":"NaN"})");
  CHECK(Converted(Type::kDouble, "-Infinity") == R"({"v":"-Infinity"})");
  const std::string none = GENERATE("1,5", "nan", "-nan", "-NaN", "nan(x)", "inf", "infinity",
                                    "+Infinity", "+5", "+-5", "0x10", " 1", "");
  CHECK(Converted(Type::kDouble, none, true) ==
        "expected double precision (a number, NaN, Infinity or -Infinity), got \"" + none +
            "\": column=v");
}

TEST_CASE("booleans are true and false in any case") {
  CHECK(Converted(Type::kBool, "true") == R"({"v":true})");
  CHECK(Converted(Type::kBool, "False") == R"({"v":false})");
  CHECK(Converted(Type::kBool, "1") == "expected boolean (true or false), got \"1\": column=v");
}

TEST_CASE("text is quoted as JSON wants it") {
  CHECK(Converted(Type::kText, "a\"b\\c\n\x01\xc3\xa9") ==
        "{\"v\":\"a\\\"b\\\\c\\n\\u0001\xc3\xa9\"}");
}

TEST_CASE("columns that the stream lacks are left out and told") {
  const auto convert = CsvToJson::Create(OneColumn(Type::kInt), Record({"x", "ts", "w"}));
  REQUIRE(convert.ok());
  CHECK(convert->ignored() == std::vector<std::string>{"x", "w"});
  std::string json;
  REQUIRE(convert->Convert(Record({"1", "2001-01-01T00:00:00Z", "2"}), &json).ok());
  CHECK(json == R"({"ts":"2001-01-01T00:00:00Z"})");
}

TEST_CASE("a name of the header fits a column that was not quoted whatever its case is") {
  const auto converted = [](const StreamSpec& stream, const std::vector<std::string_view>& header,
                            const std::vector<std::string_view>& record) -> std::string {
    const auto convert = CsvToJson::Create(stream, Record(header));
    if (!convert.ok()) return convert.error().message;
    std::string json;
    REQUIRE(convert->Convert(Record(record), &json).ok());
    return json;
  };
  StreamSpec stream = OneColumn(Type::kInt);
  const std::string ts = "2001-01-01T00:00:00Z";
  CHECK(converted(stream, {"TS", "V"}, {ts, "5"}) == "{\"ts\":\"" + ts + "\",\"v\":5}");
  CHECK(converted(stream, {"V", "Ts", "v"}, {"4", ts, "5"}) == "{\"ts\":\"" + ts + "\",\"v\":5}");
  CHECK(converted(stream, {"TS", "Ts", "v"}, {ts, ts, "5"}) ==
        "two names of the header line fit one column, and neither is equal to it; rename one of "
        "them: names=TS,Ts column=ts");
  stream.columns[1].quoted = true;
  CHECK(converted(stream, {"ts", "V"}, {ts, "5"}) == "{\"ts\":\"" + ts + "\"}");
}

TEST_CASE("a header without a column that every event needs is refused before anything is sent") {
  StreamSpec stream = OneColumn(Type::kInt);
  stream.columns[1].not_null = true;
  const auto convert = CsvToJson::Create(stream, Record({"2001-01-01T00:00:00Z", "5"}));
  REQUIRE(!convert.ok());
  CHECK(convert.error().message ==
        "the first line must name the columns, and these must be among them: ts, v; it names: "
        "2001-01-01T00:00:00Z, 5: stream=s");
  const auto twice = CsvToJson::Create(stream, Record({"ts", "v", "v"}));
  REQUIRE(!twice.ok());
  CHECK(twice.error().message == "the header line names a column twice: column=v");
}

TEST_CASE("a record with another number of fields than the header is an error") {
  const auto convert = CsvToJson::Create(OneColumn(Type::kInt), Record({"ts", "v"}));
  std::string json;
  const Status done = convert->Convert(Record({"2001-01-01T00:00:00Z"}), &json);
  REQUIRE(!done.ok());
  CHECK(done.error().message ==
        "the header has another number of fields: fields=1 header_fields=2");
}

}  // namespace
}  // namespace millrace::cli
