#include "sim/moves.h"

#include <array>
#include <memory>

#include "millrace/base/crash_point.h"
#include "sim/scenario.h"
#include "support/forwarding_log.h"
#include "support/read_log.h"

namespace millrace::sim {
namespace {

/// A log of which one topic cannot be read for a while.
class BlindLog : public test::ForwardingLog {
 public:
  using ForwardingLog::ForwardingLog;

  std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                        Offset from) override {
    auto reader = inner()->OpenReader(topic, partition, from);
    return std::make_unique<Reader>(this, std::move(topic), std::move(reader));
  }
  /// Empty: all can be read.
  void BlindTo(std::string topic) { blind_to_ = std::move(topic); }

 private:
  class Reader : public LogReader {
   public:
    Reader(const BlindLog* log, std::string topic, std::unique_ptr<LogReader> inner)
        : log_(log), topic_(std::move(topic)), inner_(std::move(inner)) {}
    Task<Result<LogBatch>> Next(size_t max_bytes, std::chrono::microseconds max_wait) override {
      if (log_->blind_to_ == topic_) {
        co_await Delay(milliseconds(10));
        co_return Unavailable("injected: the log cannot be read");
      }
      auto batch = co_await inner_->Next(max_bytes, max_wait);
      // A wait that began before.
      if (log_->blind_to_ == topic_) co_return Unavailable("injected: the log cannot be read");
      co_return batch;
    }

   private:
    const BlindLog* const log_;
    const std::string topic_;
    const std::unique_ptr<LogReader> inner_;
  };

  std::string blind_to_;
};

/// A link to the coordinator of the other process, as long as both live and nobody breaks it.
class DeskLink : public runtime::WorkerLink {
 public:
  Task<Status> Open(runtime::Hello hello,
                    std::shared_ptr<runtime::WorkerQuestions> worker) override {
    co_await Delay(milliseconds(1));
    if (desk == nullptr) co_return Unavailable("injected: the link is broken");
    instance_ = hello.process.instance;
    worker_ = worker.get();
    co_return desk->Open(std::move(hello), std::move(worker));
  }
  Task<Result<runtime::Answer>> Send(runtime::Report report) override {
    co_await Delay(milliseconds(1));
    if (desk == nullptr) co_return Unavailable("injected: the link is broken");
    co_return desk->Take(instance_, std::move(report));
  }
  Task<> Bye() override {
    if (desk != nullptr) desk->Bye(instance_);
    co_return;
  }
  void Break() {
    if (desk != nullptr && worker_ != nullptr) desk->Broke(instance_, worker_);
    desk = nullptr;
  }
  runtime::WorkerQuestions* worker() const { return worker_; }

  runtime::WorkerDesk* desk = nullptr;

 private:
  uint64_t instance_ = 0;
  runtime::WorkerQuestions* worker_ = nullptr;
};

/// A process of all roles. What it is made of stays after its death.
struct Peer {
  Peer(Scenario* s, const std::string& name, const runtime::Options& options)
      : log(&s->cluster.log),
        objects(&s->cluster.objects, &s->cluster.network(), &slowness),
        serving(&s->cluster.serving, &s->cluster.network(), &faults),
        process(s->world.NewProcess()) {
    auto& cluster = s->cluster;
    runtime::AllRoles::Wiring wiring;
    wiring.name = name;
    wiring.ports = {
        &log,           &objects, &states,          &serving,        &serving, &cluster.serving,
        &cluster.files, &blocks,  &cluster.parsers, &cluster.metrics};
    wiring.options = options;
    wiring.control = process;
    wiring.shards = {process};
    wiring.coordinators = {&link};
    roles = std::make_unique<runtime::AllRoles>(std::move(wiring));
  }
  ~Peer() { process->Kill(); }

  void Start() {
    process->Spawn([](runtime::AllRoles* of) -> Task<void> {
      for (;;) {
        const Status started = co_await of->Start();
        if (started.ok()) co_return;
        co_await Delay(milliseconds(100));
      }
    }(roles.get()));
  }

  Faults faults;
  Faults slowness;  ///< of its way to the object store
  BlindLog log;
  FaultyObjectStore objects;
  FaultyServingStore serving;
  DeskLink link;
  SimExecutor* const process;
  InMemoryStates states;
  block_arrow::ArrowBlockCodec blocks;
  std::unique_ptr<runtime::AllRoles> roles;
};

/// Two processes over what the process of a scenario has left behind.
struct Two : Scenario {
  static runtime::Options Beating() {
    runtime::Options options = Quick();
    options.beat_interval = seconds(2);
    return options;
  }
  explicit Two(const runtime::Options& options = Beating(),
               const std::string& view_options = "file_interval = '10 seconds'")
      : Scenario("json", Quick(), view_options) {
    Send(20);
    cluster.KillNode();
    for (size_t i = 0; i < 2; ++i)
      peers[i] = std::make_unique<Peer>(this, i == 0 ? "a" : "b", options);
    for (size_t i = 0; i < 2; ++i) {
      peers[i]->link.desk = &peers[1 - i]->roles->coordinator().desk();
      peers[i]->Start();
    }
    world.RunUntil([&] { return Running() != nullptr; }, seconds(60));
    owner = Running();
    MILLRACE_CHECK(owner != nullptr, "no process runs the shard");
    other = owner == peers[0].get() ? peers[1].get() : peers[0].get();
  }
  ~Two() {
    for (const auto& peer : peers) peer->process->Kill();
    if (third) third->process->Kill();
  }

