#include <limits>

#include "fixture.h"
#include "support/catch.h"

namespace millrace::ingest {
namespace {

/// Publishes one event among two good ones and gives its error.
EventError Refused(Fixture* f, PublishRequest request) {
  const PublishReply reply = f->Publish(std::move(request));
  REQUIRE(!reply.error);
  REQUIRE(reply.results.size() == 3);
  CHECK(reply.results[0].ok());
  REQUIRE(!reply.results[1].ok());
  CHECK(reply.results[2].ok());
  CHECK(f->Blocks().at(0).rows == 2);
  return *reply.results[1].error;
}

EventError RefusedPayload(const std::string& payload) {
  Fixture f;
  f.Add(Fixture::Stream());
  return Refused(&f, f.Request({Fixture::Json("a", 1), payload, Fixture::Json("b", 2)}));
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an event that is not sound is refused alone, with its reason, and not appended") {
  const auto [payload, reason] = GENERATE(table<std::string, std::string>({
      {"{broken", "UNREADABLE"},
      {"", "UNREADABLE"},
      {R"({"ts":"2001-01-01T00:00:00Z","k":"a"})", "MISSING_COLUMN"},
      {R"({"ts":"2001-01-01T00:00:00Z","k":"a","v":null})", "MISSING_COLUMN"},
      {R"({"ts":"2001-01-01T00:00:00Z","k":"a","v":1.0})", "WRONG_TYPE"},
      {R"({"k":"a","v":1})", "NULL_EVENT_TIME"},
      {R"({"ts":"9999-12-31T23:59:59-01:00","k":"a","v":1})", "EVENT_TIME_OUT_OF_RANGE"},
  }));
  INFO(payload);
  const EventError error = RefusedPayload(payload);
  CHECK(error.reason == reason);
  CHECK(error.code == Code::kInvalidArgument);
  CHECK(!error.retryable);
  CHECK(Contains(error.message, "stream=s"));
}

TEST_CASE("an event of a million bytes is taken, one byte more is refused") {
  std::string payload = Fixture::Json("a", 1);
  payload.insert(payload.size() - 1, kMaxEventBytes - payload.size(), ' ');
  Fixture f;
  f.Add(Fixture::Stream());
  CHECK(f.Publish(f.Request({payload})).results[0].ok());

  payload.insert(payload.size() - 1, " ");
  const EventError error = RefusedPayload(payload);
  CHECK(error.reason == "EVENT_TOO_LARGE");
  CHECK(Contains(error.message, "bytes=1000001 limit=1000000"));
}

TEST_CASE("a payload of a kind that no stream takes is unreadable") {
  Fixture f;
  f.Add(Fixture::Stream());
  PublishRequest request =
      f.Request({Fixture::Json("a", 1), Fixture::Json("a", 1), Fixture::Json("b", 2)});
  request.events[1].kind = PayloadKind::kArrow;
  CHECK(Refused(&f, request).reason == "UNREADABLE");
}

TEST_CASE("an explicit key must be the text of the partition key column") {
  Fixture f;
  f.Add(Fixture::Stream());
  PublishRequest request =
      f.Request({Fixture::Json("a", 1), Fixture::Json("a", 1), Fixture::Json("b", 2)});
  request.events[0].key = "a";
  request.events[1].key = "b";
  request.events[2].key = "b";
  const EventError error = Refused(&f, request);
  CHECK(error.reason == "KEY_MISMATCH");
  CHECK(Contains(error.message, R"(column=k value="a" key="b")"));
}

TEST_CASE("the key of an event whose partition key is NULL is one zero byte") {
  Fixture f;
  f.Add(Fixture::Stream());
  PublishRequest request = f.Request({R"({"ts":"2001-01-01T00:00:00Z","v":1})"});
  request.events[0].key = std::string_view("\0", 1);
  CHECK(f.Publish(request).results[0].ok());
}

TEST_CASE("a stream without partition key takes no key") {
  Fixture f;
  StreamSpec stream = Fixture::Stream();
  stream.partition_key = -1;
  f.Add(stream);
  PublishRequest request =
      f.Request({Fixture::Json("a", 1), Fixture::Json("a", 1), Fixture::Json("b", 2)});
  request.events[1].key = "a";
  CHECK(Refused(&f, request).reason == "KEY_MISMATCH");
}

TEST_CASE("sequences lie less than 65,536 above acked_below") {
  Fixture f;
  f.Add(Fixture::Stream());
  const std::vector<std::string> two = {Fixture::Json("a", 1), Fixture::Json("a", 2)};
  const PublishReply reply = f.Publish(f.Request(two, 10 + 65'535, 10));
  CHECK(reply.results[0].ok());
  REQUIRE(!reply.results[1].ok());
  CHECK(reply.results[1].error->reason == "SEQUENCE_SPAN");
  CHECK(Contains(reply.results[1].error->message, "acked_below=10 limit=65536"));
}

TEST_CASE("negative and overflowing sequence numbers are refused") {
  Fixture f;
  f.Add(Fixture::Stream());
  const std::vector<std::string> two = {Fixture::Json("a", 1), Fixture::Json("a", 2)};

  const PublishReply negative = f.Publish(f.Request(two, -1, 0));
  REQUIRE(!negative.results[0].ok());
  CHECK(negative.results[0].error->reason == "SEQUENCE_SPAN");
  CHECK(negative.results[1].ok());

  const PublishReply below = f.Publish(f.Request(two, 5, -1));
  CHECK(!below.results[0].ok());
  CHECK(!below.results[1].ok());

  const int64_t last = std::numeric_limits<int64_t>::max();
  const PublishReply overflow = f.Publish(f.Request(two, last, last));
  CHECK(overflow.results[0].ok());
  REQUIRE(!overflow.results[1].ok());
  CHECK(overflow.results[1].error->reason == "SEQUENCE_SPAN");
}

TEST_CASE("sequences below acked_below pass, because shards drop repeats") {
  Fixture f;
  f.Add(Fixture::Stream());
  CHECK(f.Publish(f.Request({Fixture::Json("a", 1)}, 3, 10)).results[0].ok());
}

TEST_CASE("without a producer the numbers mean nothing") {
  Fixture f;
  f.Add(Fixture::Stream());
  CHECK(f.Publish(f.Request({Fixture::Json("a", 1)}, -5, 1'000'000, "")).results[0].ok());
  const auto blocks = f.Blocks();
  CHECK((blocks.at(0).producer == nullptr || blocks[0].producer[0] == -1));
}

TEST_CASE("a request for an unknown stream is refused as a whole") {
  Fixture f;
  f.Add(Fixture::Stream());
  PublishRequest request = f.Request({Fixture::Json("a", 1)});
  request.stream = "other";
  const PublishReply reply = f.Publish(request);
  REQUIRE(reply.error);
  CHECK(reply.error->code == Code::kNotFound);
  CHECK(reply.error->reason == "UNKNOWN_STREAM");
  CHECK(Contains(reply.error->message, "`millrace stream list` shows what there is stream=other"));
  CHECK(reply.results.empty());

  f.gateway.RemoveStream(Fixture::Stream());
  CHECK(f.Publish(f.Request({Fixture::Json("a", 1)})).error->reason == "UNKNOWN_STREAM");
}

TEST_CASE("a request of too many events or bytes is refused as a whole, and nothing is written") {
  Fixture f;
  f.Add(Fixture::Stream());
  SECTION("events") {
    std::vector<std::string> events(kMaxRequestEvents, Fixture::Json("a", 1));
    CHECK(!f.Publish(f.Request(events)).error);
    const size_t written = f.Records().size();
    events.push_back(events[0]);
    const PublishReply reply = f.Publish(f.Request(events));
    REQUIRE(reply.error);
    CHECK(reply.error->reason == "BATCH_TOO_LARGE");
    CHECK(reply.error->code == Code::kInvalidArgument);
    CHECK(Contains(reply.error->message, "events=10001 limit=10000"));
    CHECK(f.Records().size() == written);
  }
  SECTION("bytes") {
    const PublishReply reply =
        f.Publish(f.Request(std::vector<std::string>(9, std::string(1'000'000, ' '))));
    REQUIRE(reply.error);
    CHECK(reply.error->reason == "BATCH_TOO_LARGE");
    CHECK(Contains(reply.error->message, "limit=8388608"));
    CHECK(f.Records().empty());
  }
}

TEST_CASE("a producer_id that would bloat every block is refused") {
  Fixture f;
  f.Add(Fixture::Stream());
  const auto request = [&](size_t n) {
    return f.Request({Fixture::Json("a", 1)}, 0, 0, std::string(n, 'p'));
  };
  CHECK(!f.Publish(request(kMaxProducerIdBytes)).error);
  CHECK(f.Publish(request(kMaxProducerIdBytes + 1)).error->reason == "PRODUCER_ID_TOO_LONG");
}

}  // namespace millrace::ingest
