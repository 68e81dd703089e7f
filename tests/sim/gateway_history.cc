#include <catch2/catch.hpp>
#include <deque>

#include "millrace/sql/planner.h"
#include "sim/cluster.h"
#include "sim/history.h"

namespace millrace::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kSql = R"(
CREATE TABLE s (ts timestamptz NOT NULL, k text, v int)
  WITH (partition_key = 'k', event_time = 'ts', watermark_delay = '1 minute', partitions = 2);
CREATE MATERIALIZED VIEW r AS
SELECT k, window_start, window_end, count(*) AS n, sum(v) AS total
FROM tumble(s, ts, INTERVAL '2 seconds') GROUP BY k, window_start, window_end;
)";

/// A producer as the client library is one: it sends each number until it is acknowledged, the same
/// numbers after any doubt.
class Producer {
 public:
  Producer(SimWorld* world, Cluster* cluster) : world_(world), cluster_(cluster) {}

  /// One request of some unsettled events; gives how many it settled.
  void Send() {
    while (unsettled_.size() < 8) {
      const Micros t = SimExecutor::kEpoch + world_->now().count();
      unsettled_.emplace_back(next_++, "{\"ts\":\"" + FormatTimestamp(t) + "\",\"k\":\"" +
                                           static_cast<char>('a' + world_->Random(5)) +
                                           "\",\"v\":1}");
    }
    auto payloads = std::make_shared<std::deque<std::pair<int64_t, std::string>>>(unsettled_);
    ingest::PublishRequest request;
    request.stream = "s";
    request.producer_id = "p";
    request.first_sequence = payloads->front().first;
    request.acked_below = payloads->front().first;
    for (const auto& [sequence, payload] : *payloads)
      request.events.push_back({{}, ingest::PayloadKind::kJson, payload});
    request.owner = payloads;
    const auto reply =
        cluster_->Call(cluster_->gateway().Accept(Principal{}, std::move(request)), seconds(60));
    if (!reply || reply->error) return;
    // Only what is settled from the front on moves acked_below.
    for (const ingest::EventResult& result : reply->results) {
      if (!result.ok()) break;
      unsettled_.pop_front();
      ++acknowledged_;
    }
  }

  int64_t acknowledged() const { return acknowledged_; }

 private:
  SimWorld* world_;
  Cluster* cluster_;
  int64_t next_ = 1;
  int64_t acknowledged_ = 0;
  std::deque<std::pair<int64_t, std::string>> unsettled_;
};

}  // namespace

History RunThroughGateway(uint64_t seed, double kills_per_request) {
  SimWorld world(seed);
  runtime::Options options;
  options.cut_interval = milliseconds(700);
  Cluster cluster(&world, Faults(), options);
  cluster.StartNode();
  REQUIRE(cluster.Call(cluster.node().Apply(kSql), seconds(60))->ok());
  const StreamSpec stream = cluster.StreamNow("s");
  cluster.faults = kTroubled;
  const auto statements = PlanScript(kSql).value();
  Producer producer(&world, &cluster);
  History history;
  for (int i = 0; i < 80; ++i) {
    if (world.Chance(kills_per_request)) {
      // Somewhere in the middle of the next request.
      cluster.process().PostAfter(milliseconds(world.Random(60)), [] { throw SimCrash{"random"}; });
    }
    producer.Send();
    if (cluster.node_alive()) continue;
    cluster.KillNode();
    ++history.kills;
    cluster.StartNode();
  }
  cluster.faults = Faults();
  // A crash that was meant for the last request may still come.
  world.RunUntil([&] { return !cluster.node_alive(); }, seconds(1));
  if (!cluster.node_alive()) {
    cluster.KillNode();
    cluster.StartNode();
  }
  history.events = producer.acknowledged();
  const auto advanced =
      cluster.Call(cluster.node().AdvanceStream("default", "s", kPlusInfinity), seconds(60));
  const auto waited = cluster.Call(cluster.node().WaitApplied("default", "r"), seconds(600));
  if (!advanced || !advanced->ok() || !waited || !waited->ok())
    history.differences = "results are never complete\n";
  // Files follow the rows.
  world.RunUntil([] { return false; }, seconds(5));
  const auto table =
      cluster.Outside(cluster.serving.Query({"default", "r", Output::kResults, {}, {}, {}, false}));
  int64_t counted = 0;
  for (const auto& row : table.value().rows) counted += std::get<int64_t>(row[3].data);
  // What was sent and never acknowledged may be there or not, once.
  if (counted < producer.acknowledged() || counted > producer.acknowledged() + 8) {
    history.differences += "acknowledged " + std::to_string(producer.acknowledged()) +
                           " events, counted " + std::to_string(counted) + "\n";
  }
  const auto info = cluster.Call(cluster.node().ListPipelines(), seconds(60))->value();
  history.differences +=
      Differences(&cluster, stream, info[0].incarnation, std::get<PipelineSpec>(statements[1]));
  cluster.KillNode();
  history.trace = world.trace();
  return history;
}

}  // namespace millrace::sim