  operations::ShardInfo InfoOf(Peer* peer) {
    if (!peer->process->alive() || peer->link.worker() == nullptr) return {};
    const auto report = cluster.On(peer->process, peer->link.worker()->ReportNow(), seconds(5));
    if (!report || (*report)->shards.empty()) return {};
    return (*report)->shards[0].info;
  }
  Peer* Running() {
    for (const auto& peer : peers)
      if (InfoOf(peer.get()).state == "running") return peer.get();
    return nullptr;
  }
  /// Its death is seen by the other one's coordinator as a link that broke.
  void Kill(Peer* peer) {
    for (const auto& p : peers) p->link.Break();
    peer->process->Kill();
  }
  bool DrainOwner() {
    drained = false;
    owner->process->Spawn([](runtime::AllRoles* roles, bool* done) -> Task<void> {
      co_await roles->Drain();
      *done = true;
    }(owner->roles.get(), &drained));
    return true;
  }
  /// By whoever leads, once somebody does.
  Status Set(const operations::Setting& setting) {
    Status set = Unavailable("nobody leads");
    for (int tries = 0; tries < 60; ++tries) {
      for (const auto& peer : peers) {
        if (!peer->process->alive()) continue;
        const auto answer =
            cluster.On(peer->process, peer->roles->coordinator().Set(setting), seconds(5));
        if (!answer) continue;
        set = *answer;
        if (set.ok() || set.error().code == Code::kInvalidArgument) return set;
      }
      Sleep(seconds(1));
    }
    return set;
  }
  double BecameOwners() {
    return cluster.metrics.count("millrace_worker_followers_became_owners_total");
  }
  std::string FinishUnder(Peer* peer) {
    auto& coordinator = peer->roles->coordinator();
    const auto advanced = cluster.On(
        peer->process, coordinator.AdvanceStream("default", "s", kPlusInfinity), seconds(60));
    if (!advanced || !advanced->ok()) return "the stream cannot be advanced";
    const auto applied =
        cluster.On(peer->process, coordinator.WaitApplied("default", "r"), seconds(60));
    if (!applied || !applied->ok())
      return "the results do not come: " + (applied ? applied->error().message : "too late");
    Sleep(seconds(2));
    return Different();
  }
  /// Of the commits that count, oldest first.
  std::vector<Offset> Commits() {
    std::vector<Offset> offsets;
    const std::string topic(control::kControlTopic);
    const auto records = cluster.Outside(test::ReadLog(&cluster.log, topic, PartitionId(0)));
    for (const LogRecord& record : records.value()) {
      const auto decoded = control::Decode(record.value).value();
      if (const auto* commit = std::get_if<control::Commit>(&decoded))
        offsets.push_back(commit->next_offset);
    }
    return offsets;
  }

  /// Another process comes, which `with` knows, and which knows `with`.
  void Add(Peer* with) {
    third = std::make_unique<Peer>(this, "c", Beating());
    third->link.desk = &with->roles->coordinator().desk();
    with->link.desk = &third->roles->coordinator().desk();
    third->Start();
  }

  std::array<std::unique_ptr<Peer>, 2> peers;
  std::unique_ptr<Peer> third;
  Peer* owner = nullptr;
  Peer* other = nullptr;
  bool drained = false;
};

}  // namespace

std::string Drain() {
  Two t;
  t.Send(20);
  const Epoch before = t.InfoOf(t.owner).epoch;
  const auto begun = t.world.now();
  t.DrainOwner();
  while (!t.drained && t.world.now() - begun < seconds(60)) t.Send(1);
  if (!t.drained) return "the worker does not end";
  if (t.world.now() - begun >= seconds(20)) return "the worker waited for its deadline";
  const operations::ShardInfo after = t.InfoOf(t.other);
  if (after.state != "running") return "the other worker does not run the shard: " + after.state;
  if (after.epoch.value != before.value + 1) return "the shard had more than one owner in between";
  if (t.BecameOwners() != 1) return "the new owner had not followed the shard";
  t.owner->process->Kill();
  t.Send(20);
  return t.FinishUnder(t.other);
}

