#include <simdjson.h>

#include "contract/record_contract.h"
#include "millrace/record_simdjson/json_record_parser.h"

using namespace millrace;

TEST_CASE("JSON records keep the contract of records") {
  test::CheckRecordContract(record_simdjson::JsonRecordParsers());
}

TEST_CASE("damaged JSON is unreadable exactly where a validating parser refuses it") {
  const StreamSpec stream = test::RecordStream();
  const auto parser = record_simdjson::JsonRecordParsers().ForStream(stream);
  BatchBuilder out(stream);
  out.BeginRecord(Offset(0), 0);
  simdjson::dom::parser reference;
  const std::string good =
      R"({"ts":"2001-01-01T00:00:00Z","k":"a\u00e9b","i":-12,"z":{"a":[1,2.5e3,"x\n"],"b":{}},)"
      R"("b":"7","o":true,"n":null,"y":[[],[{}]],"d":0.25})";
  std::mt19937 random(3);
  int readable = 0;
  int unreadable = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string json = good;
    for (size_t k = 0; k < 1 + random() % 3; ++k) {
      const size_t at = random() % json.size();
      static constexpr char kLikely[] = "{}[]:,\"\\ 0-+.eEtfnu\n\xc3";
      switch (random() % 4) {
        case 0:
          json[at] = kLikely[random() % (sizeof kLikely - 1)];
          break;
        case 1:
          json.erase(at, 1 + random() % 3);
          break;
        case 2:
          json.insert(at, 1, kLikely[random() % (sizeof kLikely - 1)]);
          break;
        default:
          std::swap(json[at], json[random() % json.size()]);
      }
      if (json.empty()) json = "x";
    }
    simdjson::dom::object object;
    const auto error = reference.parse(json).get(object);
    const auto verdict = parser->Parse(json, &out);
    if (verdict.reason == Reason::kNone) out.AbandonRow();
    INFO(json << " -> " << simdjson::error_message(error) << " / " << verdict.detail);
    REQUIRE((verdict.reason == Reason::kUnreadable) == (error != simdjson::SUCCESS));
    error != simdjson::SUCCESS ? ++unreadable : ++readable;
  }
  CHECK(readable > 1'000);
  CHECK(unreadable > 1'000);
}

TEST_CASE("a parser that has learned a shape gives what a new one gives") {
  const StreamSpec stream = test::RecordStream();
  const record_simdjson::JsonRecordParsers parsers;
  const auto learned = parsers.ForStream(stream);
  BatchBuilder out(stream);
  out.BeginRecord(Offset(0), 0);
  const auto parse = [&](RecordParser& parser, const std::string& json) {
    const auto verdict = parser.Parse(json, &out);
    std::string text = std::string(ReasonName(verdict.reason)) + " " + verdict.detail;
    if (verdict.reason != Reason::kNone) return text;
    out.EndRow(-1, 0);
    const EventBatch batch = out.Build();
    out.BeginRecord(Offset(0), 0);
    for (const Column& c : batch.columns) text += "|" + ValueText(Value::From(c, 0));
    return text;
  };
  const std::string shapes[] = {
      R"({"ts":"2001-01-01T00:00:00Z","k":"a text of some length","i":-12,"x":"y","b":"7","d":0.25,)"
      R"("n":null,"o":true})",
      R"({ "k" : "", "x" : 1e5, "ts" : "2001-01-01T00:00:00.5Z" , "o":null,"\u0069":3 }  )",
      R"({"ts":"2001-01-01T00:00:00Z","k":"a","i":1,"i":2})",
  };
  std::mt19937 random(9);
  int same_shape = 0;
  for (int round = 0; round < 60'000; ++round) {
    const std::string& good = shapes[random() % 3];
    REQUIRE(parse(*learned, good).starts_with("NONE"));
    std::string json = good;
    for (size_t k = 0; k < random() % 3; ++k) {
      const size_t at = random() % json.size();
      static constexpr char kLikely[] = "0123456789{}[]:,\"\\ -+.eEtfnu\n\x1f\x20\x7f\xc3\xa9zZ";
      switch (random() % 3) {
        case 0:
          json[at] = kLikely[random() % (sizeof kLikely - 1)];
          break;
        case 1:
          json.erase(at, 1);
          break;
        default:
          json.insert(at, 1, kLikely[random() % (sizeof kLikely - 1)]);
      }
      if (json.empty()) json = "x";
    }
    const std::string expected = parse(*parsers.ForStream(stream), json);
    INFO(json);
    REQUIRE(parse(*learned, json) == expected);
    same_shape += expected.starts_with("NONE") ? 1 : 0;
  }
  CHECK(same_shape > 10'000);
}
