#include "sim/cluster_history.h"

#include <algorithm>
#include <optional>
#include <set>

#include "millrace/checkpoint/manifest.h"
#include "millrace/model/object_keys.h"
#include "millrace/sql/planner.h"
#include "sim/clients.h"
#include "sim/fleet.h"
#include "sim/mishaps.h"
#include "sim/step_faults.h"
#include "support/list_all.h"
#include "support/read_all.h"

namespace millrace::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A stream with so much of `keep_for`, and two views of it.
std::string SqlFor(const std::string& keep) {
  return R"(
CREATE TABLE s (ts timestamptz NOT NULL, k text, v int)
  WITH (partition_key = 'k', event_time = 'ts', watermark_delay = '2 seconds', partitions = 3,
        idle_timeout = '10 seconds')" +
         keep + R"();
CREATE MATERIALIZED VIEW counted WITH (allowed_lateness = '2 seconds', file_interval = '20 seconds',
                                       emit = 'updates') AS
SELECT k, window_start, window_end, count(*) AS n, sum(v) AS total
FROM tumble(s, ts, INTERVAL '5 seconds') GROUP BY k, window_start, window_end;
CREATE MATERIALIZED VIEW hopping WITH (file_interval = '30 seconds') AS
SELECT k, window_start, window_end, count(*) AS n, avg(v) AS mean, max(v) AS most
FROM hop(s, ts, INTERVAL '4 seconds', INTERVAL '12 seconds')
GROUP BY k, window_start, window_end;
)";
}
constexpr size_t kShards = 6;
constexpr int64_t kPartitions = 3;
/// Of one shard, in the end: those of three checkpoints, and what failed cuts of the last owner
/// left.
constexpr size_t kMostObjects = 100;

/// How long faults come, and how long the cluster has afterwards to be whole.
constexpr auto kTroubledFor = seconds(240);
constexpr auto kHealsWithin = seconds(60);
/// And before that, an operator to see to what halted.
constexpr auto kSeenToWithin = seconds(60);
constexpr auto kStep = milliseconds(50);

class History {
 public:
  explicit History(uint64_t seed);
  ClusterHistory Run();

 private:
  void Define();
  void Trouble();
  void OneFault();
  void StoreGoesBack();
  void LoseObject();
  void End();
  bool AllRun();
  void Step(bool fresh);
  void SleepSteps(Executor::Duration d, bool fresh);
  /// The answer of the process that leads, if it gives one in time.
  template <typename T, typename F>
  std::optional<T> AskLeader(F&& ask, Executor::Duration limit);
  /// The same again and again.
  template <typename F>
  bool Insist(F&& ask);
  void CheckResults();
  void CheckCounts();
  void CheckRecords();
  void CheckManifests();
  void CheckBounds();
  /// Of three histories one has records that go for good, and one a serving store that goes back:
  /// it may then need what is gone.
  bool trims() const { return seed_ % 3 == 1; }
  bool goes_back() const { return seed_ % 3 == 0; }
  /// Of the others most have a log that loses its end. No object is lost in them.
  bool loses_end() const { return seed_ % 3 == 2 && seed_ % 4 != 0; }
  void Wrong(const std::string& what) { out_.differences += what + "\n"; }
  static runtime::Options Options();
  static InMemoryLog::Options LogOptions(uint64_t seed);
  static std::vector<Fleet::Member> Members(uint64_t seed);

  const uint64_t seed_;
  SimWorld world_;
  Cluster cluster_;
  Fleet fleet_;
  const std::string sql_ = SqlFor(trims() ? ", keep_for = '20 seconds'" : "");
  const std::vector<Statement> statements_ = PlanScript(sql_).value();
  Mishaps mishaps_;
  StepFaults steps_{&world_};
  Folds folds_;
  std::vector<Client> clients_;
  bool lost_objects_ = false;
  bool remembered_ = false;
  ClusterHistory out_;
};

