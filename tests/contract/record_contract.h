#pragma once

#include <cmath>
#include <random>

#include "millrace/model/row.h"
#include "millrace/record/record_parser.h"
#include "support/catch.h"

namespace millrace::test {

inline StreamSpec RecordStream() {
  StreamSpec s;
  s.name = "s";
  s.columns = {{"ts", Type::kTimestamp, true},  {"k", Type::kText, true},
               {"i", Type::kInt, false},        {"b", Type::kBigint, false},
               {"d", Type::kDouble, false},     {"o", Type::kBool, false},
               {"u", Type::kTimestamp, false},  {"quo\"te", Type::kInt, false, true},
               {"vendorid", Type::kInt, false}, {"Exact", Type::kInt, false, true}};
  s.event_time = 0;
  return s;
}

/// What every body of the port `record` promises (docs/formats/json.md).
inline void CheckRecordContract(const RecordParsers& parsers) {
  const StreamSpec stream = RecordStream();
  const auto parser = parsers.ForStream(stream);
  BatchBuilder out(stream);
  out.BeginRecord(Offset(0), 0);
  /// A batch of one row: what the parser appended, and NULL.
  const auto row = [&] {
    out.EndRow(-1, 0);
    EventBatch batch = out.Build();
    out.BeginRecord(Offset(0), 0);
    return batch;
  };
  const auto reason = [&](std::string_view json) {
    const auto verdict = parser->Parse(json, &out);
    CHECK(verdict.detail.empty() == (verdict.reason == Reason::kNone));
    const EventBatch batch = row();
    if (verdict.reason != Reason::kNone)
      for (const Column& c : batch.columns) REQUIRE(c.IsNull(0));
    return verdict.reason;
  };
  /// The value of `column` in an event that has `member` beside what it must have.
  const auto value = [&](const std::string& column, const std::string& member) -> std::string {
    const auto verdict =
        parser->Parse(R"({"ts":"2001-01-01T00:00:00Z","k":"a",)" + member + "}", &out);
    if (verdict.reason != Reason::kNone) return std::string(ReasonName(verdict.reason));
    const EventBatch batch = row();
    std::string text;
    for (size_t i = 0; i < stream.columns.size(); ++i)
      if (stream.columns[i].name == column) text = ValueText(Value::From(batch.columns[i], 0));
    return text;
  };

  SECTION("a whole event gives its values in the order of the columns") {
    const auto verdict = parser->Parse(
        "  {\"o\" : true , \"u\":null,\n\"k\":\"caf\\u00e9 \\\"x\\\"\",\"i\":-7,\"other\":"
        "{\"deep\":[1,{\"a\":\"\\n\"},[]]},\"d\":1e3,\"ts\":\"2001-01-01T00:00:00.5Z\"}\n",
        &out);
    REQUIRE(verdict.reason == Reason::kNone);
    out.EndRow(-1, 0);
    const EventBatch batch = out.Build();
    const auto text = [&](size_t c) { return ValueText(Value::From(batch.columns[c], 0)); };
    CHECK(text(0) == "2001-01-01T00:00:00.500000Z");
    CHECK(text(1) == "caf\xc3\xa9 \"x\"");
    CHECK(text(2) == "-7");
    CHECK(text(3) == "NULL");
    CHECK(text(4) == "1000");
    CHECK(text(5) == "true");
    CHECK(text(6) == "NULL");
  }

  SECTION("of equal members the last counts, whatever the others hold") {
    CHECK(value("i", R"("i":"x","i":5)") == "5");
    CHECK(value("i", R"("i":5,"i":null)") == "NULL");
    CHECK(value("i", R"("i":5,"i":"x")") == "WRONG_TYPE");
    CHECK(value("i", R"("i":5,"\u0069":6)") == "6");
    CHECK(value("k", R"("k":null,"k":"\ud83d\ude00")") == "\xf0\x9f\x98\x80");
  }

  SECTION("names are compared after unescaping, and whole") {
    CHECK(value("quo\"te", R"("quo\"te":3)") == "3");
    CHECK(value("i", R"("ii":1,"":2)") == "NULL");
  }

  SECTION("a column that was not quoted takes a name that is equal but for case") {
    CHECK(value("vendorid", R"("VendorID":5)") == "5");
    CHECK(value("vendorid", R"("Vendor\u0049D":5)") == "5");
    CHECK(value("vendorid", R"("VendorID":5,"VendorID":6)") == "6");
    CHECK(value("vendorid", R"("VendorID":"x")") == "WRONG_TYPE");
    CHECK(value("vendorid", R"("VendorID":null)") == "NULL");
    CHECK(value("vendorid", "\"vendor\xc4\xb1\x64\":5") == "NULL");
    CHECK(value("vendorid", R"("vendorid_":5,"Vendor":6)") == "NULL");
  }

  SECTION("the equal name wins, wherever it stands and whatever else there is") {
    CHECK(value("vendorid", R"("VendorID":5,"vendorid":6)") == "6");
    CHECK(value("vendorid", R"("vendorid":6,"VendorID":5)") == "6");
    CHECK(value("vendorid", R"("VendorID":"x","vendorid":6,"VENDORID":[7])") == "6");
    CHECK(value("vendorid", R"("VendorID":5,"VENDORID":7,"vendorid":null)") == "NULL");
  }

  SECTION("two names that fit make the event unreadable, and it says which") {
    const auto verdict =
        parser->Parse(R"({"ts":"2001-01-01T00:00:00Z","k":"a","VendorID":5,"VENDORID":5})", &out);
    CHECK(verdict.reason == Reason::kUnreadable);
    CHECK(verdict.detail ==
          "column vendorid: two members fit it and neither has its name, so which one counts? "
          "VendorID, VENDORID");
    CHECK(reason(R"({"VendorID":5,"VENDORID":5})") == Reason::kUnreadable);
    CHECK(value("vendorid", R"("VendorID":8)") == "8");
  }

  SECTION("a column that was quoted takes its own name only") {
    CHECK(value("Exact", R"("Exact":1)") == "1");
    CHECK(value("Exact", R"("exact":1,"EXACT":2)") == "NULL");
    CHECK(value("quo\"te", R"("QUO\"te":3)") == "NULL");
  }

  SECTION("integers are integers in range") {
    struct Case {
      const char* json;
      const char* as_int;
      const char* as_bigint;
    };
    const Case c =
        GENERATE(values<Case>({{"0", "0", "0"},
                               {"-0", "0", "0"},
                               {"2147483647", "2147483647", "2147483647"},
                               {"-2147483648", "-2147483648", "-2147483648"},
                               {"2147483648", "WRONG_TYPE", "2147483648"},
                               {"9223372036854775807", "WRONG_TYPE", "9223372036854775807"},
                               {"-9223372036854775808", "WRONG_TYPE", "-9223372036854775808"},
                               {"9223372036854775808", "WRONG_TYPE", "WRONG_TYPE"},
                               {"-9223372036854775809", "WRONG_TYPE", "WRONG_TYPE"},
                               {"123456789012345678901234567890", "WRONG_TYPE", "WRONG_TYPE"},
                               {"18446744073709551616", "WRONG_TYPE", "WRONG_TYPE"},
                               {"1.0", "WRONG_TYPE", "WRONG_TYPE"},
                               {"1e0", "WRONG_TYPE", "WRONG_TYPE"},
                               {"true", "WRONG_TYPE", "WRONG_TYPE"},
                               {"[1]", "WRONG_TYPE", "WRONG_TYPE"},
                               {"{}", "WRONG_TYPE", "WRONG_TYPE"},
                               {"\"1\"", "WRONG_TYPE", "1"},
                               {"\"-9223372036854775808\"", "WRONG_TYPE", "-9223372036854775808"},
                               {"\"9223372036854775808\"", "WRONG_TYPE", "WRONG_TYPE"},
                               {"\" 1\"", "WRONG_TYPE", "WRONG_TYPE"},
                               {"\"1.0\"", "WRONG_TYPE", "WRONG_TYPE"},
                               {"\"01\"", "WRONG_TYPE", "WRONG_TYPE"},
                               {"\"\"", "WRONG_TYPE", "WRONG_TYPE"}}));
    INFO(c.json);
    CHECK(value("i", std::string("\"i\":") + c.json) == c.as_int);
    CHECK(value("b", std::string("\"b\":") + c.json) == c.as_bigint);
  }

  SECTION("doubles are any number in range and three names") {
    CHECK(value("d", R"("d":0.1)") == "0.1");
    CHECK(value("d", R"("d":-1)") == "-1");
    CHECK(value("d", R"("d":9007199254740993)") == FormatDouble(9007199254740992.0));
    CHECK(value("d", R"("d":123456789012345678901234567890)") == "1.2345678901234568e+29");
    CHECK(value("d", R"("d":-0.0)") == "-0");
    CHECK(value("d", R"("d":1e-400)") == "0");
    CHECK(value("d", R"("d":-0.00000001e-400)") == "-0");
    CHECK(value("d", R"("d":5e-324)") == "5e-324");
    CHECK(value("d", R"("d":1e400)") == "WRONG_TYPE");
    CHECK(value("d", R"("d":1e99999999999999999999)") == "WRONG_TYPE");
    CHECK(value("d", R"("d":1e-99999999999999999999)") == "0");
    CHECK(value("d", R"("d":0e99999999999999999999)") == "0");
    CHECK(value("d", R"("d":"NaN")") == "NaN");
    CHECK(value("d", R"("d":"Infinity")") == "Infinity");
    CHECK(value("d", R"("d":"-Infinity")") == "-Infinity");
    CHECK(value("d", R"("d":"nan")") == "WRONG_TYPE");
    CHECK(value("d", R"("d":"1")") == "WRONG_TYPE");
    CHECK(value("d", R"("d":NaN)") == "UNREADABLE");
  }

  SECTION("decimals read as the nearest double") {
    std::mt19937 random(5);
    for (int i = 0; i < 3'000; ++i) {
      std::string text = random() % 2 ? "-" : "";
      text += std::to_string(random() % (1u << random() % 32));
      if (random() % 4) text += "." + std::to_string(random() % (1u << random() % 32));
      if (random() % 4 == 0) text += "e" + std::to_string(static_cast<int>(random() % 80) - 40);
      CHECK(value("d", "\"d\":" + text) == FormatDouble(std::strtod(text.c_str(), nullptr)));
    }
  }

  SECTION("booleans, texts and times take nothing else") {
    CHECK(value("o", R"("o":false)") == "false");
    CHECK(value("o", R"("o":0)") == "WRONG_TYPE");
    CHECK(value("o", R"("o":"true")") == "WRONG_TYPE");
    CHECK(value("k", R"("k":"")") == "");
    CHECK(value("k", R"("k":1)") == "WRONG_TYPE");
    CHECK(value("u", R"("u":"1999-12-31T23:59:59.123456-00:30")") == "2000-01-01T00:29:59.123456Z");
    CHECK(value("u", R"("u":"2004-02-29T00:00:00.1Z")") == "2004-02-29T00:00:00.100000Z");
    CHECK(value("u", R"("u":"2001-02-29T00:00:00Z")") == "WRONG_TYPE");
    CHECK(value("u", R"("u":"2001-01-01T00:00:00")") == "WRONG_TYPE");
    CHECK(value("u", R"("u":"2001-01-01")") == "WRONG_TYPE");
    CHECK(value("u", R"("u":0)") == "WRONG_TYPE");
    CHECK(value("u", R"("u":"10000-01-01T00:00:00Z")") == "WRONG_TYPE");
    CHECK(value("u", R"("u":"0001-01-01T00:00:00+00:01")") == "WRONG_TYPE");
  }

  SECTION("every usual time reads as the general parser has it") {
    std::mt19937_64 random(7);
    for (int i = 0; i < 3'000; ++i) {
      const Micros t =
          kMinEventTime +
          static_cast<Micros>(random() % static_cast<uint64_t>(kMaxEventTime - kMinEventTime));
      std::string text = FormatTimestamp(t);
      CHECK(value("u", "\"u\":\"" + text + "\"") == text);
      text[random() % text.size()] = "09-:TZ.x"[random() % 8];
      const auto expected = ParseTimestamp(text);
      INFO(text);
      if (expected.ok() && *expected >= kMinEventTime && *expected <= kMaxEventTime) {
        CHECK(value("u", "\"u\":\"" + text + "\"") == FormatTimestamp(*expected));
      } else {
        CHECK(value("u", "\"u\":\"" + text + "\"") == "WRONG_TYPE");
      }
    }
  }

  SECTION("the verdict is the first reason that holds for any column") {
    const std::string ok = R"("ts":"2001-01-01T00:00:00Z","k":"a")";
    CHECK(reason("{" + ok + "}") == Reason::kNone);
    CHECK(reason("{" + ok + R"(,"i":"x","k":null})") == Reason::kMissingColumn);
    CHECK(reason(R"({"ts":7})") == Reason::kMissingColumn);
    CHECK(reason(R"({"ts":7,"k":"a"})") == Reason::kWrongType);
    CHECK(reason(R"({"ts":null,"k":7})") == Reason::kWrongType);
    CHECK(reason(R"({"k":"a"})") == Reason::kNullEventTime);
    CHECK(reason(R"({"k":"a","ts":null})") == Reason::kNullEventTime);
    CHECK(reason(R"({"k":"a","i":"x","ts":"10000-01-01T00:00:00Z"})") == Reason::kWrongType);
    CHECK(reason("{" + ok + R"(,"i":"x","z":tru})") == Reason::kUnreadable);
    CHECK(reason("{}") == Reason::kMissingColumn);
  }

  SECTION("event times outside the range are out of range, not of the wrong type") {
    const auto at = [&](const std::string& t) {
      return reason("{\"k\":\"a\",\"ts\":\"" + t + "\"}");
    };
    CHECK(at("0001-01-01T00:00:00Z") == Reason::kNone);
    CHECK(at("9999-12-31T23:59:59.999999Z") == Reason::kNone);
    CHECK(at("0001-01-01T00:00:00+00:01") == Reason::kEventTimeOutOfRange);
    CHECK(at("9999-12-31T23:59:59.999999-00:01") == Reason::kEventTimeOutOfRange);
    CHECK(at("10000-01-01T00:00:00Z") == Reason::kEventTimeOutOfRange);
    CHECK(at("0000-12-31T23:59:59Z") == Reason::kEventTimeOutOfRange);
    CHECK(at("-1998-01-01T00:00:00.000000Z") == Reason::kEventTimeOutOfRange);
    CHECK(at(FormatTimestamp(-125'186'256'000 * kSecond)) == Reason::kEventTimeOutOfRange);
    CHECK(at("10000-13-01T00:00:00Z") == Reason::kWrongType);
    CHECK(at("98-01-01T00:00:00Z") == Reason::kWrongType);
    CHECK(at("") == Reason::kWrongType);
  }

  SECTION("what is not one JSON object is unreadable") {
    const std::string ok = R"({"ts":"2001-01-01T00:00:00Z","k":"a")";
    for (const std::string& bad : {std::string(),
                                   std::string(" "),
                                   std::string("null"),
                                   std::string("[]"),
                                   std::string("7"),
                                   std::string("\"x\""),
                                   ok,
                                   ok + "}}",
                                   ok + "} x",
                                   ok + "}{}",
                                   ok + "},",
                                   "," + ok + "}",
                                   ok + ",}",
                                   ok + ",,\"i\":1}",
                                   ok + " \"i\":1}",
                                   ok + ",\"i\" 1}",
                                   ok + ",\"i\":}",
                                   ok + ",\"i\":1 2}",
                                   ok + ",i:1}",
                                   ok + ",\"i\":01}",
                                   ok + ",\"i\":1.}",
                                   ok + ",\"i\":.5}",
                                   ok + ",\"i\":+1}",
                                   ok + ",\"i\":1e}",
                                   ok + ",\"i\":-}",
                                   ok + ",\"i\":0x1}",
                                   ok + ",\"i\":nul}",
                                   ok + ",\"i\":nulll}",
                                   ok + ",\"i\":'a'}",
                                   ok + ",\"k\":\"\\x\"}",
                                   ok + ",\"z\":\"\\u12\"}",
                                   ok + ",\"\\x\":1}",
                                   ok + ",\"z\":[1,2}",
                                   ok + ",\"z\":[1 2]}",
                                   ok + ",\"z\":[1,]}",
                                   ok + ",\"z\":{\"a\":1,}}",
                                   ok + ",\"z\":{1:2}}",
                                   ok + ",\"z\":[}]}",
                                   ok + ",\"z\":{\"\\x\":1}}",
                                   ok + ",\"z\":[01]}",
                                   ok + ",\"i\":[tru]}",
                                   ok + ",\"k\":\"a\nb\"}",
                                   ok + ",\"k\":\"\xff\"}",
                                   ok + ",\"z\":\"\xed\xa0\x80\"}",
                                   ok + ",\"k\":\"a\"b}",
                                   ok + ",\"k\":\"a}",
                                   ok + "}" + std::string(1, '\0')}) {
      INFO(bad);
      CHECK(reason(bad) == Reason::kUnreadable);
    }
  }

  SECTION("nesting is bounded") {
    const auto nested = [&](size_t n) {
      return R"({"ts":"2001-01-01T00:00:00Z","k":"a","z":)" + std::string(n, '[') +
             std::string(n, ']') + "}";
    };
    CHECK(reason(nested(60)) == Reason::kNone);
    CHECK(reason(nested(70)) == Reason::kUnreadable);
    CHECK(reason(nested(400'000)) == Reason::kUnreadable);
  }

  SECTION("payloads of any size follow each other in one parser") {
    for (const size_t n : {10u, 100'000u, 20u, 999'000u, 1u}) {
      const std::string text(n, 'x');
      CHECK(value("k", "\"k\":\"" + text + "\"") == text);
    }
  }

  SECTION("the detail names the column, what was found and what was expected") {
    const auto verdict =
        parser->Parse(R"({"ts":"2001-01-01T00:00:00Z","k":"a","i":"seven"})", &out);
    CHECK(verdict.detail.find("column i") != std::string::npos);
    CHECK(verdict.detail.find("seven") != std::string::npos);
    CHECK(verdict.detail.find("integer") != std::string::npos);
  }
}

}  // namespace millrace::test
