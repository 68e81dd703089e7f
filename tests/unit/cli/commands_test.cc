#include "millrace/cli/commands.h"

#include "cli_test_support.h"
#include "millrace/base/version.h"
#include "millrace/model/spec.h"
#include "support/catch.h"

namespace millrace::cli {
namespace {

using operations::Outcome;
using operations::PipelineInfo;
using test::FakeCluster;
using test::Recorded;

TEST_CASE("exit codes follow the kind of error") {
  CHECK(ExitCodeOf(InvalidArgument("")) == 1);
  CHECK(ExitCodeOf(Internal("")) == 1);
  CHECK(ExitCodeOf(Corruption("")) == 1);
  CHECK(ExitCodeOf(NotFound("")) == 3);
  CHECK(ExitCodeOf(Conflict("")) == 4);
  CHECK(ExitCodeOf(Fenced("")) == 4);
  CHECK(ExitCodeOf(Unavailable("")) == 5);
  CHECK(ExitCodeOf(ResourceExhausted("")) == 5);
}

TEST_CASE("names without a namespace are in the default one") {
  CHECK(QualifiedName::Parse("flights") == QualifiedName{"default", "flights"});
  CHECK(QualifiedName::Parse("a.b.c") == QualifiedName{"a", "b.c"});
  CHECK(QualifiedName::Parse("default.flights").ToString() == "flights");
  CHECK(QualifiedName::Parse("air.flights").ToString() == "air.flights");
}

TEST_CASE("times are RFC 3339, or a date for its midnight") {
  CHECK(*ParseTimeArgument("1970-01-01T00:00:01Z") == kSecond);
  CHECK(*ParseTimeArgument("1970-01-02") == kDay);
  CHECK(!ParseTimeArgument("1970-01-02T00:00:00").ok());
  CHECK(!ParseTimeArgument("yesterday").ok());
}

TEST_CASE("durations are told in their largest units") {
  CHECK(FormatDuration(0) == "0");
  CHECK(FormatDuration(4 * 3'600 * kSecond) == "4 hours");
  CHECK(FormatDuration(kDay + 60 * kSecond + 1) == "1 day 1 minute 1 microsecond");
  CHECK(FormatDuration(-250'000) == "-250 milliseconds");
}

TEST_CASE("apply says on standard output what came of each statement") {
  const test::TempDir dir;
  FakeCluster cluster;
  cluster.applied = {{"stream", "default", "flights", Outcome::kCreated},
                     {"pipeline", "air", "delays", Outcome::kUnchanged}};
  Recorded recorded;
  const std::string file = test::WriteFile(dir.Sub("a.sql"), "CREATE TABLE ...");
  CHECK(RunApply(cluster, {file}, recorded.console) == kExitOk);
  CHECK(cluster.calls == std::vector<std::string>{"apply CREATE TABLE ..."});
  CHECK(recorded.out.str() == "created stream flights\nunchanged pipeline air.delays\n");
  CHECK(recorded.err.str().empty());
}

TEST_CASE("a script that drops something asks on a terminal, and elsewhere needs --yes") {
  const test::TempDir dir;
  const std::string file = test::WriteFile(dir.Sub("a.sql"), "DROP ...");
  FakeCluster cluster;
  cluster.drops = true;
  cluster.applied = {{"pipeline", "air", "delays", Outcome::kDropped},
                     {"stream", "default", "flights", Outcome::kDropped}};
  Recorded recorded;
  CHECK(RunApply(cluster, {file}, recorded.console) == kExitUsage);
  CHECK(
      recorded.Said("the script drops pipeline air.delays, stream flights with its events; to do "
                    "that, add --yes"));
  CHECK(cluster.calls == std::vector<std::string>{"apply DROP ..."});
  CHECK(recorded.out.str().empty());

  for (const char* answer : {"no\n", "\n", ""}) {
    std::istringstream no(answer);
    Console terminal{recorded.out, recorded.err};
    terminal.answers = &no;
    CHECK(RunApply(cluster, {file}, terminal) == kExitRuntime);
    CHECK(recorded.Said("nothing was applied"));
    CHECK(cluster.calls.back() == "apply DROP ...");
  }
  std::istringstream yes("y\n");
  Console terminal{recorded.out, recorded.err};
  terminal.answers = &yes;
  CHECK(RunApply(cluster, {file}, terminal) == kExitOk);
  CHECK(cluster.calls.back() == "apply with drops DROP ...");
  CHECK(recorded.out.str() == "dropped pipeline air.delays\ndropped stream flights\n");
  cluster.calls.clear();
  CHECK(RunApply(cluster, {file, true}, recorded.console) == kExitOk);
  CHECK(cluster.calls == std::vector<std::string>{"apply with drops DROP ..."});
}

TEST_CASE("an error in a script names the file; a changed definition is a conflict") {
  const test::TempDir dir;
  const std::string file = test::WriteFile(dir.Sub("a.sql"), "SELECT");
  FakeCluster cluster;
  Recorded recorded;
  cluster.answer = InvalidArgument("line 1, column 1: no");
  CHECK(RunApply(cluster, {file}, recorded.console) == kExitRuntime);
  CHECK(recorded.err.str() == "millrace: error: " + file + ":1:1: no\n");
  cluster.answer =
      Conflict("line 12, column 34: LIKE is not available yet\nhint: line 1, column 1: x");
  CHECK(RunApply(cluster, {file}, recorded.console) == kExitConflict);
  CHECK(recorded.Said("error: " + file +
                      ":12:34: LIKE is not available yet\nhint: line 1, column 1: x\n"));
  cluster.answer = Conflict("the pipeline exists with another definition; drop it first");
  CHECK(RunApply(cluster, {file}, recorded.console) == kExitConflict);
  CHECK(recorded.Said("error: " + file + ": the pipeline exists with another definition"));
  cluster.answer = Unavailable("the server cannot be reached server=x");
  CHECK(RunApply(cluster, {file}, recorded.console) == kExitUnavailable);
  CHECK(recorded.Said("error: the server cannot be reached server=x\n"));
  CHECK(recorded.out.str().empty());
}

TEST_CASE("a script that is not UTF-8 is told where and what to do, without asking the cluster") {
  const test::TempDir dir;
  FakeCluster cluster;
  Recorded recorded;
  // The column counts characters: before it stand a tab and an e with an accent, two bytes.
  const std::string file = test::WriteFile(dir.Sub("a.sql"), "SELECT 1;\n\t-- \xc3\xa9 caf\xe9\n");
  CHECK(RunApply(cluster, {file}, recorded.console) == kExitRuntime);
  CHECK(recorded.err.str() ==
        "millrace: error: " + file +
            ":2:10: the script is not UTF-8 text; save it as UTF-8, for example with `iconv -f "
            "latin1 -t utf-8`: byte=0xe9 offset=20\n");
  CHECK(cluster.calls.empty());
}

TEST_CASE("a script that cannot be read is told without asking the cluster") {
  const test::TempDir dir;
  FakeCluster cluster;
  Recorded recorded;
  CHECK(RunApply(cluster, {dir.Sub("none.sql")}, recorded.console) == kExitRuntime);
  CHECK(RunApply(cluster, {dir.path().string()}, recorded.console) == kExitRuntime);
  CHECK(recorded.Said("No such file or directory file=" + dir.Sub("none.sql")));
  CHECK(recorded.Said("Is a directory"));
  CHECK(cluster.calls.empty());
}

TEST_CASE("stream list has four columns") {
  FakeCluster cluster;
  Recorded recorded;
  CHECK(RunStreamList(cluster, Format::kCsv, recorded.console) == kExitOk);
  CHECK(recorded.out.str() == "namespace,name,format,partitions\ndefault,flights,arrow,4\n");
}

TEST_CASE("stream describe shows every property for people and for programs") {
  FakeCluster cluster;
  Recorded recorded;
  CHECK(RunStreamDescribe(cluster, "flights", Format::kTable, recorded.console) == kExitOk);
  const std::string shown = recorded.out.str();
  CHECK(shown.find("watermark_delay        4 hours\n") != std::string::npos);
  CHECK(shown.find("column scheduled_at    timestamptz not null\n") != std::string::npos);
  Recorded json;
  CHECK(RunStreamDescribe(cluster, "default.flights", Format::kJson, json.console) == kExitOk);
  CHECK(json.out.str().find("\"start_offsets\":[1,0,0,0],\"end_offsets\":[3,0,0,7],"
                            "\"floor_offsets\":[2,0,0,7],\"bytes\":[200,0,0,700],"
                            "\"keep_for_us\":604800000000,\"keep_bytes\":null,") !=
        std::string::npos);
  CHECK(json.out.str().find("\"watermark_delay_us\":14400000000,") != std::string::npos);
  CHECK(json.out.str().find(
            R"("columns":[{"name":"scheduled_at","type":"timestamptz","not_null":true},)") !=
        std::string::npos);
  CHECK(RunStreamDescribe(cluster, "air.flights", Format::kTable, json.console) == kExitNotFound);
}

TEST_CASE("stream advance takes a time or the end, and tells what the end means") {
  FakeCluster cluster;
  Recorded recorded;
  CHECK(RunStreamAdvance(cluster, {"flights", "2001-02-01"}, recorded.console) == kExitOk);
  CHECK(RunStreamAdvance(cluster, {"air.flights", "end"}, recorded.console) == kExitOk);
  CHECK(cluster.calls == std::vector<std::string>{"advance flights 2001-02-01T00:00:00.000000Z",
                                                  "advance air.flights infinity"});
  CHECK(recorded.Said("no later event counts stream=air.flights"));
  CHECK(recorded.out.str().empty());
  CHECK(RunStreamAdvance(cluster, {"flights", "soon"}, recorded.console) == kExitUsage);
  CHECK(recorded.Said("--to: not a time"));
  CHECK(recorded.Said("for its midnight (UTC), or say end: time=soon\n"));
}

TEST_CASE("stream advance warns where every pipeline of the stream is there already") {
  FakeCluster cluster;
  PipelineInfo pipeline;
  pipeline.incarnation = {"default", "delays", Offset(17)};
  pipeline.stream = "flights";
  pipeline.read_watermark = 2 * kDay;
  cluster.pipelines = {pipeline};
  pipeline.read_watermark = kDay;
  cluster.pipelines.push_back(pipeline);
  Recorded ahead;
  CHECK(RunStreamAdvance(cluster, {"flights", "1970-01-03"}, ahead.console) == kExitOk);
  CHECK(!ahead.Said("warning"));
  CHECK(RunStreamAdvance(cluster, {"other", "1970-01-01"}, ahead.console) == kExitOk);
  CHECK(!ahead.Said("warning"));
  Recorded behind;
  CHECK(RunStreamAdvance(cluster, {"flights", "1970-01-02"}, behind.console) == kExitOk);
  CHECK(behind.err.str() ==
        "millrace: warning: nothing changes: every pipeline of the stream has reached that time "
        "already stream=flights to=1970-01-02T00:00:00.000000Z "
        "watermark=1970-01-02T00:00:00.000000Z\n");
  for (PipelineInfo& p : cluster.pipelines) p.read_watermark = kPlusInfinity;
  Recorded ended;
  CHECK(RunStreamAdvance(cluster, {"flights", "end"}, ended.console) == kExitOk);
  CHECK(ended.Said("warning: nothing changes: the stream was at its end already stream=flights"));
}

TEST_CASE("pipeline list shows incarnation, state, watermark and what is wrong") {
  FakeCluster cluster;
  PipelineInfo p;
  p.incarnation = {"default", "delays", Offset(17)};
  p.stream = "flights";
  p.state = "running";
  p.watermark = 0;
  p.plan = "millrace plan 1\nwhere none\n";
  cluster.pipelines = {p};
  cluster.pipelines.push_back(p);
  cluster.pipelines[1].watermark = kMinusInfinity;
  cluster.pipelines[1].message = "cut fails";
  Recorded recorded;
  CHECK(RunPipelineList(cluster, Format::kCsv, recorded.console) == kExitOk);
  CHECK(recorded.out.str() ==
        "namespace,name,incarnation,stream,state,watermark,message\n"
        "default,delays,delays@17,flights,running,1970-01-01T00:00:00.000000Z,\n"
        "default,delays,delays@17,flights,running,-infinity,cut fails\n");
  Recorded described;
  CHECK(RunPipelineDescribe(cluster, "delays", Format::kJson, described.console) == kExitOk);
  CHECK(described.out.str().find("\"incarnation\":\"delays@17\"") != std::string::npos);
  CHECK(described.out.str().find(R"("plan":"millrace plan 1\nwhere none\n"})") !=
        std::string::npos);
  CHECK(RunPipelineDescribe(cluster, "delays", Format::kCsv, described.console) == kExitOk);
  CHECK(described.out.str().find("plan,millrace plan 1\nplan,where none\n") != std::string::npos);
  CHECK(RunPipelineDescribe(cluster, "nothing", Format::kJson, described.console) == kExitNotFound);
}

TEST_CASE("pipeline drop and shard skip do what they say and tell it beside the data") {
  FakeCluster cluster;
  Recorded recorded;
  CHECK(RunPipelineDrop(cluster, "delays", recorded.console) == kExitOk);
  CHECK(RunShardSkip(cluster, {"default/delays@17/p2", 90, "log lost"}, recorded.console) ==
        kExitOk);
  CHECK(
      recorded.Said("new records below it are left out, at most 10; old records from there on may "
                    "count twice, at most 3 shard=default/delays@17/p2 offset=90 lowest=80 "
                    "highest=100\n"));
  CHECK(cluster.calls ==
        std::vector<std::string>{"drop delays", "skip default/delays@17/p2 90 log lost"});
  CHECK(recorded.out.str().empty());
  CHECK(RunShardSkip(cluster, {"delays", 90, "x"}, recorded.console) == kExitUsage);
  CHECK(RunShardSkip(cluster, {"default/delays@17/p2", -1, "x"}, recorded.console) == kExitUsage);
  CHECK(RunShardSkip(cluster, {"default/delays@17/p2", 90, ""}, recorded.console) == kExitUsage);
  CHECK(RunShardSkip(cluster, {"default/delays@17/p2", 90, " \t"}, recorded.console) == kExitUsage);
  CHECK(recorded.Said("--reason: say why the records are left out"));
  CHECK(cluster.calls.size() == 2);
  cluster.answer = Conflict("the shard is not halted");
  CHECK(RunShardSkip(cluster, {"default/delays@17/p2", 90, "x"}, recorded.console) ==
        kExitConflict);
}

TEST_CASE("pipelines are paused and resumed, and settings of the cluster set and listed") {
  FakeCluster cluster;
  Recorded recorded;
  CHECK(RunPipelinePause(cluster, "air.delays", true, recorded.console) == kExitOk);
  CHECK(RunPipelinePause(cluster, "delays", false, recorded.console) == kExitOk);
  CHECK(RunClusterSet(cluster, {"balance", "off"}, recorded.console) == kExitOk);
  CHECK(cluster.calls == std::vector<std::string>{"set delays paused=on", "set delays paused=off",
                                                  "set  balance=off"});
  CHECK(recorded.out.str().empty());
  cluster.settings = {{"", "", "balance", "off"}, {"default", "delays", "paused", "on"}};
  CHECK(RunClusterSettings(cluster, Format::kCsv, recorded.console) == kExitOk);
  CHECK(recorded.out.str() ==
        "namespace,name,setting,value\n,,balance,off\ndefault,delays,paused,on\n");
  cluster.answer = InvalidArgument("no such setting");
  CHECK(RunClusterSet(cluster, {"speed", "high"}, recorded.console) == kExitUsage);
  cluster.answer = NotFound("no such pipeline");
  CHECK(RunPipelinePause(cluster, "delays", true, recorded.console) == kExitNotFound);
}

TEST_CASE("shard release names the shard and tells it beside the data") {
  FakeCluster cluster;
  Recorded recorded;
  CHECK(RunShardRelease(cluster, "default/delays@17/p2", recorded.console) == kExitOk);
  CHECK(cluster.calls == std::vector<std::string>{"release default/delays@17/p2"});
  CHECK(recorded.out.str().empty());
  CHECK(RunShardRelease(cluster, "delays", recorded.console) == kExitUsage);
  cluster.answer = Conflict("it is not held");
  CHECK(RunShardRelease(cluster, "default/delays@17/p2", recorded.console) == kExitConflict);
}

TEST_CASE("shard pin and unpin set the partition of a pipeline's stream") {
  FakeCluster cluster;
  Recorded recorded;
  CHECK(RunShardPin(cluster, "default/delays@17/p2", "w1", recorded.console) == kExitOk);
  CHECK(RunShardPin(cluster, "default/delays@17/p2", "", recorded.console) == kExitOk);
  CHECK(cluster.calls == std::vector<std::string>{"set delays pin.2=w1", "set delays pin.2="});
  CHECK(recorded.out.str().empty());
  CHECK(RunShardPin(cluster, "delays", "w1", recorded.console) == kExitUsage);
  cluster.answer = NotFound("no such pipeline");
  CHECK(RunShardPin(cluster, "default/delays@17/p2", "w1", recorded.console) == kExitNotFound);
}

TEST_CASE("shard list tells why a shard halted") {
  FakeCluster cluster;
  cluster.shards = {{{{"default", "d", Offset(1)}, PartitionId(0)},
                     Epoch(3),
                     "w1",
                     "halted",
                     "the log ends below",
                     Offset(5),
                     Offset(9),
                     CutNumber(2),
                     0}};
  Recorded recorded;
  CHECK(RunShardList(cluster, Format::kCsv, recorded.console) == kExitOk);
  CHECK(recorded.out.str() ==
        "shard,state,worker,epoch,next_offset,end_offset,last_cut,watermark,message\n"
        "default/d@1/p0,halted,w1,3,5,9,2,1970-01-01T00:00:00.000000Z,the log ends below\n");
}

TEST_CASE("a query passes its filters on and waits only if told") {
  FakeCluster cluster;
  cluster.table = {{"a"}, {Type::kInt}, {{{Type::kInt, int64_t{1}}}}};
  Recorded recorded;
  QueryOptions options;
  options.name = "air.delays";
  options.wait = true;
  options.keys = {"origin=LAX", "note=a=b"};
  options.from = "1970-01-01";
  options.to = "1970-01-02T00:00:00Z";
  options.meta = true;
  options.format = Format::kCsv;
  CHECK(RunQuery(cluster, options, recorded.console) == kExitOk);
  CHECK(recorded.out.str() == "a\n1\n");
  CHECK(cluster.calls.at(0) == "wait delays");
  CHECK(cluster.calls.back() == "query");
  CHECK(cluster.query.name_space == "air");
  CHECK(cluster.query.name == "delays");
  CHECK(cluster.query.keys ==
        std::vector<std::pair<std::string, std::string>>{{"origin", "LAX"}, {"note", "a=b"}});
  CHECK(cluster.query.from == Micros{0});
  CHECK(cluster.query.to == kDay);
  CHECK(cluster.query.meta);
  CHECK(RunQuery(cluster, {.name = "delays", .output = Output::kLate}, recorded.console) ==
        kExitOk);
  CHECK(cluster.calls.back() == "query");
  CHECK(cluster.query.output == Output::kLate);
}

TEST_CASE("results tell beside the data what their rows do not show") {
  FakeCluster cluster;
  cluster.table = {{"a"}, {Type::kBigint}, {{{Type::kBigint, int64_t{1}}}}};
  PipelineInfo p;
  p.incarnation = {"default", "delays", Offset(17)};
  p.late = 227;
  p.open_windows = 3;
  p.watermark = 0;
  cluster.pipelines = {p};
  const auto said = [&](QueryOptions options) {
    Recorded recorded;
    options.format = Format::kCsv;
    CHECK(RunQuery(cluster, options, recorded.console) == kExitOk);
    CHECK(recorded.out.str() == "a\n1\n");
    return recorded.err.str();
  };
  CHECK(said({.name = "delays"}) ==
        "millrace: late=227 quarantined=0 open_windows=3 watermark=1970-01-01T00:00:00.000000Z\n");
  // The facts are of the moment between the wait and the rows: none of these rows is missing.
  cluster.calls.clear();
  said({.name = "delays", .wait = true});
  CHECK(cluster.calls == std::vector<std::string>{"wait delays", "describe delays", "query"});
  cluster.calls.clear();
  said({.name = "delays"});
  CHECK(cluster.calls == std::vector<std::string>{"describe delays", "query"});
  CHECK(said({.name = "delays", .quiet = true}).empty());
  CHECK(said({.name = "delays", .output = Output::kLate}).empty());
  cluster.pipelines.clear();
  CHECK(said({.name = "delays"}).starts_with("millrace: what the rows do not show is not known: "));
}

TEST_CASE("values of keys are written as in CSV") {
  FakeCluster cluster;
  Recorded recorded;
  QueryOptions options;
  options.name = "delays";
  options.keys = {"a=", "b=\"\"", "c=\"say \"\"no\"\"\"", "d=\"x=1\"", "e=NULL"};
  CHECK(RunQuery(cluster, options, recorded.console) == kExitOk);
  CHECK(cluster.query.keys ==
        std::vector<std::pair<std::string, std::string>>{{"a", std::string(1, '\0')},
                                                         {"b", ""},
                                                         {"c", "say \"no\""},
                                                         {"d", "x=1"},
                                                         {"e", "NULL"}});
  const std::string open = GENERATE("a=\"", "a=\"x", "a=\"x\"y", "a=\"\"\"");
  options.keys = {open};
  CHECK(RunQuery(cluster, options, recorded.console) == kExitUsage);
  CHECK(recorded.Said("--key: a value that begins with a quote must end with one"));
}

TEST_CASE("filters that are wrong are errors of usage, found here or by the cluster") {
  FakeCluster cluster;
  Recorded recorded;
  QueryOptions options;
  options.name = "delays";
  options.keys = {"LAX"};
  CHECK(RunQuery(cluster, options, recorded.console) == kExitUsage);
  CHECK(recorded.Said("--key: write it as column=value, column= for NULL key=\"LAX\""));
  options.keys = {};
  options.from = "noon";
  CHECK(RunQuery(cluster, options, recorded.console) == kExitUsage);
  CHECK(recorded.Said("--from: not a time"));
  CHECK(cluster.calls.empty());
  options.from = {};
  cluster.answer = InvalidArgument("no such column column=x");
  CHECK(RunQuery(cluster, options, recorded.console) == kExitUsage);
  cluster.answer = Unavailable("the server cannot be reached");
  CHECK(RunQuery(cluster, options, recorded.console) == kExitUnavailable);
  CHECK(recorded.out.str().empty());
}

TEST_CASE("version is one line on standard output") {
  Recorded recorded;
  CHECK(RunVersion(recorded.console) == kExitOk);
  CHECK(recorded.out.str() == "millrace " + std::string(Version()) + " (semantics version " +
                                  std::to_string(kSemanticsVersion) + ")\n");
}

}  // namespace
}  // namespace millrace::cli