runtime::Options History::Options() {
  runtime::Options options;
  options.cut_interval = seconds(3);
  options.sink_rows = 20;
  options.beat_interval = seconds(2);
  options.snapshot_records = 100;
  options.housekeeping_first = seconds(2);
  options.housekeeping_interval = seconds(5);
  options.unnamed_object_age = seconds(0);
  options.retention_first = seconds(3);
  options.retention_interval = seconds(5);
  options.fence_check = seconds(3);
  options.views_check = seconds(5);
  options.drain_deadline = seconds(5);
  return options;
}

InMemoryLog::Options History::LogOptions(uint64_t seed) {
  InMemoryLog::Options options;
  options.hole_after = seed % 2 == 0 ? 5 : 0;
  return options;
}

/// Of every five clusters one has all roles in each process.
std::vector<Fleet::Member> History::Members(uint64_t seed) {
  using Role = Process::Role;
  std::vector<Fleet::Member> members;
  if (seed % 5 == 0) {
    members = {{"one", Role::kAll, 2}, {"two", Role::kAll, 0}, {"three", Role::kAll, 1}};
  } else {
    members = {{"lead-one", Role::kCoordinator},
               {"lead-two", Role::kCoordinator},
               {"work-one", Role::kWorker, 2},
               {"work-two", Role::kWorker, 0},
               {"work-three", Role::kWorker, 1}};
  }
  members.push_back({"gate-one", Role::kGateway});
  members.push_back({"gate-two", Role::kGateway});
  return members;
}

History::History(uint64_t seed)
    : seed_(seed),
      world_(seed),
      cluster_(&world_, Faults(), Options(), LogOptions(seed)),
      fleet_(&world_, &cluster_, Options(), Members(seed)),
      mishaps_(&world_, &cluster_, &fleet_, sql_) {
  for (int i = 0; i < 3; ++i) clients_.emplace_back(&world_, &fleet_, "p" + std::to_string(i));
}

void History::Step(bool fresh) {
  fleet_.Step();
  mishaps_.Operate();
  for (Client& client : clients_) client.Step(fresh);
  world_.RunUntil([] { return false; }, kStep);
}

void History::SleepSteps(Executor::Duration d, bool fresh) {
  for (const auto end = world_.now() + d; world_.now() < end;) Step(fresh);
}

template <typename T, typename F>
std::optional<T> History::AskLeader(F&& ask, Executor::Duration limit) {
  const auto end = world_.now() + limit;
  while (fleet_.Leader() == nullptr && world_.now() < end) Step(false);
  Process* const leader = fleet_.Leader();
  if (leader == nullptr) return std::nullopt;
  return cluster_.On(&leader->executor(), ask(leader->coordinator()), limit);
}

template <typename F>
bool History::Insist(F&& ask) {
  for (int tries = 0; tries < 50; ++tries) {
    const auto answer = AskLeader<Status>(ask, seconds(30));
    if (answer && answer->ok()) return true;
    SleepSteps(seconds(1), false);
  }
  return false;
}

void History::Define() {
  const auto apply = [this](runtime::Coordinator& c) -> Task<Status> {
    const auto applied = co_await c.Apply(sql_, false);
    if (!applied.ok()) co_return applied.error();
    co_return Status();
  };
  if (!Insist(apply)) Wrong("the views cannot be defined");
}

void History::StoreGoesBack() {
  if (remembered_ && world_.Chance(0.5)) {
    fleet_.Note("the serving store goes back");
    cluster_.serving.GoBack();
    remembered_ = false;
  } else {
    cluster_.serving.Remember();
    remembered_ = true;
  }
}

void History::LoseObject() {
  auto objects = cluster_.Outside(test::ListAll(&cluster_.objects, "default/state/")).value();
  if (objects.empty()) return;
  fleet_.Note("an object is gone");
  lost_objects_ = true;
  const ObjectInfo& object = objects[world_.Random(objects.size())];
  const Status gone = cluster_.Outside(cluster_.objects.Lose(object.key));
  gone.Ignore("a body in memory does it");
}

