#include "millrace/cli/produce.h"

#include <fstream>
#include <regex>

#include "cli_test_support.h"
#include "support/catch.h"

namespace millrace::cli {
namespace {

using test::FakeCluster;
using test::Recorded;
using test::SentEvents;

constexpr const char* kHeader = "scheduled_at,origin,delay_minutes\n";

struct Fixture {
  test::TempDir dir;
  FakeCluster cluster;
  SentEvents sent;
  Recorded recorded;

  int Produce(ProduceOptions options, int64_t fail_at = -1) {
    if (options.stream.empty()) options.stream = "flights";
    return RunProduce(cluster, test::SinkInto(&sent, fail_at), options, recorded.console);
  }
  std::string File(const std::string& name, const std::string& content) {
    return test::WriteFile(dir.Sub(name), content);
  }
  bool Totals(const std::string& expected) const {
    return std::regex_search(recorded.err.str(),
                             std::regex("(^|\n)" + expected + " seconds=[0-9.]+\n"));
  }
};

TEST_CASE("records are numbered from 1 and the producer is named after the file's content") {
  Fixture f;
  const std::string file = f.File(
      "a.csv", std::string(kHeader) + "2001-01-01T00:00:00Z,LAX,5\n2001-01-01T00:01:00Z,,\n");
  CHECK(f.Produce({.input = file}) == kExitOk);
  CHECK(f.sent.events ==
        std::vector<SentEvents::Event>{
            {1, R"({"scheduled_at":"2001-01-01T00:00:00Z","origin":"LAX","delay_minutes":5})"},
            {2, R"({"scheduled_at":"2001-01-01T00:01:00Z"})"}});
  REQUIRE(f.sent.producers.size() == 1);
  CHECK(f.sent.producers[0] ==
        "produce/aff463ec8cd1250605774f0c2be4b4d919eea9839ce7535e869ffca2e1d02c85");
  CHECK(f.Totals("acknowledged=2 refused=0 resent=0"));
  CHECK(f.recorded.out.str().empty());
}

TEST_CASE("a run after a crash sends the same events under the same producer and numbers") {
  Fixture f;
  const std::string file = f.File("a.jsonl", "{\"a\":1}\n\n{\"a\":2}\n{\"a\":3}\n");
  CHECK(f.Produce({.input = file, .producer_id = "mine"}, 3) == kExitNotFound);
  const std::vector<SentEvents::Event> before = f.sent.events;
  CHECK(before.size() == 2);
  f.sent.events.clear();
  CHECK(f.Produce({.input = file, .producer_id = "mine"}) == kExitOk);
  CHECK(f.sent.events ==
        std::vector<SentEvents::Event>{{1, "{\"a\":1}"}, {2, "{\"a\":2}"}, {3, "{\"a\":3}"}});
  REQUIRE(f.sent.producers.size() == 2);
  CHECK(f.sent.producers[0] == f.sent.producers[1]);
  CHECK(f.sent.producers[0].starts_with("mine/"));
  SECTION("and other content has another producer, under the same name of file and id") {
    f.File("a.jsonl", "{\"a\":4}\n");
    CHECK(f.Produce({.input = file, .producer_id = "mine"}) == kExitOk);
    CHECK(f.sent.producers[2] != f.sent.producers[0]);
  }
}

TEST_CASE("what is refused has its line and reason, keeps its number, and fails the run") {
  Fixture f;
  const std::string file = f.File("a.csv", std::string(kHeader) +
                                               "2001-01-01T00:00:00Z,LAX,soon\n"  // line 2
                                               "2001-01-01T00:00:00Z,\"two\nlines\",1\n"
                                               "2001-01-01T00:00:00Z,bad,1\n"  // line 5
                                               "2001-01-01T00:00:00Z\n"
                                               "2001-01-01T00:00:00Z,LAX\"x,1\n"
                                               "2001-01-01T00:00:00Z,SFO,1\n");
  CHECK(f.Produce({.input = file}) == kExitRuntime);
  std::vector<int64_t> sequences;
  for (const auto& e : f.sent.events) sequences.push_back(e.sequence);
  CHECK(sequences == std::vector<int64_t>{2, 3, 6});
  CHECK(f.Totals("acknowledged=2 refused=4 resent=0"));
  CHECK(f.recorded.Said("refused: " + file +
                        " line 2: WRONG_TYPE: expected int (-2147483648 to 2147483647), got "
                        "\"soon\": column=delay_minutes\n"));
  CHECK(f.recorded.Said(" line 5: WRONG_TYPE: not what the column takes\n"));
  CHECK(f.recorded.Said(" line 6: UNREADABLE: the header has another number of fields: fields=1"));
  CHECK(f.recorded.Said(" line 7: UNREADABLE: a quote inside a field"));
}

TEST_CASE("ten refusals are told and the others counted") {
  Fixture f;
  std::string lines;
  for (int i = 0; i < 25; ++i) lines += "{\"bad\":1}\n";
  CHECK(f.Produce({.input = f.File("a.json", lines)}) == kExitRuntime);
  CHECK(f.recorded.Said(" line 10: "));
  CHECK(!f.recorded.Said(" line 11: "));
  CHECK(f.recorded.Said("refused: 15 more\n"));
}

TEST_CASE("the option --end advances the stream to infinity after everything was acknowledged") {
  Fixture f;
  const std::string file = f.File("a.json", "{}\n");
  CHECK(f.Produce({.input = file, .end = true}) == kExitOk);
  CHECK(f.sent.flushes == 1);
  CHECK(f.cluster.calls == std::vector<std::string>{"advance flights infinity"});
  CHECK(f.recorded.Said("no later event counts stream=flights"));
}

TEST_CASE("the option --end acts only if every record was acknowledged and there was one") {
  Fixture f;
  CHECK(f.Produce({.input = f.File("a.json", "{}\n{}\n"), .end = true}, 2) == kExitNotFound);
  CHECK(f.Produce({.input = f.File("b.json", "{\"bad\":1}\n"), .end = true}) == kExitRuntime);
  CHECK(f.recorded.Said("the stream was not brought to its end"));
  CHECK(f.Produce({.input = f.File("c.json", "{}\n{\"bad\":1}\n{}\n"), .end = true}) ==
        kExitRuntime);
  CHECK(f.recorded.Said("because records were refused: send them again, corrected, with --end"));
  CHECK(f.recorded.Said("refused=1\n"));
  CHECK(f.Produce({.input = f.File("d.csv", std::string(kHeader) + "when,LAX,soon\n"),
                   .end = true}) == kExitRuntime);
  for (const std::string& nothing : {std::string(kHeader), std::string(kHeader) + "\n\r\n"})
    CHECK(f.Produce({.input = f.File("e.csv", nothing), .end = true}) == kExitRuntime);
  CHECK(f.Produce({.input = f.File("f.json", ""), .end = true}) == kExitRuntime);
  CHECK(
      f.recorded.Said("because the input holds no record: see that it is the right one, or end "
                      "the stream with `millrace stream advance flights --to end`\n"));
  CHECK(f.cluster.calls.empty());
}

TEST_CASE("a compressed file that is cut short is found before anything is sent") {
  Fixture f;
  // `printf '{"a":1}\n'` through gzip -n.
  const std::string whole(
      "\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\x56\x4a\x54\xb2\x32\xac\xe5\x02\0\x46\xa3\xe8\x74\x08\0\0"
      "\0",
      28);
  for (size_t kept = 0; kept < whole.size(); ++kept) {
    CHECK(f.Produce({.input = f.File("a.json.gz", whole.substr(0, kept)), .end = true}) ==
          kExitRuntime);
  }
  CHECK(f.recorded.Said("cannot decompress the input: it ends too early"));
  CHECK(f.sent.producers.empty());
  CHECK(f.cluster.calls.empty());
  CHECK(f.Produce({.input = f.File("a.json.gz", whole), .end = true}) == kExitOk);
  CHECK(f.Produce({.input = f.File("b.json", "{\"a\":1}\n")}) == kExitOk);
  REQUIRE(f.sent.producers.size() == 2);
  CHECK(f.sent.producers[0] == f.sent.producers[1]);
}

TEST_CASE("other content under the same id gives a warning with both and what to do") {
  Fixture f;
  const std::string file = f.File("a.jsonl", "{\"a\":1}\n");
  f.cluster.producers = {{"mine/" + std::string(64, 'a'), 1'001},
                         {"mine/stdin", 9},
                         {"mines/" + std::string(64, 'c'), 5}};
  CHECK(f.Produce({.input = file, .producer_id = "other"}) == kExitOk);
  CHECK_FALSE(f.recorded.Said("warning"));
  CHECK(f.Produce({.input = file, .producer_id = "mine"}) == kExitOk);
  CHECK(f.recorded.Said(
      "warning: this id sent other content to the stream before, and a record that both hold "
      "counts twice. All is well if this is other data, or the refused records of that file alone "
      "(--rejects keeps them). If it is that whole file, corrected, its good records count again. "
      "A --producer-id of its own avoids this warning stream=flights producer_id=mine content=" +
      f.sent.producers[1].substr(5, 12) + " before=aaaaaaaaaaaa (records up to 1000)\n"));
  SECTION("not when this content was sent before, too: it is repeated") {
    Fixture again;
    again.cluster.producers = f.cluster.producers;
    again.cluster.producers.push_back({f.sent.producers[1], 2});
    CHECK(again.Produce({.input = file, .producer_id = "mine"}) == kExitOk);
    CHECK_FALSE(again.recorded.Said("warning"));
  }
}

TEST_CASE("refused records are kept as they were, in order, with their reasons") {
  Fixture f;
  const std::string rejects = f.dir.Sub("again.csv");
  const auto text = [](const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  SECTION("of CSV, with its header, so that the file can be corrected and sent") {
    const std::string file = f.File("a.csv", "\xef\xbb\xbf" + std::string(kHeader) +
                                                 "2001-01-01T00:00:00Z,LAX,soon\r\n"
                                                 "2001-01-01T00:00:00Z,\"b\"\"ad\nbad\",1\n"
                                                 "2001-01-01T00:00:00Z,SFO,1\n"
                                                 "2001-01-01T00:00:00Z\n");
    CHECK(f.Produce({.input = file, .rejects = rejects}) == kExitRuntime);
    CHECK(text(rejects) == std::string(kHeader) +
                               "2001-01-01T00:00:00Z,LAX,soon\n"
                               "2001-01-01T00:00:00Z,\"b\"\"ad\nbad\",1\n"
                               "2001-01-01T00:00:00Z\n");
    CHECK(text(rejects + ".reasons") ==
          "line 2: WRONG_TYPE: expected int (-2147483648 to 2147483647), got \"soon\": "
          "column=delay_minutes\n"
          "line 3: WRONG_TYPE: not what the column takes\n"
          "line 6: UNREADABLE: the header has another number of fields: fields=1 "
          "header_fields=3\n");
    CHECK(f.recorded.Said("the refused records are in " + rejects + ", why in " + rejects +
                          ".reasons"));
  }
  SECTION("of JSON") {
    const std::string file = f.File("a.json", "{\"a\":1}\n {\"bad\": 1} \r\n{\"bad\":2}");
    CHECK(f.Produce({.input = file, .rejects = rejects}) == kExitRuntime);
    CHECK(text(rejects) == " {\"bad\": 1} \n{\"bad\":2}\n");
  }
  SECTION("none: then there are no files, not even those of an earlier run") {
    f.File("again.csv", "old");
    CHECK(f.Produce({.input = f.File("a.json", "{}\n"), .rejects = rejects}) == kExitOk);
    CHECK_FALSE(std::ifstream(rejects).is_open());
    CHECK_FALSE(std::ifstream(rejects + ".reasons").is_open());
  }
  SECTION("never over the input") {
    f.File("again.csv", "{\"bad\":1}\n");
    CHECK(f.Produce({.input = rejects, .format = "json", .rejects = rejects}) == kExitConflict);
    CHECK(text(rejects) == "{\"bad\":1}\n");
    CHECK(f.Produce({.input = f.File("a.json", "{}\n"), .rejects = f.dir.Sub("no/x")}) ==
          kExitRuntime);
    CHECK(f.recorded.Said("--rejects: cannot write the file: No such file or directory"));
    CHECK(f.sent.events.empty());
  }
}

TEST_CASE("the option --dry-run judges everything and says what would be taken") {
  Fixture f;
  const std::string file = f.File("a.json", "{}\n{\"bad\":1}\n{}\n");
  CHECK(f.Produce({.input = file, .dry_run = true}) == kExitRuntime);
  CHECK(f.sent.dry_run);
  CHECK(f.recorded.Said("would_take=2 would_refuse=1 sent=0 seconds="));
  CHECK(f.recorded.Said(" line 2: WRONG_TYPE"));
  CHECK_FALSE(f.recorded.Said("acknowledged="));
  CHECK(f.Produce({.input = file, .end = true, .dry_run = true}) == kExitUsage);
  CHECK(f.Produce({.input = f.File("b.json", "{}\n")}) == kExitOk);
  CHECK_FALSE(f.sent.dry_run);
}

TEST_CASE("the format is told by the option, the name, or the first byte") {
  Fixture f;
  const std::string csv = std::string(kHeader) + "2001-01-01T00:00:00Z,LAX,5\n";
  CHECK(f.Produce({.input = f.File("a.json", csv), .format = "csv"}) == kExitOk);
  CHECK(f.Produce({.input = f.File("a.csv", csv)}) == kExitOk);
  CHECK(f.Produce({.input = f.File("a", csv)}) == kExitOk);
  CHECK(f.Produce({.input = f.File("b", " \n{\"a\":1}\n")}) == kExitOk);
  CHECK(f.sent.events.size() == 4);
  CHECK(f.sent.events[3].payload == "{\"a\":1}");
  CHECK(f.Produce({.input = f.File("c", csv), .format = "xml"}) == kExitUsage);
}

TEST_CASE("an input that is missing, empty or without the header it needs sends nothing") {
  Fixture f;
  CHECK(f.Produce({.input = f.dir.Sub("none.csv")}) == kExitRuntime);
  CHECK(f.recorded.Said("No such file or directory file=" + f.dir.Sub("none.csv")));
  CHECK(f.Produce({.input = f.dir.path().string()}) == kExitRuntime);
  CHECK(f.Produce({.input = f.File("a.csv", "")}) == kExitRuntime);
  CHECK(f.recorded.Said("the input is empty"));
  CHECK(f.Produce({.input = f.File("b.csv", "origin\nLAX\n")}) == kExitRuntime);
  CHECK(f.recorded.Said("these must be among them: scheduled_at"));
  CHECK(f.sent.events.empty());
}

TEST_CASE("a stream that does not exist, or an option that makes no sense, is told first") {
  Fixture f;
  const std::string file = f.File("a.json", "{}\n");
  CHECK(f.Produce({.stream = "nothing", .input = file}) == kExitNotFound);
  CHECK(f.Produce({.input = file, .rate = -1}) == kExitUsage);
  CHECK(f.recorded.Said("0 for no limit rate=-1"));
  CHECK(f.Produce({.input = file, .producer_id = ""}) == kExitUsage);
  CHECK(f.sent.producers.empty());
}

TEST_CASE("events for a stream that is at its end are told to be late, those of others are not") {
  Fixture f;
  operations::PipelineInfo ended;
  ended.incarnation = {"default", "hourly", Offset(17)};
  ended.stream = "flights";
  ended.read_watermark = kPlusInfinity;
  operations::PipelineInfo open = ended;
  open.incarnation.name = "daily";
  open.read_watermark = kDay;
  operations::PipelineInfo other = ended;
  other.incarnation = {"air", "theirs", Offset(17)};
  f.cluster.pipelines = {ended, open, other};
  const std::string file = f.File("a.json", "{}\n{}\n{\"bad\":1}\n");
  CHECK(f.Produce({.input = file}) == kExitRuntime);
  CHECK(f.recorded.Said(
      "millrace: warning: the stream was at its end before this run, so acknowledged events that "
      "were not sent before are late and count nowhere; see `millrace late hourly` stream=flights "
      "late_at_most=2\n"));
  Fixture fine;
  fine.cluster.pipelines = {open, other};
  CHECK(fine.Produce({.input = file, .end = true}) == kExitRuntime);
  CHECK(!fine.recorded.Said("warning"));
}

TEST_CASE("a line for each pipeline tells what was late or quarantined since the run began") {
  Fixture f;
  operations::PipelineInfo hourly;
  hourly.incarnation = {"default", "hourly", Offset(17)};
  hourly.stream = "flights";
  hourly.late = 5;
  hourly.quarantined = 1;
  operations::PipelineInfo fine = hourly;
  fine.incarnation.name = "fine";
  operations::PipelineInfo other = hourly;
  other.incarnation.name_space = "air";
  operations::PipelineInfo again = hourly;
  again.incarnation.name = "again";
  f.cluster.pipelines = {hourly, fine, other, again};
  for (operations::PipelineInfo* p : {&hourly, &other}) p->late = 42;
  hourly.quarantined = 3;
  again.late = 99;
  again.incarnation.defined_at = Offset(18);
  f.cluster.pipelines_later = {hourly, fine, other, again};
  const std::string file = f.File("a.json", "{}\n");
  CHECK(f.Produce({.input = file}) == kExitOk);
  CHECK(f.recorded.Said(
      "warning: not all events since this run began count, those of other producers included; see "
      "`millrace late hourly`, `millrace quarantine hourly` pipeline=hourly late=37 "
      "quarantined=2\n"));
  const std::string said = f.recorded.err.str();
  CHECK(said.find("not all events") == said.rfind("not all events"));
}

TEST_CASE("a rate of 0 sets no limit") {
  Fixture f;
  std::string lines;
  for (int i = 0; i < 20'000; ++i) lines += "{}\n";
  CHECK(f.Produce({.input = f.File("a.json", lines), .rate = 0}) == kExitOk);
  CHECK(f.sent.events.size() == 20'000);
}

TEST_CASE("columns that the stream lacks are warned of once") {
  Fixture f;
  CHECK(f.Produce({.input = f.File("a.csv",
                                   "scheduled_at,x,y\n2001-01-01T00:00:00Z,1,2\n"
                                   "2001-01-01T00:00:00Z,1,2\n")}) == kExitOk);
  const std::string said = f.recorded.err.str();
  const std::string warning = "they are left out: x, y\n";
  CHECK(said.find(warning) != std::string::npos);
  CHECK(said.find(warning) == said.rfind(warning));
}

}  // namespace
}  // namespace millrace::cli
