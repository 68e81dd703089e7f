#include "millrace/cli/format.h"

#include <limits>

#include "cli_test_support.h"
#include "support/catch.h"

namespace millrace::cli {
namespace {

using test::Recorded;

ServingTable Example() {
  return {{"origin", "flights", "mean", "late", "at"},
          {Type::kText, Type::kBigint, Type::kDouble, Type::kBool, Type::kTimestamp},
          {{{Type::kText, "LAX"},
            {Type::kBigint, int64_t{12}},
            {Type::kDouble, -1.5},
            {Type::kBool, int64_t{1}},
            {Type::kTimestamp, int64_t{0}}},
           {{Type::kText, {}},
            {Type::kBigint, int64_t{-3}},
            {Type::kDouble, {}},
            {Type::kBool, {}},
            {Type::kTimestamp, int64_t{1}}}}};
}

ServingTable OneText(std::string text) {
  return {{"v"}, {Type::kText}, {{{Type::kText, std::move(text)}}}};
}

std::string Written(const ServingTable& table, Format format) {
  Recorded recorded;
  WriteTable(table, format, recorded.console);
  CHECK(recorded.err.str().empty());
  return recorded.out.str();
}

TEST_CASE("a table is aligned, numbers to the right, NULL as NULL") {
  CHECK(Written(Example(), Format::kTable) ==
        "origin  flights  mean  late  at\n"
        "------  -------  ----  ----  ---------------------------\n"
        "LAX          12  -1.5  true  1970-01-01T00:00:00.000000Z\n"
        "NULL         -3  NULL  NULL  1970-01-01T00:00:00.000001Z\n");
}

TEST_CASE("a table counts letters, not bytes, and lets no text speak to the terminal") {
  CHECK(Written({{"v", "w"},
                 {Type::kText, Type::kText},
                 {{{Type::kText, "\xc3\xa9"}, {Type::kText, "x"}},
                  {{Type::kText, "ab"}, {Type::kText, "a\nb\x1b[31m\xc2\x9b"}}}},
                Format::kTable) ==
        "v   w\n"
        "--  ----------------\n"
        "\xc3\xa9   x\n"
        "ab  a\\nb\\x1b[31m\\x9b\n");
}

TEST_CASE("csv quotes what needs it; NULL is an empty field and empty text two quotes") {
  CHECK(Written(Example(), Format::kCsv) ==
        "origin,flights,mean,late,at\n"
        "LAX,12,-1.5,true,1970-01-01T00:00:00.000000Z\n"
        ",-3,,,1970-01-01T00:00:00.000001Z\n");
  CHECK(Written(OneText(""), Format::kCsv) == "v\n\"\"\n");
  CHECK(Written(OneText("a,b"), Format::kCsv) == "v\n\"a,b\"\n");
  CHECK(Written(OneText("a\"b"), Format::kCsv) == "v\n\"a\"\"b\"\n");
  CHECK(Written(OneText("a\r\nb"), Format::kCsv) == "v\n\"a\r\nb\"\n");
  CHECK(Written(OneText("NULL"), Format::kCsv) == "v\nNULL\n");
}

TEST_CASE("json is one object a line") {
  CHECK(Written(Example(), Format::kJson) ==
        "{\"origin\":\"LAX\",\"flights\":12,\"mean\":-1.5,\"late\":true,"
        "\"at\":\"1970-01-01T00:00:00.000000Z\"}\n"
        "{\"origin\":null,\"flights\":-3,\"mean\":null,\"late\":null,"
        "\"at\":\"1970-01-01T00:00:00.000001Z\"}\n");
  CHECK(Written({{"n", "x"},
                 {Type::kNumeric, Type::kDouble},
                 {{{Type::kNumeric, Int128{5}},
                   {Type::kDouble, std::numeric_limits<double>::infinity()}}}},
                Format::kJson) == "{\"n\":\"5\",\"x\":\"Infinity\"}\n");
}

TEST_CASE("a table without rows has its header, in csv too, and json nothing") {
  const ServingTable empty{{"a", "b"}, {Type::kText, Type::kInt}, {}};
  CHECK(Written(empty, Format::kTable) == "a  b\n-  -\n");
  CHECK(Written(empty, Format::kCsv) == "a,b\n");
  CHECK(Written(empty, Format::kJson).empty());
}

TEST_CASE("a long table is written while its rows come") {
  Recorded recorded;
  TableWriter writer(Format::kTable, recorded.console);
  writer.Begin({"v", "n"}, {Type::kText, Type::kInt});
  for (int64_t i = 0; i < 10'000; ++i)
    writer.Row({{Type::kText, std::string("a good text")}, {Type::kInt, i % 10}});
  const size_t written = recorded.out.str().size();
  CHECK(written > 10'000);
  writer.Row({{Type::kText, std::string("a wider text")}, {Type::kInt, int64_t{7}}});
  writer.End();
  const std::string text = recorded.out.str();
  CHECK(text.starts_with("v            n\n-----------  -\na good text  0\n"));
  CHECK(text.ends_with("a good text  9\na wider text  7\n"));
}

TEST_CASE("on a terminal the header may be bold and the rows are counted beside the data") {
  Recorded recorded;
  Console console{recorded.out, recorded.err, true, true, true};
  WriteTable(OneText("x"), Format::kTable, console);
  CHECK(recorded.out.str() == "\x1b[1mv\x1b[0m\n-\nx\n");
  CHECK(recorded.err.str() == "(1 row)\n");
}

TEST_CASE("data that cannot be written is an error") {
  Recorded recorded;
  recorded.out.setstate(std::ios::badbit);
  WriteTable(OneText("x"), Format::kCsv, recorded.console);
  CHECK(recorded.console.Finish() == kExitRuntime);
  CHECK(recorded.Said("not all output could be written"));
}

}  // namespace
}  // namespace millrace::cli