void History::OneFault() {
  const size_t i = world_.Random(fleet_.size());
  const auto upto = [&](auto d) {
    const Executor::Duration most = d;
    return Executor::Duration(world_.Random(static_cast<uint64_t>(most.count()) + 1));
  };
  switch (world_.Random(18)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return fleet_.Crash(i, seconds(2), upto(seconds(20)));
    case 4:
      return fleet_.Pause(i, upto(seconds(12)), false);
    case 5:
      return fleet_.Pause(i, upto(seconds(180)), true);
    case 6:
      return fleet_.Pause(i, upto(seconds(90)), false);
    case 7: {
      const uint64_t ways = 1 + world_.Random(3);
      if (world_.Chance(0.5))
        return fleet_.CutOff(i, (ways & 1) != 0, (ways & 2) != 0, upto(seconds(30)));
      return fleet_.Break(i, world_.Random(Fleet::kStores), (ways & 1) != 0, (ways & 2) != 0,
                          upto(seconds(30)));
    }
    case 8:
      if (Process* const p = fleet_.process(i)) {
        fleet_.Note("clock jump");
        p->executor().ShiftWall(static_cast<Micros>(world_.Random(20 * kSecond)) - 10 * kSecond);
      }
      return;
    case 9:
    case 10:
      return fleet_.Drain(i, upto(seconds(20)));
    case 13:
    case 14:
    case 15:
    case 16:
      return steps_.Arm(world_.Chance(0.5), upto(seconds(40)));
    case 11:
      return mishaps_.DamageRecord();
    case 12:
      if (goes_back()) return StoreGoesBack();
      if (loses_end() && world_.Chance(0.7)) return mishaps_.LoseRecords(world_.Chance(0.1));
      // A view that begins late counts less.
      return mishaps_.Drop(trims() || world_.Chance(0.5) ? "hopping" : "counted");
    default:
      // A lost object takes away what the other checks stand on, so most histories have none.
      if (!trims() && seed_ % 4 == 0 && world_.Chance(0.5)) return LoseObject();
      if (goes_back()) return StoreGoesBack();
      return fleet_.Crash(i, seconds(2), upto(seconds(20)));
  }
}

void History::Trouble() {
  cluster_.faults = {milliseconds(20), 0.02, 0.02, 0.01, 0.01, 0.5, seconds(20)};
  const auto end = world_.now() + kTroubledFor;
  auto next = world_.now();
  while (world_.now() < end) {
    Step(true);
    if (world_.now() < next) continue;
    OneFault();
    next = world_.now() + Executor::Duration(world_.Random(12 * kSecond));
  }
}

/// Every shard runs under the owner that its fence names.
bool History::AllRun() {
  const auto shards = AskLeader<Result<std::vector<operations::ShardInfo>>>(
      [](runtime::Coordinator& c) { return c.ListShards(); }, seconds(5));
  if (!shards || !shards->ok() || (*shards)->size() != kShards) return false;
  return std::all_of((*shards)->begin(), (*shards)->end(), [&](const operations::ShardInfo& info) {
    if (info.state != "running") return false;
    const auto fences = cluster_.Outside(cluster_.serving.ReadFences({info.shard})).value();
    return fences[0] && fences[0]->epoch == info.epoch;
  });
}

/// The faults end, and everything closes.
void History::End() {
  cluster_.faults = Faults();
  steps_.Disarm();
  while (!fleet_.whole()) Step(true);
  const auto broken = world_.now();
  fleet_.Heal();
  mishaps_.Heal();
  while (!mishaps_.settled() && world_.now() < broken + kSeenToWithin) Step(true);
  const auto healed = world_.now();
  while (!AllRun() && world_.now() < healed + kHealsWithin) SleepSteps(milliseconds(500), true);
  if (!AllRun()) {
    const auto shards = AskLeader<Result<std::vector<operations::ShardInfo>>>(
        [](runtime::Coordinator& c) { return c.ListShards(); }, seconds(5));
    Wrong("not every shard runs in time");
    if (fleet_.Leader() == nullptr) {
      const control::LeaderState& leader = cluster_.ReadControlLog().fold.leader();
      Wrong("nobody leads; the last one was " + leader.process.name + ", " +
            std::to_string(leader.n) + "." + std::to_string(leader.k));
    }
    if (!shards || !shards->ok()) return;
    for (const auto& info : **shards)
      Wrong(info.shard.ToString() + " " + info.state + " " + info.message);
    return;
  }
  // What is on its way arrives, and the producers come to an end.
  SleepSteps(seconds(30), false);
  for (const Client& client : clients_)
    if (!client.idle()) Wrong("a producer gets no acknowledgement");
  if (!Insist(
          [](runtime::Coordinator& c) { return c.AdvanceStream("default", "s", kPlusInfinity); }))
    Wrong("the stream cannot be advanced");
  for (const char* view : {"counted", "hopping"}) {
    if (!Insist([&](runtime::Coordinator& c) { return c.WaitApplied("default", view); }))
      Wrong(std::string("results are never complete: ") + view);
  }
  SleepSteps(seconds(10), false);
}

