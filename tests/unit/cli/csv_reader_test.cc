#include "cli_test_support.h"
#include "millrace/cli/records.h"
#include "support/catch.h"

namespace millrace::cli {
namespace {

using test::TextSource;

/// "line: field|'quoted field'|..." or "line! error" for each record.
std::vector<std::string> ReadAll(const std::string& text, size_t piece) {
  TextSource source(text, piece);
  CsvReader reader(&source);
  CsvRecord record;
  std::vector<std::string> out;
  for (;;) {
    const auto more = reader.Next(&record);
    if (!more.ok()) {
      out.push_back("fatal: " + more.error().message);
      return out;
    }
    if (!*more) return out;
    std::string shown = std::to_string(record.line) + (record.error.empty() ? ":" : "! ");
    for (const CsvField& field : record.fields) {
      if (!record.error.empty()) break;
      shown += field.quoted ? " '" + std::string(field.text) + "'" : " " + std::string(field.text);
      if (&field != &record.fields.back()) shown += " |";
    }
    out.push_back(shown + record.error);
  }
}

using Records = std::vector<std::string>;

TEST_CASE("CSV fields are read the same however the bytes arrive") {
  const size_t piece = GENERATE(1u, 2u, 3u, 7u, 1u << 20);
  CHECK(ReadAll("a,b\n1,2\n", piece) == Records{"1: a | b", "2: 1 | 2"});
  SECTION("the last line may lack its end") { CHECK(ReadAll("a,b", piece) == Records{"1: a | b"}); }
  SECTION("lines may end in CRLF, quoted or not") {
    CHECK(ReadAll("a,b\r\n\"1\",\"2\"\r\n3,4\r\n", piece) ==
          Records{"1: a | b", "2: '1' | '2'", "3: 3 | 4"});
  }
  SECTION("lines may end in CR alone, quoted or not") {
    CHECK(ReadAll("a,b\r\"1\",\"2\"\r3,4\r", piece) ==
          Records{"1: a | b", "2: '1' | '2'", "3: 3 | 4"});
    CHECK(ReadAll("\r\ra,\r\"x\ry\",2\r\r\nz,3", piece) ==
          Records{"3: a | ", "4: 'x\ry' | 2", "7: z | 3"});
  }
  SECTION("an empty field and empty text differ") {
    CHECK(ReadAll(",\"\",x\n", piece) == Records{"1:  | '' | x"});
    CHECK(ReadAll("x,\n", piece) == Records{"1: x | "});
  }
  SECTION("quoted text holds commas, doubled quotes and line ends, which count as lines") {
    CHECK(ReadAll("\"a,\"\"b\"\"\",\"c\nd\r\ne\"\nf,g\n", piece) ==
          Records{"1: 'a,\"b\"' | 'c\nd\r\ne'", "4: f | g"});
    CHECK(ReadAll("\"\"\"\",\"\"\"\"\"\"\n", piece) == Records{"1: '\"' | '\"\"'"});
  }
  SECTION("blank lines are skipped and counted") {
    CHECK(ReadAll("\n\r\na,b\n\n\n1,2\n\n", piece) == Records{"3: a | b", "6: 1 | 2"});
  }
  SECTION("a byte order mark is no part of the first name") {
    CHECK(ReadAll("\xef\xbb\xbf"
                  "a,b\n",
                  piece) == Records{"1: a | b"});
  }
  SECTION("nothing gives nothing") { CHECK(ReadAll("", piece).empty()); }
}

TEST_CASE("a record that cannot be read names its line, and the next line is read again") {
  const size_t piece = GENERATE(1u, 3u, 1u << 20);
  CHECK(ReadAll("a\nb\"c,d\ne\n", piece) ==
        Records{"1: a", "2! a quote inside a field that does not begin with one", "3: e"});
  CHECK(ReadAll("a\n\"b\"c,d\ne\n", piece) ==
        Records{"1: a", "2! text behind the closing quote of a field", "3: e"});
  CHECK(ReadAll("a\n\"b\n\"c,d\ne\n", piece) ==
        Records{"1: a", "2! text behind the closing quote of a field", "4: e"});
  CHECK(ReadAll("a\rb\"c,d\re\r", piece) ==
        Records{"1: a", "2! a quote inside a field that does not begin with one", "3: e"});
  CHECK(ReadAll("a\nb,\"c\nd\n", piece) ==
        Records{"1: a", "2! the quote that opens a field is never closed"});
}

TEST_CASE("a record's text is kept as it was, without its line end") {
  const size_t piece = GENERATE(1u, 3u, 1u << 20);
  TextSource source("a,b\r\n\"x \"\"y\"\"\r\n\",2\rno\"good,1\n3,4", piece);
  CsvReader reader(&source, true);
  CsvRecord record;
  Records texts;
  while (*reader.Next(&record)) texts.push_back(record.text);
  CHECK(texts == Records{"a,b", "\"x \"\"y\"\"\r\n\",2", "no\"good,1", "3,4"});
}

TEST_CASE("a record has a largest size and a largest number of fields") {
  const std::string open = "a\nb,\"" + std::string(ReadBuffer::kMaxRecordBytes, 'x') + "\"\n";
  const Records read = ReadAll(open, 1 << 20);
  REQUIRE(read.size() == 2);
  CHECK(read[1].find("fatal: a record is over 4194304 bytes") == 0);
  CHECK(read[1].find("line=2") != std::string::npos);

  const std::string wide = std::string(CsvReader::kMaxFields, ',') + "\nx\n";
  CHECK(ReadAll(wide, 1 << 20) == Records{"1! more than 4096 fields", "2: x"});
}

TEST_CASE("lines are read without their ends, and blank ones and a byte order mark are skipped") {
  const size_t piece = GENERATE(1u, 4u, 1u << 20);
  const std::string mark = GENERATE("", "\xef\xbb\xbf");
  TextSource source(mark + "{}\r\n\n  \n{\"a\":1}\n{\"b\":2}", piece);
  LineReader reader(&source);
  Line line;
  std::vector<std::string> read;
  while (*reader.Next(&line)) read.push_back(std::to_string(line.line) + std::string(line.text));
  CHECK(read == Records{"1{}", "4{\"a\":1}", "5{\"b\":2}"});
}

TEST_CASE("a line past the largest size is an error of that line alone") {
  TextSource source("a\n" + std::string(ReadBuffer::kMaxRecordBytes + 1, 'x') + "\nb\n", 1 << 16);
  LineReader reader(&source);
  Line line;
  REQUIRE(*reader.Next(&line));
  REQUIRE(*reader.Next(&line));
  CHECK(line.line == 2);
  CHECK(line.error == "the line is over 4194304 bytes");
  REQUIRE(*reader.Next(&line));
  CHECK(line.error.empty());
  CHECK(line.text == "b");
  CHECK(!*reader.Next(&line));
}

}  // namespace
}  // namespace millrace::cli