namespace {

/// What happens at a crash point, once.
struct AtPoint {
  std::string name;
  bool pause = false;
  SimExecutor* hit = nullptr;
};
AtPoint* at_point = nullptr;

void PassPoint(std::string_view name) {
  if (at_point == nullptr || at_point->hit != nullptr || name != at_point->name) return;
  at_point->hit = static_cast<SimExecutor*>(&Executor::Current());
  if (!at_point->pause) throw SimCrash{std::string(name)};
  at_point->hit->Pause(seconds(60));
}

struct Installed {
  explicit Installed(AtPoint* point) {
    at_point = point;
    InstallCrashPointHandler(PassPoint);
  }
  ~Installed() {
    InstallCrashPointHandler(nullptr);
    at_point = nullptr;
  }
};

}  // namespace

std::string CrashInADrain(const std::string& point, bool pause) {
  AtPoint here{point, pause};
  Two t;
  t.Send(20);
  const Installed installed(&here);
  t.DrainOwner();
  for (int i = 0; i < 150 && here.hit == nullptr; ++i) t.Send(1);
  if (here.hit == nullptr) return "the point is never passed";
  if (!pause) {
    for (const auto& peer : t.peers) peer->link.Break();
    t.Add(t.owner->process == here.hit ? t.other : t.owner);
  }
  t.Send(300);
  for (Peer* peer : {t.owner, t.other, t.third.get()}) {
    if (peer != nullptr && t.InfoOf(peer).state == "running") return t.FinishUnder(peer);
  }
  return "no process runs the shard";
}

std::string DeathInADrain(int after_ms) {
  Two t;
  t.Send(20);
  t.DrainOwner();
  const auto begun = t.world.now();
  while (t.world.now() - begun < milliseconds(after_ms)) t.Send(1);
  t.Kill(t.owner);
  t.Send(20);
  t.world.RunUntil([&] { return t.InfoOf(t.other).state == "running"; }, seconds(60));
  if (t.InfoOf(t.other).state != "running") return "the other worker does not run the shard";
  t.Send(10);
  return t.FinishUnder(t.other);
}

std::string FollowerBehindTheCommits() {
  Two t;
  t.DrainOwner();
  t.world.RunUntil([&] { return t.InfoOf(t.other).state == "following"; }, seconds(60));
  if (t.InfoOf(t.other).state != "following") return "nobody follows";
  t.other->log.BlindTo(t.stream.topic);
  const size_t commits = t.Commits().size();
  for (int i = 0; i < 40 && t.Commits().size() < commits + 4; ++i) t.Send(3);
  t.Kill(t.owner);
  // The last three that count need no record below them.
  const std::vector<Offset> all = t.Commits();
  if (all.size() < commits + 4) return "the owner makes no commits";
  const Status deleted = t.cluster.Outside(
      t.cluster.log.DeleteBefore(t.stream.topic, PartitionId(0), all[all.size() - 3]));
  if (!deleted.ok()) return deleted.error().message;
  t.Sleep(seconds(30));
  t.other->log.BlindTo("");
  if (t.BecameOwners() != 0) return "a follower that was behind the commits became the owner";
  t.Sleep(seconds(20));
  const operations::ShardInfo info = t.InfoOf(t.other);
  return info.state == "running" ? "" : "the shard is " + info.state + ": " + info.message;
}

std::string SlowFollower() {
  Two t;
  t.other->slowness.max_delay = seconds(3);
  t.DrainOwner();
  t.Send(60);
  if (t.Fallbacks() > 0) return "checkpoints that newer ones replaced were taken for lost";
  t.other->slowness = Faults();
  t.world.RunUntil([&] { return t.InfoOf(t.other).state == "running"; }, seconds(60));
  if (t.InfoOf(t.other).state != "running") return "the other worker does not run the shard";
  t.Send(10);
  if (t.Fallbacks() > 0) return "a checkpoint was taken for lost in the end";
  t.owner->process->Kill();
  return t.FinishUnder(t.other);
}

std::string FollowerOfAnOldCheckpoint() {
  runtime::Options options = Two::Beating();
  options.cut_interval = milliseconds(200);
  // So rows wait for their file all the time, in objects that the owner puts together now and then.
  Two t(options, "file_interval = '1 hour'");
  t.Send(100);
  t.DrainOwner();
  t.world.RunUntil([&] { return t.InfoOf(t.other).state == "following"; }, seconds(60));
  t.other->log.BlindTo(t.stream.topic);
  t.Send(60);
  if (t.drained) return "the owner left before its follower was level";
  t.other->log.BlindTo("");
  for (int i = 0; i < 60 && t.InfoOf(t.other).state != "running"; ++i) t.Send(1);
  if (t.BecameOwners() != 1) return "the new owner had not followed the shard";
  t.Send(20);
  const Status looked = t.cluster.Outside(t.cluster.objects.Look());
  if (!looked.ok()) return looked.error().message;
  if (!t.cluster.objects.wrong().empty()) return t.cluster.objects.wrong().front();
  return t.FinishUnder(t.other);
}

