// What requests become: streams with a thousand columns, records with long headers, large requests.

#include <numeric>

#include "fixture.h"
#include "support/catch.h"

namespace millrace::ingest {
namespace {

using std::chrono::milliseconds;

constexpr int kColumns = 1'000;

StreamSpec WideStream() {
  StreamSpec s;
  s.name = "wide";
  s.columns = {{"ts", Type::kTimestamp, true}};
  for (int i = 1; i < kColumns; ++i)
    s.columns.push_back({"c" + std::to_string(i), Type::kBigint, false});
  s.event_time = 0;
  s.partitions = 1;
  s.topic = "default.wide";
  return s;
}

std::string WideEvent(int column) {
  return R"({"ts":"2001-01-01T00:00:00Z","c)" + std::to_string(column) + R"(":1})";
}

size_t Sum(const std::vector<size_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), size_t{0});
}

std::vector<std::string> Events(int from, int n) {
  std::vector<std::string> events;
  for (int i = from; i < from + n; ++i)
    events.push_back(Fixture::Json("k" + std::to_string(i % 7), i));
  return events;
}

}  // namespace

TEST_CASE("a request of one-member events stays small in a stream of a thousand columns") {
  Fixture f;
  f.Add(WideStream());
  std::vector<std::string> events;
  const bool same = GENERATE(true, false);
  for (int i = 0; i < 10'000; ++i) events.push_back(WideEvent(same ? 7 : 1 + i % (kColumns - 1)));
  const PublishReply reply = f.Publish(f.Request(events));
  REQUIRE(reply.results.size() == 10'000);
  for (const EventResult& r : reply.results) REQUIRE(r.ok());
  // 330 KB of JSON. Columns of which each row fills another one are the worst that a block can
  // hold.
  CHECK(Sum(f.log.append_sizes) < (same ? 400'000 : 10'000'000));
  int64_t next = 0;
  for (const EventBatch& b : f.Blocks()) {
    for (size_t row = 0; row < b.rows; ++row, ++next) {
      REQUIRE(b.sequence[row] == next);
      const auto filled = static_cast<size_t>(same ? 7 : 1 + next % (kColumns - 1));
      REQUIRE(b.columns[filled].Integer(row) == 1);
      REQUIRE(b.columns[filled - 1].IsNull(row) == (filled != 1));
    }
  }
  CHECK(next == 10'000);
}

TEST_CASE("a full row before rows of few values does not make a block too large for the log") {
  Fixture f;
  f.Add(WideStream());
  std::string full = R"({"ts":"2001-01-01T00:00:00Z")";
  for (int i = 1; i < kColumns; ++i) full += ",\"c" + std::to_string(i) + "\":1";
  std::vector<std::string> events = {full + "}"};
  for (int i = 0; i < 5'000; ++i) events.push_back(WideEvent(1));
  const PublishReply reply = f.Publish(f.Request(events));
  for (const EventResult& r : reply.results) REQUIRE(r.ok());
}

TEST_CASE("many producers with long ids do not make a block too large for the log") {
  Fixture f;
  f.Add(Fixture::Stream());
  std::vector<std::shared_ptr<std::optional<PublishReply>>> replies;
  for (int i = 0; i < 5'000; ++i) {
    const std::string id = std::to_string(i) + std::string(kMaxProducerIdBytes - 10, 'p');
    replies.push_back(f.Start(f.Request(Events(i, 1), 0, 0, id)));
  }
  f.executor.RunFor(milliseconds(50));
  for (const auto& reply : replies) {
    REQUIRE(reply->has_value());
    REQUIRE((*reply)->results.at(0).ok());
  }
  for (const size_t size : f.log.append_sizes) CHECK(size < 100'000);
}

TEST_CASE("while the log takes nothing, what requests became stays within a bound") {
  Options options;
  options.packed_bytes = 1 << 20;
  Fixture f(options);
  StreamSpec stream = Fixture::Stream();
  const bool json = GENERATE(true, false);
  if (json) stream.format = RecordFormat::kJson;
  f.Add(stream);
  f.log.hold = true;
  // Each event of a json stream carries the id: 1 KB for 50 bytes of payload.
  const std::string id(kMaxProducerIdBytes, 'p');
  std::vector<std::shared_ptr<std::optional<PublishReply>>> replies;
  for (int i = 0; i < 8; ++i)
    replies.push_back(f.Start(f.Request(Events(0, 10'000), 10'000 * i, 10'000 * i, id)));
  f.executor.RunFor(milliseconds(100));
  CHECK(Sum(f.log.append_sizes) < options.packed_bytes + (1 << 20));
  CHECK(f.metrics.Value("millrace_gateway_in_flight_bytes") < 24e6);

  f.log.Release();
  f.executor.RunFor(milliseconds(1'000));
  for (const auto& reply : replies) {
    REQUIRE(reply->has_value());
    for (const EventResult& r : (*reply)->results) REQUIRE(r.ok());
  }
  CHECK(f.metrics.Value("millrace_gateway_in_flight_bytes") == 0);
}

TEST_CASE("a stream whose own records are through packs on while another fills the bound") {
  Options options;
  options.packed_bytes = 100'000;
  Fixture f(options);
  f.Add(Fixture::Stream(1, "other"));
  f.Add(Fixture::Stream());
  f.log.hold = true;
  const auto stuck = f.Start(f.Request(Events(0, 10'000)));
  f.executor.RunFor(milliseconds(50));
  const size_t before = f.log.append_sizes.size();
  PublishRequest request = f.Request(Events(0, 1));
  request.stream = "other";
  const auto reply = f.Start(std::move(request));
  f.executor.RunFor(milliseconds(50));
  CHECK(f.log.append_sizes.size() == before + 1);
  f.log.Release();
  f.executor.RunFor(milliseconds(500));
  CHECK(reply->has_value());
  CHECK(stuck->has_value());
}

TEST_CASE("a large request is packed in slices between which others have their turn") {
  Fixture f;
  f.Add(Fixture::Stream());
  f.log.hold = true;
  const auto reply = f.Start(f.Request(Events(0, 10'000)));
  size_t at_turn = 0;
  f.executor.Post([&] { at_turn = f.log.append_sizes.size(); });
  f.executor.RunFor(milliseconds(50));
  CHECK(f.log.append_sizes.size() >= 5);
  CHECK(at_turn <= 1);
  f.log.Release();
  f.executor.RunFor(milliseconds(50));
  CHECK(reply->has_value());
}

TEST_CASE("large requests to one stream are packed one after another, and small ones behind them") {
  Fixture f;
  f.Add(Fixture::Stream());
  f.Start(f.Request(Events(0, 3'000), 0));
  f.Start(f.Request(Events(3'000, 1), 3'000));
  f.Start(f.Request(Events(3'001, 3'000), 3'001));
  f.executor.RunFor(milliseconds(50));
  int64_t next = 0;
  for (const EventBatch& b : f.Blocks())
    for (size_t row = 0; row < b.rows; ++row) REQUIRE(b.sequence[row] == next++);
  CHECK(next == 6'001);
}

TEST_CASE("a definition that changes between two slices holds for the later ones") {
  Fixture f;
  const StreamSpec before = Fixture::Stream();
  f.Add(before);
  StreamSpec after = before;
  after.schema_id = 2;
  after.columns.push_back({"w", Type::kInt, false});
  const auto reply = f.Start(f.Request(Events(0, 2'000)));
  f.executor.Post([&] { f.gateway.SetStream(after); });
  f.executor.RunFor(milliseconds(50));
  REQUIRE(reply->has_value());
  int64_t next = 0;
  bool changed = false;
  for (const LogRecord& r : f.Records()) {
    const Buffer value{r.owner, r.value};
    auto block = f.codec.Decode(changed ? after : before, value, r.offset, 0);
    if (!block.ok() && !changed) {
      changed = true;
      block = f.codec.Decode(after, value, r.offset, 0);
    }
    REQUIRE(block.ok());
    for (size_t row = 0; row < block->rows; ++row) REQUIRE(block->sequence[row] == next++);
  }
  CHECK(changed);
  CHECK(next == 2'000);
}

}  // namespace millrace::ingest
