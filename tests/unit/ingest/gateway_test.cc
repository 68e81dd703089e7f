#include "fixture.h"
#include "millrace/base/hash.h"
#include "millrace/record/record_headers.h"
#include "support/catch.h"

namespace millrace::ingest {
namespace {

using std::chrono::milliseconds;

}  // namespace

TEST_CASE("events come back from the log with their columns, numbers and positions") {
  Fixture f;
  f.Add(Fixture::Stream());
  const PublishReply reply = f.Publish(f.Request(Events(3, 70), 100, 90));
  REQUIRE(reply.results.size() == 3);
  for (int i = 0; i < 3; ++i) {
    CHECK(reply.results[static_cast<size_t>(i)].partition == 0);
    CHECK(reply.results[static_cast<size_t>(i)].offset == 0);
    CHECK(reply.results[static_cast<size_t>(i)].row == i);
  }
  const std::vector<EventBatch> blocks = f.Blocks();
  REQUIRE(blocks.size() == 1);
  const EventBatch& block = blocks[0];
  REQUIRE(block.rows == 3);
  CHECK(block.columns[0].Integer(0) == 978'307'200 * kSecond);
  CHECK(block.columns[1].Text(2) == "k2");
  CHECK(block.columns[2].Integer(1) == 71);
  CHECK(block.sequence[2] == 102);
  REQUIRE(block.producers.size() == 1);
  CHECK(block.producers[0].principal == "local");
  CHECK(block.producers[0].id == "p1");
  CHECK(block.producers[0].acked_below == 90);
  CHECK(!f.Records()[0].key.empty());
}

TEST_CASE("a block lingers for five milliseconds and takes what comes meanwhile") {
  Fixture f;
  f.Add(Fixture::Stream());
  const auto first = f.Start(f.Request(Events(2), 0, 0, "p1"));
  f.executor.RunFor(milliseconds(3));
  const auto second = f.Start(f.Request(Events(2, 10), 0, 0, "p2"));
  f.executor.RunFor(std::chrono::microseconds(1'900));
  CHECK(!first->has_value());
  CHECK(f.Records().empty());
  f.executor.RunFor(std::chrono::microseconds(200));
  REQUIRE(first->has_value());
  REQUIRE(second->has_value());
  CHECK((*second)->results[1].row == 3);
  const auto blocks = f.Blocks();
  REQUIRE(blocks.size() == 1);
  CHECK(blocks[0].rows == 4);
  REQUIRE(blocks[0].producers.size() == 2);
  CHECK(blocks[0].producers[static_cast<size_t>(blocks[0].producer[3])].id == "p2");
}

TEST_CASE("a later request starts a linger of its own") {
  Fixture f;
  f.Add(Fixture::Stream());
  f.Publish(f.Request(Events(1), 0));
  const auto later = f.Start(f.Request(Events(1), 1));
  f.executor.RunFor(std::chrono::microseconds(4'900));
  CHECK(!later->has_value());
  f.executor.RunFor(std::chrono::microseconds(200));
  CHECK(later->has_value());
}

TEST_CASE("a block carries each producer's largest acked_below") {
  Fixture f;
  f.Add(Fixture::Stream());
  f.Start(f.Request(Events(1), 7, 3));
  f.Start(f.Request(Events(1), 8, 6));
  f.Start(f.Request(Events(1), 9, 5));
  f.executor.RunFor(milliseconds(10));
  const auto blocks = f.Blocks();
  REQUIRE(blocks.size() == 1);
  REQUIRE(blocks[0].producers.size() == 1);
  CHECK(blocks[0].producers[0].acked_below == 6);
}

TEST_CASE("a block closes at 64 KiB without waiting") {
  Fixture f;
  f.Add(Fixture::Stream());
  std::vector<std::string> events;
  for (int i = 0; i < 3'000; ++i) events.push_back(Fixture::Json(std::string(50, 'x'), i));
  const auto reply = f.Start(f.Request(events));
  f.executor.RunFor(milliseconds(1));
  const auto blocks = f.Blocks();
  REQUIRE(blocks.size() == 3);
  for (const EventBatch& b : blocks) CHECK(b.rows > 700);
  for (const LogRecord& r : f.Records()) CHECK(r.value.size() < 75'000);
  CHECK(!reply->has_value());
  f.executor.RunFor(milliseconds(10));
  REQUIRE(reply->has_value());
  CHECK(f.Blocks().size() == 4);
  int64_t next = 0;
  for (const EventBatch& b : f.Blocks())
    for (size_t row = 0; row < b.rows; ++row) CHECK(b.sequence[row] == next++);
  CHECK(next == 3'000);
}

TEST_CASE("an event is acknowledged only when the log has it") {
  Fixture f;
  f.Add(Fixture::Stream());
  f.log.hold = true;
  const auto reply = f.Start(f.Request(Events(2)));
  f.executor.RunFor(std::chrono::hours(1));
  CHECK(f.log.append_sizes.size() == 1);
  CHECK(!reply->has_value());
  f.log.Release();
  f.executor.RunFor(milliseconds(1));
  REQUIRE(reply->has_value());
  CHECK((*reply)->results[1].ok());
}

TEST_CASE("an append with an unknown outcome makes its events retryable, and is not repeated") {
  Fixture f;
  f.Add(Fixture::Stream());
  // Written all the same: the worst case of not knowing.
  f.log.fail_after = [](int number) {
    return number == 0 ? std::optional<Error>(Unavailable("no answer")) : std::nullopt;
  };
  const PublishReply reply = f.Publish(f.Request(Events(2)));
  REQUIRE(reply.results.size() == 2);
  for (const EventResult& r : reply.results) {
    REQUIRE(!r.ok());
    CHECK(r.error->code == Code::kUnavailable);
    CHECK(r.error->reason == "UNAVAILABLE");
    CHECK(r.error->retryable);
    CHECK(r.offset == -1);
  }
  CHECK(f.log.append_sizes.size() == 1);
  CHECK(f.metrics.Value("millrace_gateway_log_errors_total{reason=\"unavailable\"}") == 1);
  CHECK(f.metrics.Value("millrace_gateway_events_total{namespace=\"default\",stream=\"s\","
                        "result=\"unknown\"}") == 2);

  CHECK(f.Publish(f.Request(Events(2))).results[0].ok());
  CHECK(f.Blocks().size() == 2);
}

TEST_CASE("of the log's errors only a record that is too large is final") {
  Fixture f;
  f.Add(Fixture::Stream());
  const Code code =
      GENERATE(Code::kInvalidArgument, Code::kNotFound, Code::kConflict, Code::kFenced,
               Code::kUnavailable, Code::kResourceExhausted, Code::kCorruption, Code::kInternal);
  INFO(CodeName(code));
  f.log.fail_before = [code](int) { return std::optional<Error>(Error{code, "as it says"}); };
  const PublishReply reply = f.Publish(f.Request(Events(1)));
  REQUIRE(!reply.results[0].ok());
  const EventError& error = *reply.results[0].error;
  CHECK(error.message.find("as it says") != std::string::npos);
  const bool final = code == Code::kInvalidArgument;
  CHECK(error.reason == (final ? "LOG_REFUSED" : "UNAVAILABLE"));
  CHECK(error.code == (final ? Code::kInvalidArgument : Code::kUnavailable));
  CHECK(error.retryable == !final);
}

TEST_CASE("a log that takes no events is told until it takes some, or nobody has tried for long") {
  Fixture f;
  f.Add(Fixture::Stream());
  const auto trouble = [&] {
    return f.executor.RunUntilDone([](Gateway* gateway) -> Task<std::string> {
      co_return gateway->AppendTrouble();
    }(&f.gateway));
  };
  const auto fails_with = [&](std::optional<Error> error) {
    f.log.fail_before = [error](int) { return error; };
    f.Publish(f.Request(Events(1)));
  };
  CHECK(trouble().empty());
  fails_with(InvalidArgument("too large"));
  CHECK(trouble().empty());  // the event's fault
  fails_with(Unavailable("no space"));
  CHECK(trouble().find("the log takes no events") == 0);
  CHECK(trouble().find("partitions=1 topic=default.s partition=0 error=\"no space\"") !=
        std::string::npos);
  fails_with(std::nullopt);
  CHECK(trouble().empty());
  fails_with(Unavailable("no space"));
  f.executor.RunFor(std::chrono::seconds(29));
  CHECK(!trouble().empty());
  f.executor.RunFor(std::chrono::seconds(1));
  CHECK(trouble().empty());
}

TEST_CASE("a request whose blocks fare differently tells each event its own fate") {
  Fixture f;
  f.Add(Fixture::Stream(4));
  f.log.fail_before = [](int number) {
    return number == 1 ? std::optional<Error>(Unavailable("no answer")) : std::nullopt;
  };
  const PublishReply reply = f.Publish(f.Request(Events(40)));
  int failed = 0;
  for (const EventResult& r : reply.results) failed += !r.ok();
  size_t written = 0;
  for (int p = 0; p < 4; ++p)
    for (const EventBatch& b : f.Blocks(p)) written += b.rows;
  CHECK(failed > 0);
  CHECK(written == 40 - static_cast<size_t>(failed));
}

TEST_CASE("past the bound of bytes in flight requests are told to come later") {
  Options options;
  options.in_flight_bytes = 900;
  Fixture f(options);
  f.Add(Fixture::Stream());
  f.log.hold = true;
  const auto first = f.Start(f.Request(Events(8)));
  f.executor.RunFor(milliseconds(10));
  CHECK(f.metrics.Value("millrace_gateway_in_flight_bytes") > 800);

  const PublishReply refused = f.Publish(f.Request(Events(1), 8));
  REQUIRE(refused.error);
  CHECK(refused.error->code == Code::kResourceExhausted);
  CHECK(refused.error->reason == "OVERLOADED");
  CHECK(refused.error->retry_after == milliseconds(100));
  CHECK(f.metrics.Value("millrace_gateway_backpressure_total{reason=\"in_flight_bytes\"}") == 1);

  f.log.Release();
  f.executor.RunFor(milliseconds(10));
  CHECK(first->has_value());
  CHECK(f.metrics.Value("millrace_gateway_in_flight_bytes") == 0);
  CHECK(!f.Publish(f.Request(Events(1), 8)).error);
}

TEST_CASE("a request larger than the whole bound is taken when nothing else is in flight") {
  Options options;
  options.in_flight_bytes = 10;
  Fixture f(options);
  f.Add(Fixture::Stream());
  CHECK(f.Publish(f.Request(Events(3))).results[2].ok());
}

TEST_CASE("requests started one after another enter a partition in that order") {
  Options options;
  options.appends_in_flight = 2;
  options.block_bytes = 100;
  Fixture f(options);
  f.Add(Fixture::Stream());
  f.log.hold = true;
  for (int i = 0; i < 50; ++i) f.Start(f.Request(Events(4), 4 * i));
  f.executor.RunFor(milliseconds(20));
  CHECK(f.log.append_sizes.size() == 2);
  f.log.Release();
  f.executor.RunFor(milliseconds(20));
  int64_t next = 0;
  for (const EventBatch& b : f.Blocks())
    for (size_t row = 0; row < b.rows; ++row) CHECK(b.sequence[row] == next++);
  CHECK(next == 200);
}

TEST_CASE("the partition is murmur2 of the key's canonical text, as Java clients compute it") {
  Fixture f;
  f.Add(Fixture::Stream(7));
  const PublishReply reply = f.Publish(f.Request(Events(100)));
  for (int i = 0; i < 100; ++i) {
    const uint32_t hash = Murmur2("k" + std::to_string(i));
    CHECK(reply.results[static_cast<size_t>(i)].partition ==
          static_cast<int32_t>((hash & 0x7fffffff) % 7));
  }
}

TEST_CASE("a numeric key is partitioned by its decimal text, NULL by a zero byte") {
  Fixture f;
  StreamSpec stream = Fixture::Stream(11);
  stream.columns[1] = {"k", Type::kBigint, false};
  f.Add(stream);
  const PublishReply reply =
      f.Publish(f.Request({R"({"ts":"2001-01-01T00:00:00Z","k":-12,"v":1})",
                           R"({"ts":"2001-01-01T00:00:00Z","k":"-12","v":1})",
                           R"({"ts":"2001-01-01T00:00:00Z","v":1})"}));
  const auto of = [](std::string_view key) {
    return static_cast<int32_t>((Murmur2(key) & 0x7fffffff) % 11);
  };
  CHECK(reply.results[0].partition == of("-12"));
  CHECK(reply.results[1].partition == of("-12"));
  CHECK(reply.results[2].partition == of(std::string_view("\0", 1)));
}

TEST_CASE("without a partition key a resent event meets its first copy, a run of 1,024 at a time") {
  Fixture f;
  StreamSpec stream = Fixture::Stream(16);
  stream.partition_key = -1;
  f.Add(stream);
  const auto partitions = [&](int64_t first, const std::string& producer) {
    std::vector<int32_t> out;
    for (const EventResult& r : f.Publish(f.Request(Events(2'048), first, first, producer)).results)
      out.push_back(r.partition);
    return out;
  };
  const auto sent = partitions(0, "p1");
  CHECK(partitions(0, "p1") == sent);
  CHECK(std::count(sent.begin(), sent.begin() + 1'024, sent[0]) == 1'024);
  CHECK(std::count(sent.begin() + 1'024, sent.end(), sent[1'024]) == 1'024);
  // The documented bytes: principal and producer with their lengths, then the run.
  const std::string key = std::string("\x05local\x02p1", 9) + std::string(8, '\0');
  CHECK(sent[0] == static_cast<int32_t>((Murmur2(key) & 0x7fffffff) % 16));

  std::vector<int32_t> first_of_producers;
  for (int i = 0; i < 20; ++i)
    first_of_producers.push_back(partitions(0, "q" + std::to_string(i))[0]);
  std::sort(first_of_producers.begin(), first_of_producers.end());
  CHECK(std::unique(first_of_producers.begin(), first_of_producers.end()) -
            first_of_producers.begin() >
        5);
}

TEST_CASE("events without key and identity go to all partitions in turn") {
  Fixture f;
  StreamSpec stream = Fixture::Stream(3);
  stream.partition_key = -1;
  f.Add(stream);
  const PublishReply reply = f.Publish(f.Request(Events(7), 0, 0, ""));
  std::vector<int> counts(3);
  for (const EventResult& r : reply.results) ++counts[static_cast<size_t>(r.partition)];
  std::sort(counts.begin(), counts.end());
  CHECK(counts == std::vector<int>{2, 2, 3});
}

TEST_CASE("a json stream gets one record an event, untouched, with its identity in headers") {
  Fixture f;
  StreamSpec stream = Fixture::Stream(1);
  stream.format = RecordFormat::kJson;
  f.Add(stream);
  const std::string odd = R"(  {"v": 5, "ts":"2001-01-01T00:00:00Z","k":"a", "more": [1]} )";
  const PublishReply reply = f.Publish(f.Request({Fixture::Json("b", 1), "broken", odd}, 40, 30));
  REQUIRE(reply.results.size() == 3);
  CHECK(reply.results[0].offset == 0);
  CHECK(reply.results[1].error->reason == "UNREADABLE");
  CHECK(reply.results[2].offset == 1);
  CHECK(reply.results[2].row == 0);
  const auto records = f.Records();
  REQUIRE(records.size() == 2);
  CHECK(records[1].value == odd);
  CHECK(records[1].key == "a");
  CHECK(records[1].headers.size() == 4);
  CHECK(Header(records[1], kPrincipalHeader) == "local");
  CHECK(Header(records[1], kProducerHeader) == "p1");
  CHECK(Header(records[1], kSequenceHeader) == "42");
  CHECK(Header(records[1], kAckedBelowHeader) == "30");

  f.Publish(f.Request({odd}, 0, 0, ""));
  CHECK(f.Records().at(2).headers.empty());
}

TEST_CASE("a stream that keeps the raw payload has it in its blocks") {
  Fixture f;
  StreamSpec stream = Fixture::Stream();
  stream.keep_raw = true;
  f.Add(stream);
  const std::string payload = Fixture::Json("a", 1) + " ";
  f.Publish(f.Request({payload}));
  const auto blocks = f.Blocks();
  REQUIRE(blocks.at(0).payload != nullptr);
  CHECK(blocks[0].payload[0] == payload);
}

TEST_CASE("a changed definition takes effect between blocks, and order stays") {
  Fixture f;
  const StreamSpec before = Fixture::Stream();
  f.Add(before);
  f.Start(f.Request(Events(1), 0));
  f.executor.RunFor(milliseconds(1));
  StreamSpec after = before;
  after.schema_id = 2;
  after.columns.push_back({"w", Type::kInt, false});
  f.executor.RunUntilDone([](Gateway* g, StreamSpec s) -> Task<bool> {
    g->SetStream(std::move(s));
    co_return true;
  }(&f.gateway, after));
  f.Publish(f.Request({R"({"ts":"2001-01-01T00:00:00Z","k":"a","v":1,"w":9})"}, 1));
  const auto records = f.Records();
  REQUIRE(records.size() == 2);
  CHECK(f.codec.Decode(before, Buffer{records[0].owner, records[0].value}, Offset(0), 0).ok());
  const auto second =
      f.codec.Decode(after, Buffer{records[1].owner, records[1].value}, Offset(1), 0);
  REQUIRE(second.ok());
  CHECK(second->columns[3].Integer(0) == 9);
}

TEST_CASE("a stream that is dropped takes nothing more, and requests under way end") {
  Fixture f;
  StreamSpec stream = Fixture::Stream();
  if (GENERATE(true, false)) stream.format = RecordFormat::kJson;
  stream.generation = Offset(7);
  f.Add(stream);
  f.log.hold = true;
  const auto with_the_log = f.Start(f.Request(Events(1)));
  f.executor.RunFor(milliseconds(10));
  // Not started, or in an open block.
  const auto behind = f.Start(f.Request(Events(1), 1));
  f.executor.RunFor(milliseconds(0));
  StreamSpec other = stream;
  other.generation = Offset(8);
  f.gateway.RemoveStream(other);
  CHECK(f.gateway.Streams().size() == 1);
  f.gateway.RemoveStream(stream);
  CHECK(f.gateway.Streams().empty());
  f.executor.RunFor(milliseconds(10));
  const size_t handed_over = f.log.append_sizes.size();
  f.log.Release();
  f.executor.RunFor(milliseconds(10));
  CHECK(f.log.append_sizes.size() == handed_over);
  REQUIRE(with_the_log->has_value());
  CHECK((*with_the_log)->results[0].ok());
  REQUIRE(behind->has_value());
  const EventResult& late = (*behind)->results[0];
  if (handed_over == 1) {
    REQUIRE_FALSE(late.ok());
    CHECK(late.error->reason == "UNKNOWN_STREAM");
    CHECK_FALSE(late.error->retryable);
  }
  CHECK(f.Publish(f.Request(Events(1), 2)).error->reason == "UNKNOWN_STREAM");
}

TEST_CASE("events for a dropped stream never go to the stream that takes its name and topic") {
  Fixture f;
  StreamSpec stream = Fixture::Stream();
  stream.generation = Offset(7);
  f.Add(stream);
  const auto reply = f.Start(f.Request(Events(1)));
  f.executor.RunFor(milliseconds(1));
  stream.generation = Offset(9);
  f.Add(stream);
  f.executor.RunFor(milliseconds(10));
  REQUIRE(reply->has_value());
  CHECK((*reply)->results[0].error->reason == "UNKNOWN_STREAM");
  CHECK(f.Records().empty());
}

TEST_CASE("events, bytes and durations are counted by stream and result") {
  Fixture f;
  f.Add(Fixture::Stream());
  f.Publish(f.Request({Fixture::Json("a", 1), "broken", Fixture::Json("b", 2)}));
  const std::string labels = "{namespace=\"default\",stream=\"s\"";
  CHECK(f.metrics.Value("millrace_gateway_events_total" + labels + ",result=\"acknowledged\"}") ==
        2);
  CHECK(f.metrics.Value("millrace_gateway_events_total" + labels + ",result=\"refused\"}") == 1);
  CHECK(f.metrics.Value("millrace_gateway_bytes_total" + labels + "}") ==
        2 * static_cast<double>(Fixture::Json("a", 1).size()) + 6);
  CHECK(f.metrics.Value("millrace_gateway_publish_duration_seconds" + labels + "}") == 1);
}

TEST_CASE("a dry run judges every event, appends none and counts none") {
  Fixture f;
  f.Add(Fixture::Stream(4));
  PublishRequest request = f.Request({Fixture::Json("a", 1), "broken", Fixture::Json("b", 2)});
  const auto real = f.Publish(request);
  const double counted = f.metrics.Value(
      "millrace_gateway_events_total{namespace=\"default\",stream=\"s\",result=\"acknowledged\"}");
  const size_t appends = f.log.append_sizes.size();
  request.dry_run = true;
  const auto reply = f.Publish(request);
  REQUIRE(reply.results.size() == 3);
  CHECK(reply.results[0].ok());
  CHECK(reply.results[0].partition == real.results[0].partition);
  CHECK(reply.results[0].offset == -1);
  CHECK(reply.results[1].error->reason == "UNREADABLE");
  CHECK(reply.results[2].ok());
  CHECK(f.log.append_sizes.size() == appends);
  CHECK(f.metrics.Value("millrace_gateway_events_total{namespace=\"default\",stream=\"s\",result="
                        "\"acknowledged\"}") == counted);
}

TEST_CASE("an empty request is answered at once") {
  Fixture f;
  f.Add(Fixture::Stream());
  const PublishReply reply = f.Publish(f.Request({}));
  CHECK(!reply.error);
  CHECK(reply.results.empty());
}

}  // namespace millrace::ingest