void History::CheckResults() {
  for (const Statement& s : statements_) {
    const auto* view = std::get_if<PipelineSpec>(&s);
    if (view == nullptr) continue;
    const Incarnation* found = cluster_.ReadControlLog().fold.Current("default", view->name);
    if (found == nullptr) {
      Wrong("a view is gone: " + view->name);
      continue;
    }
    const Incarnation incarnation = *found;
    if (mishaps_.lost().GoesOnElsewhere(incarnation)) {
      ++out_.inexact;
      continue;
    }
    out_.differences +=
        Differences(&cluster_, cluster_.StreamNow("s"), incarnation, *view, &folds_);
  }
}

/// Each acknowledged event is in one window, or stands as one that came too late.
void History::CheckCounts() {
  int64_t counted = 0;
  for (const Output output : {Output::kResults, Output::kLate}) {
    const auto table = cluster_.Outside(
        test::ReadAll(&cluster_.serving, {"default", "counted", output, {}, {}, {}, false}));
    if (!table.ok()) return Wrong("no table: " + table.error().message);
    for (const auto& row : table->rows)
      counted += output == Output::kLate ? 1 : std::get<int64_t>(row[3].data);
  }
  int64_t unsettled = 0;
  for (const Client& client : clients_) {
    out_.events += client.acknowledged();
    unsettled += client.unsettled();
  }
  const Incarnation view = *cluster_.ReadControlLog().fold.Current("default", "counted");
  auto [lacks, twice] = mishaps_.lost().Of(view, cluster_.StreamNow("s"));
  for (const auto& [shard, folded] : folds_)
    if (shard.incarnation == view) lacks += folded.left_out;
  if (counted >= out_.events - lacks && counted <= out_.events + unsettled + twice) return;
  Wrong("acknowledged " + std::to_string(out_.events) + " events, at most " +
        std::to_string(lacks) + " left out and " + std::to_string(twice) + " twice, counted " +
        std::to_string(counted));
}

/// What the control log must hold, whatever its fold thinks of it: owners follow each other, and
/// the commits of a shard do.
void History::CheckRecords() {
  struct Seen {
    Epoch epoch;
    uint64_t instance = 0;
    CutNumber cut;
    Offset next_offset;
  };
  std::map<ShardId, Seen> seen;
  for (const auto& [offset, record, verdict] : cluster_.ReadControlLog().records) {
    if (verdict != control::Verdict::kValid) continue;
    if (std::holds_alternative<control::Claim>(record)) ++out_.leaders;
    if (const auto* assign = std::get_if<control::Assign>(&record)) {
      Seen& shard = seen[assign->shard];
      if (assign->epoch.value != shard.epoch.value + 1)
        Wrong("epochs do not follow each other: " + assign->shard.ToString());
      if (shard.instance != 0 && shard.instance != assign->worker.instance) ++out_.moves;
      shard.epoch = assign->epoch;
      shard.instance = assign->worker.instance;
    }
    if (const auto* skip = std::get_if<control::Skip>(&record)) {
      seen[skip->shard].epoch = skip->epoch;
      seen[skip->shard].instance = skip->worker.instance;
      seen[skip->shard].next_offset = skip->to;
    }
    const auto* halt = std::get_if<control::Halt>(&record);
    if (halt != nullptr && !mishaps_.damaged(halt->shard.partition) &&
        !mishaps_.lost().lost(halt->shard.partition))
      Wrong("a halt without a reason: " + halt->shard.ToString() + " " + halt->message);
    if (const auto* commit = std::get_if<control::Commit>(&record)) {
      Seen& shard = seen[commit->shard];
      if (commit->epoch != shard.epoch || commit->cut.value != shard.cut.value + 1 ||
          commit->next_offset < shard.next_offset)
        Wrong("commits do not follow each other: " + commit->shard.ToString() + " cut " +
              std::to_string(commit->cut.value));
      shard.cut = commit->cut;
      shard.next_offset = commit->next_offset;
      ++out_.commits;
    }
  }
}

