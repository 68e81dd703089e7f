// What "nothing overtakes" needs of a gateway.
#include <set>

#include "fixture.h"
#include "millrace/record/record_headers.h"
#include "support/catch.h"

namespace millrace::ingest {
namespace {

using std::chrono::milliseconds;

}  // namespace

TEST_CASE("behind a failed append nothing of its lane is appended, and nothing else is held up") {
  Options options;
  options.appends_in_flight = 1;
  Fixture f(options);
  StreamSpec stream = Fixture::Stream();
  stream.format = GENERATE(RecordFormat::kArrow, RecordFormat::kJson);
  f.Add(stream);
  f.log.hold = true;
  f.log.fail_before = [](int number) {
    return number == 0 ? std::optional<Error>(Unavailable("the disk is full")) : std::nullopt;
  };
  const auto failing = std::make_shared<Lane>();
  const auto other = std::make_shared<Lane>();
  const auto first = f.Start(f.Request(Events(1), 0, 0, "a"), failing);
  f.executor.RunFor(milliseconds(10));  // it is with the log
  const auto queued = f.Start(f.Request(Events(2), 1, 0, "a"), failing);
  const auto beside = f.Start(f.Request(Events(2), 7, 0, "b"), other);
  f.executor.RunFor(milliseconds(10));  // packed, and behind it
  const auto packing = f.Start(f.Request(Events(2), 3, 0, "a"), failing);
  const auto unordered = f.Start(f.Request(Events(2), 9, 0, "c"));
  f.executor.RunFor(milliseconds(1));  // in the open block
  f.log.Release();
  f.executor.RunFor(milliseconds(20));
  const auto late = f.Start(f.Request(Events(1), 5, 0, "a"), failing);
  f.executor.RunFor(milliseconds(20));

  for (const auto& reply : {first, queued, packing, late}) {
    REQUIRE(reply->has_value());
    for (const EventResult& r : (*reply)->results) {
      REQUIRE_FALSE(r.ok());
      CHECK(r.error->retryable);
      CHECK(r.row == -1);
    }
  }
  CHECK(failing->broken);
  CHECK_FALSE(other->broken);
  std::set<std::pair<int64_t, int32_t>> places;
  for (const auto& reply : {beside, unordered}) {
    REQUIRE(reply->has_value());
    for (const EventResult& r : (*reply)->results) {
      REQUIRE(r.ok());
      CHECK(places.insert({r.offset, r.row}).second);
    }
  }
  if (stream.format == RecordFormat::kJson) {
    CHECK(f.Records().size() == 4);
    for (const LogRecord& r : f.Records()) CHECK(Header(r, kProducerHeader) != "a");
    return;
  }
  int64_t next = 7;
  for (const EventBatch& b : f.Blocks()) {
    for (const Producer& p : b.producers) CHECK(p.id == (next < 9 ? "b" : "c"));
    for (size_t row = 0; row < b.rows; ++row) {
      CHECK(places.contains({b.records[0].offset.value, static_cast<int32_t>(row)}));
      CHECK(b.sequence[row] == next++);
    }
  }
  CHECK(next == 11);
}

TEST_CASE("a lane broken in one partition gets nothing more into the others") {
  Fixture f;
  f.Add(Fixture::Stream(2));
  f.log.fail_before = [](int number) {
    return number == 0 ? std::optional<Error>(Unavailable("no answer")) : std::nullopt;
  };
  const auto lane = std::make_shared<Lane>();
  const auto failed = f.Start(f.Request({Fixture::Json("a", 0)}), lane);
  f.executor.RunFor(milliseconds(3));
  std::vector<std::string> everywhere;
  for (int i = 0; i < 20; ++i) everywhere.push_back(Fixture::Json(std::to_string(i), i));
  const auto behind = f.Start(f.Request(everywhere, 1), lane);
  f.executor.RunFor(milliseconds(20));
  REQUIRE(behind->has_value());
  for (const EventResult& r : (*behind)->results) CHECK_FALSE(r.ok());
  CHECK(f.Blocks(0).empty());
  CHECK(f.Blocks(1).empty());
}

TEST_CASE("appends under way behind a failed one fail too, and later ones are free of it") {
  Options options;
  options.block_bytes = 100;
  Fixture f(options);
  f.Add(Fixture::Stream());
  f.log.hold = true;
  f.log.fail_before = [](int number) {
    return number == 0 ? std::optional<Error>(Unavailable("no answer")) : std::nullopt;
  };
  const auto first = f.Start(f.Request(Events(4), 0), std::make_shared<Lane>());
  const auto second = f.Start(f.Request(Events(4), 4), std::make_shared<Lane>());
  f.executor.RunFor(milliseconds(10));
  REQUIRE(f.log.append_sizes.size() >= 2);
  f.log.Release();
  f.executor.RunFor(milliseconds(10));
  REQUIRE(second->has_value());
  for (const EventResult& r : (*second)->results) CHECK_FALSE(r.ok());
  CHECK(f.Records().empty());
  CHECK(f.Publish(f.Request(Events(4), 8)).results[3].ok());
}

TEST_CASE("an event that the log will never take does not break its lane") {
  Fixture f;
  f.Add(Fixture::Stream());
  f.log.fail_before = [](int number) {
    return number == 0 ? std::optional<Error>(InvalidArgument("too large")) : std::nullopt;
  };
  const auto lane = std::make_shared<Lane>();
  const auto refused = f.Start(f.Request(Events(1)), lane);
  f.executor.RunFor(milliseconds(10));
  REQUIRE(refused->has_value());
  CHECK((*refused)->results[0].error->reason == "LOG_REFUSED");
  CHECK_FALSE(lane->broken);
  const auto next = f.Start(f.Request(Events(1), 1), lane);
  f.executor.RunFor(milliseconds(10));
  CHECK((*next)->results[0].ok());
}

}  // namespace millrace::ingest
