#include <deque>
#include <set>

#include "millrace/sql/planner.h"
#include "sim/cluster.h"
#include "sim/history.h"
#include "support/catch.h"
#include "support/read_all.h"
#include "support/read_log.h"

namespace millrace::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kSql = R"(
CREATE TABLE s (ts timestamptz NOT NULL, k text, v int)
  WITH (partition_key = 'k', event_time = 'ts', watermark_delay = '0 seconds', partitions = 2);
CREATE MATERIALIZED VIEW r AS
SELECT k, window_start, window_end, count(*) AS n, sum(v) AS total
FROM tumble(s, ts, INTERVAL '2 seconds') GROUP BY k, window_start, window_end;
)";

/// A producer as the client library is one, on a PublishStream: several requests under way; after
/// any doubt a new call, on which it sends all again from the first number that is not
/// acknowledged.
class Producer {
 public:
  Producer(SimWorld* world, Cluster* cluster) : world_(world), cluster_(cluster) {}

  /// Some requests one after another.
  void Send() {
    const size_t requests = 1 + world_->Random(8);
    while (unsettled_.size() < requests * kBatch) {
      const Micros t = SimExecutor::kEpoch + world_->now().count();
      unsettled_.emplace_back(next_++, "{\"ts\":\"" + FormatTimestamp(t) + "\",\"k\":\"" +
                                           static_cast<char>('a' + world_->Random(5)) +
                                           "\",\"v\":1}");
    }
    const auto replies =
        cluster_->Call(SendAll(cluster_, requests, unsettled_, lane_), seconds(60));
    bool in_doubt = !replies;
    for (size_t r = 0; replies && r < replies->size() && !in_doubt; ++r) {
      const ingest::PublishReply& reply = (*replies)[r];
      in_doubt = reply.error.has_value();
      // Only what is settled from the front on moves acked_below.
      for (const ingest::EventResult& result : reply.results) {
        in_doubt |= !result.ok();
        if (in_doubt) break;
        unsettled_.pop_front();
        ++acknowledged_;
      }
    }
    if (in_doubt) lane_ = std::make_shared<ingest::Lane>();
  }

  int64_t acknowledged() const { return acknowledged_; }
  int64_t unsettled() const { return static_cast<int64_t>(unsettled_.size()); }

 private:
  using Events = std::deque<std::pair<int64_t, std::string>>;
  static constexpr size_t kBatch = 8;

  /// Starts the requests shortly after each other, so that some wait behind others in every place
  /// where they can: in a block that is open, and in appends under way.
  static Task<std::vector<ingest::PublishReply>> SendAll(Cluster* cluster, size_t requests,
                                                         Events events,
                                                         std::shared_ptr<ingest::Lane> lane) {
    const auto payloads = std::make_shared<Events>(std::move(events));
    std::vector<Completion<ingest::PublishReply>> answers(requests);
    for (size_t r = 0; r < requests; ++r) {
      const auto first = payloads->begin() + static_cast<std::ptrdiff_t>(r * kBatch);
      ingest::PublishRequest request;
      request.stream = "s";
      request.producer_id = "p";
      request.first_sequence = first->first;
      request.acked_below = payloads->front().first;
      const bool last = r + 1 == requests;
      for (auto e = first; e != payloads->end() && (last || e != first + kBatch); ++e)
        request.events.push_back({{}, ingest::PayloadKind::kJson, e->second});
      request.owner = payloads;
      Executor::Current().Spawn(
          SendOne(cluster->gateway().Accept(Principal{}, std::move(request), lane), answers[r]));
      co_await Delay(milliseconds(Executor::Current().Random() % 8));
    }
    std::vector<ingest::PublishReply> replies;
    for (const auto& answer : answers) {
      ingest::PublishReply reply = co_await answer;
      replies.push_back(std::move(reply));
    }
    co_return replies;
  }
  static Task<void> SendOne(Task<ingest::PublishReply> accept,
                            Completion<ingest::PublishReply> answer) {
    ingest::PublishReply reply = co_await std::move(accept);
    answer.Set(std::move(reply));
  }

  SimWorld* world_;
  Cluster* cluster_;
  int64_t next_ = 1;
  int64_t acknowledged_ = 0;
  Events unsettled_;
  std::shared_ptr<ingest::Lane> lane_ = std::make_shared<ingest::Lane>();
};

/// Names the events whose first copy lies behind that of a later number in some partition.
std::string OutOfOrder(Cluster* cluster, const StreamSpec& stream) {
  std::string found;
  const block_arrow::ArrowBlockCodec codec;
  for (int32_t p = 0; p < stream.partitions; ++p) {
    const auto records =
        cluster->Outside(test::ReadLog(&cluster->log, stream.topic, PartitionId(p)));
    int64_t newest = -1;
    std::set<int64_t> seen;
    for (const LogRecord& r : records.value()) {
      if (r.key.empty()) continue;
      const auto batch = codec.Decode(stream, Buffer{r.owner, r.value}, r.offset, r.append_time);
      for (uint32_t row = 0; row < batch->rows; ++row) {
        const int64_t sequence = batch->sequence[row];
        if (!seen.insert(sequence).second) continue;
        if (sequence < newest)
          found += "partition " + std::to_string(p) + ": " + std::to_string(sequence) +
                   " comes after " + std::to_string(newest) + "\n";
        newest = std::max(newest, sequence);
      }
    }
  }
  return found;
}

}  // namespace

History RunThroughGateway(uint64_t seed, double kills_per_request) {
  SimWorld world(seed);
  runtime::Options options;
  options.cut_interval = milliseconds(700);
  Cluster cluster(&world, Faults(), options);
  cluster.StartNode();
  REQUIRE(cluster.Call(cluster.coordinator().Apply(kSql, false), seconds(60))->ok());
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
      cluster.Call(cluster.coordinator().AdvanceStream("default", "s", kPlusInfinity), seconds(60));
  const auto waited = cluster.Call(cluster.coordinator().WaitApplied("default", "r"), seconds(600));
  if (!advanced || !advanced->ok() || !waited || !waited->ok())
    history.differences = "results are never complete\n";
  // Files follow the rows.
  world.RunUntil([] { return false; }, seconds(5));
  const auto table = cluster.Outside(
      test::ReadAll(&cluster.serving, {"default", "r", Output::kResults, {}, {}, {}, false}));
  int64_t counted = 0;
  for (const auto& row : table.value().rows) counted += std::get<int64_t>(row[3].data);
  // What was sent and never acknowledged may be there or not, once. None is late: the events rise
  // in time and none goes past another, though the watermark waits for nothing.
  if (counted < producer.acknowledged() ||
      counted > producer.acknowledged() + producer.unsettled()) {
    history.differences += "acknowledged " + std::to_string(producer.acknowledged()) +
                           " events, counted " + std::to_string(counted) + "\n";
  }
  const auto info = cluster.Call(cluster.coordinator().ListPipelines(), seconds(60))->value();
  history.differences += OutOfOrder(&cluster, stream);
  history.differences +=
      Differences(&cluster, stream, info[0].incarnation, std::get<PipelineSpec>(statements[1]));
  cluster.KillNode();
  history.trace = world.trace();
  return history;
}

}  // namespace millrace::sim