/// Every kept checkpoint is there, and says of the rows what a fold of the log up to its place
/// makes.
void History::CheckManifests() {
  const control::Fold fold = cluster_.ReadControlLog().fold;
  for (const auto& [id, shard] : fold.shards()) {
    if (!folds_.contains(id)) continue;
    const Expected& expected = folds_.at(id);
    for (const control::CommitState& commit : shard.commits) {
      const auto manifest = cluster_.Outside(
          checkpoint::LoadManifest(&cluster_.objects, commit.manifest, commit.manifest_hash));
      if (!manifest.ok()) {
        if (!lost_objects_) Wrong("a kept checkpoint is gone: " + commit.manifest);
        continue;
      }
      auto at = expected.made.upper_bound(commit.next_offset);
      const LastRows made = at == expected.made.begin() ? LastRows() : std::prev(at)->second;
      if (made != manifest->made) Wrong("a checkpoint holds other rows: " + commit.manifest);
      for (const checkpoint::ManifestFile& file : manifest->files) {
        if (!lost_objects_ && !cluster_.Outside(cluster_.objects.Stat(file.object)).ok())
          Wrong("a kept checkpoint lacks a file: " + file.object);
      }
    }
  }
}

/// Nothing piles up: local states, readers, and objects of checkpoints.
void History::CheckBounds() {
  int64_t workers = 0;
  fleet_.ForEach([&](Process* process) {
    ++workers;
    if (process->states().names().size() > kShards)
      Wrong("a process keeps local states that it does not need: " + process->name() + " " +
            std::to_string(process->states().names().size()));
  });
  if (cluster_.parsers.alive() > workers * kPartitions)
    Wrong("partitions are read more than once: " + std::to_string(cluster_.parsers.alive()));
  const control::Fold fold = cluster_.ReadControlLog().fold;
  std::map<std::string, size_t> left;
  for (const auto& [id, shard] : fold.shards()) left[StateFolder(id)] = 0;
  for (const ObjectInfo& object :
       cluster_.Outside(test::ListAll(&cluster_.objects, "default/state/")).value()) {
    const auto at = left.find(object.key.substr(0, object.key.rfind('/') + 1));
    if (at == left.end()) {
      Wrong("an object of a dropped view stays: " + object.key);
    } else if (++at->second == kMostObjects) {
      Wrong("objects of checkpoints pile up: " + at->first);
    }
  }
}

ClusterHistory History::Run() {
  Define();
  Trouble();
  End();
  if (out_.differences.empty()) {
    CheckResults();
    CheckCounts();
    CheckRecords();
    CheckManifests();
    CheckBounds();
  }
  const Status looked = cluster_.Outside(cluster_.objects.Look());
  if (!looked.ok()) Wrong("the control log cannot be read");
  for (const std::string& wrong : cluster_.objects.wrong()) Wrong(wrong);
  if (cluster_.network().on_their_way() != 0) Wrong("something is on its way for ever");
  out_.fallbacks =
      static_cast<int64_t>(cluster_.metrics.count("millrace_worker_restore_fallbacks_total"));
  for (const std::string& f : cluster_.failures) Wrong("task failed: " + f);
  out_.trace = world_.trace();
  out_.time = world_.now();
  out_.faults = fleet_.happened();
  out_.steps = steps_.happened();
  out_.injected = cluster_.network().counts();
  return std::move(out_);
}

}  // namespace

ClusterHistory RunCluster(uint64_t seed) { return History(seed).Run(); }

}  // namespace millrace::sim