std::string FollowerForGood() {
  Two t;
  if (!t.Set({"default", "", "followers", "on"}).ok()) return "nothing was set";
  t.world.RunUntil([&] { return t.InfoOf(t.other).state == "following"; }, seconds(60));
  // It goes on for as long as it can, and nobody takes it for a move.
  t.Send(100);
  if (t.InfoOf(t.other).state != "following") return "nobody follows for good";
  if (t.InfoOf(t.owner).state != "running") return "the shard moved";
  t.Kill(t.owner);
  t.world.RunUntil([&] { return t.InfoOf(t.other).state == "running"; }, seconds(60));
  if (t.BecameOwners() != 1) return "the new owner had not followed the shard";
  t.Send(10);
  return t.FinishUnder(t.other);
}

std::string Pinned() {
  Two t;
  const std::string name = t.other == t.peers[0].get() ? "a" : "b";
  if (t.Set({"default", "r", "pin.1", name}).ok()) return "a partition is pinned that is not there";
  if (!t.Set({"default", "r", "pin.0", name}).ok()) return "nothing was set";
  for (int i = 0; i < 100 && t.InfoOf(t.other).state != "running"; ++i) t.Send(1);
  if (t.InfoOf(t.other).state != "running") return "the shard does not go where it is pinned to";
  if (t.BecameOwners() != 1) return "the new owner had not followed the shard";
  t.Send(20);
  t.Kill(t.other);
  t.world.RunUntil([&] { return t.InfoOf(t.owner).state == "running"; }, seconds(60));
  if (t.InfoOf(t.owner).state != "running") return "a pin keeps a shard from running";
  if (!t.Set({"default", "r", "pin.0", ""}).ok()) return "the pin did not end";
  return t.FinishUnder(t.owner);
}

std::string ReplacedBeforeItKnows() {
  runtime::Options options = Two::Beating();
  options.cut_interval = std::chrono::hours(1);
  Two t(options);
  t.Send(5);
  // Cut off from the coordinators and from the control log, it goes on with its shard.
  for (const auto& peer : t.peers) peer->link.Break();
  t.owner->log.BlindTo(std::string(control::kControlTopic));
  t.world.RunUntil([&] { return t.InfoOf(t.other).state == "running"; }, seconds(60));
  if (t.InfoOf(t.other).state != "running") return "nobody took the shard over";
  t.Send(60);
  const operations::ShardInfo replaced = t.InfoOf(t.owner);
  if (replaced.state == "running") return "a fence did not stop an owner that was replaced";
  if (replaced.state == "halted" || replaced.state == "halting")
    return "an owner that was replaced halted: " + replaced.message;
  t.owner->log.BlindTo("");
  t.Sleep(seconds(20));
  return t.FinishUnder(t.other);
}

std::string SilentOwner() {
  Two t;
  const auto listed = [&] {
    auto& coordinator = t.other->roles->coordinator();
    const auto shards = t.cluster.On(t.other->process, coordinator.ListShards(), seconds(60));
    return shards && shards->ok() && !(*shards)->empty() ? (*shards)->at(0)
                                                         : operations::ShardInfo();
  };
  if (listed().state != "running") return "a worker elsewhere is not asked for a list";
  for (const auto& peer : t.peers) peer->link.Break();
  std::vector<std::string> seen;
  // It goes on to commit, which the other one reads.
  for (int i = 0; i < 100; ++i) {
    t.Send(1);
    const std::string state = listed().state;
    if (seen.empty() || seen.back() != state) seen.push_back(state);
  }
  if (seen != std::vector<std::string>{"unknown"})
    return "the shard of a silent worker is shown as " + seen.back();
  const Epoch before = t.InfoOf(t.owner).epoch;
  if (listed().epoch != before) return "a worker that is only cut off lost its shard";
  for (size_t i = 0; i < 2; ++i)
    t.peers[i]->link.desk = &t.peers[1 - i]->roles->coordinator().desk();
  t.Sleep(seconds(5));
  if (listed().state != "running") return "a worker that is heard again is not asked";
  return t.FinishUnder(t.other);
}

std::string CutOffFromTheTables() {
  Two t;
  t.Send(20);
  t.owner->serving.link().Break(true, true);
  for (int i = 0; i < 500 && t.Running() != t.other; ++i) t.Send(1);
  if (t.InfoOf(t.other).state != "running")
    return "the worker that reaches the tables does not run the shard";
  if (t.BecameOwners() != 1) return "the new owner had not followed the shard";
  return t.FinishUnder(t.other);
}

}  // namespace millrace::sim
