#include <set>

#include "fixture.h"
#include "producer_bound.h"
#include "support/catch.h"

namespace millrace::ingest {
namespace {

using std::chrono::milliseconds;

constexpr const char* kRefusals = "millrace_gateway_backpressure_total{reason=\"producers\"}";

Options Bounded(int64_t at_once) {
  Options options;
  options.new_producers = at_once;
  options.new_producer_interval = std::chrono::hours(1);
  options.known_producers = 100;
  return options;
}

class Producers : public Fixture {
 public:
  explicit Producers(Options options) : Fixture(options) { Add(Stream()); }

  std::optional<RequestError> Send(const std::string& producer, int64_t sequence = 0) {
    return Publish(Request({Json("k", 1)}, sequence, 0, producer)).error;
  }
  bool Taken(const std::string& producer) { return !Send(producer); }
  /// Those that a shard that reads the stream gets to know.
  std::set<std::string> InLog() {
    std::set<std::string> ids;
    for (const EventBatch& block : Blocks())
      for (const Producer& p : block.producers) ids.insert(p.id);
    return ids;
  }
};

}  // namespace

TEST_CASE("a caller with a new id for each request fills no shard, and known producers go on") {
  Producers f(Bounded(10));
  REQUIRE(f.Taken("known"));
  int refused = 0;
  for (int i = 0; i < 1'000; ++i) {
    const auto error = f.Send("invented-" + std::to_string(i));
    if (error) {
      ++refused;
      CHECK(error->code == Code::kResourceExhausted);
      CHECK(error->reason == "PRODUCERS");
      CHECK(error->field == "producer_id");
      CHECK(error->retry_after > milliseconds(0));
    }
    CHECK(!f.Send("known", i + 1));
  }
  CHECK(refused == 1'000 - 9);
  CHECK(f.InLog().size() == 10);
  CHECK(f.metrics.Value(kRefusals) == refused);
}

TEST_CASE("a producer that was refused is taken after the delay that it was told") {
  Producers f(Bounded(2));
  CHECK(f.Taken("a"));
  CHECK(f.Taken("b"));
  const auto error = f.Send("c");
  REQUIRE(error);
  f.executor.RunFor(error->retry_after - milliseconds(1));
  CHECK(!f.Taken("c"));
  f.executor.RunFor(milliseconds(1));
  CHECK(f.Taken("c"));
  CHECK(!f.Taken("d"));
  f.executor.RunFor(std::chrono::hours(100));
  CHECK(f.Taken("d"));
  CHECK(f.Taken("e"));
  CHECK(!f.Taken("f"));
}

TEST_CASE("each stream has a bound of its own, also one that is made again under its name") {
  Producers f(Bounded(1));
  CHECK(f.Taken("a"));
  CHECK(!f.Taken("b"));
  StreamSpec other = Fixture::Stream(1, "other");
  f.Add(other);
  CHECK(f.Taken("b"));
  CHECK(!f.Taken("a"));
  f.gateway.RemoveStream(other);
  other.generation = Offset(7);
  f.gateway.SetStream(other);
  CHECK(f.Taken("a"));
}

TEST_CASE("a changed definition forgets no producer") {
  Producers f(Bounded(1));
  CHECK(f.Taken("a"));
  StreamSpec changed = f.spec;
  changed.columns.push_back({"w", Type::kInt, false});
  ++changed.schema_id;
  f.gateway.SetStream(changed);
  CHECK(f.Taken("a"));
  CHECK(!f.Taken("b"));
}

TEST_CASE("what brings no producer into the log counts for none") {
  Producers f(Bounded(1));
  CHECK(f.Taken(""));
  CHECK(f.Taken(""));
  PublishRequest dry = f.Request({Fixture::Json("k", 1)}, 0, 0, "judged");
  dry.dry_run = true;
  CHECK(!f.Publish(dry).error);
  CHECK(!f.Publish(f.Request({}, 0, 0, "empty")).error);
  CHECK(f.Taken("a"));
}

TEST_CASE("the same id of another principal is another producer") {
  const Options options = Bounded(1);
  ProducerBound bound({options.new_producers, options.new_producer_interval, 100});
  CHECK(!bound.Take("ab", "c", {}));
  CHECK(!bound.Take("ab", "c", {}));
  CHECK(bound.Take("a", "bc", {}) == std::chrono::hours(1));
}

TEST_CASE("hashes that come again stay known among any number of others, in bounded room") {
  RecentHashes hashes(100);
  const auto come = [&](uint64_t hash) {
    const bool seen = hashes.Seen(hash);
    if (!seen) hashes.Remember(hash);
    return seen;
  };
  const auto other = [](uint64_t n) { return n * 0x9e3779b97f4a7c15 | 1; };
  for (uint64_t n = 0; n < 50; ++n) come(other(n));
  for (uint64_t n = 50; n < 10'000; ++n) {
    CHECK(come(other(n % 50)));
    come(other(n));
    REQUIRE(hashes.size() <= 200);
  }
  CHECK(come(other(9'999)));
  CHECK(come(other(9'980)));
  CHECK(!come(other(5'000)));
}

}  // namespace millrace::ingest
