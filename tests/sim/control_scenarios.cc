#include "sim/control_scenarios.h"

#include "millrace/control/plan_moves.h"
#include "millrace/runtime/roster.h"
#include "sim/rival.h"
#include "support/stamped.h"

namespace millrace::sim {
namespace {

std::string ViewNamed(const std::string& name) {
  const std::string sql = kSql;
  std::string view = sql.substr(sql.find("CREATE MATERIALIZED"));
  return view.replace(view.find(" r "), 3, " " + name + " ");
}

/// Ends the stream under the other process, which leads now, and compares.
std::string FinishUnder(Scenario* s, Rival* rival) {
  auto& next = rival->coordinator();
  auto* process = rival->process();
  if (!s->cluster.On(process, next.AdvanceStream("default", "s", kPlusInfinity), seconds(60))->ok())
    return "the stream cannot be advanced";
  if (!s->cluster.On(process, next.WaitApplied("default", "r"), seconds(60))->ok())
    return "the results do not come";
  s->Sleep(seconds(2));
  return s->Different();
}

}  // namespace

std::string LateDefinition() {
  Scenario s;
  s.cluster.faulty_log().HoldNext(std::string(control::kControlTopic), "again");
  auto& coordinator = s.cluster.coordinator();
  if (!s.cluster.Call(coordinator.Apply(ViewNamed("again"), false), seconds(60))->ok())
    return "a view was not defined by the second copy of its record";
  if (!s.cluster.Call(coordinator.DropPipeline("default", "again"), seconds(60))->ok())
    return "a view was not dropped";
  if (!s.cluster.Outside(s.cluster.faulty_log().Release()).ok()) return "nothing was on its way";
  s.Sleep(seconds(2));
  if (s.cluster.Call(coordinator.ListPipelines(), seconds(60))->value().size() != 1)
    return "a late definition brought a dropped view back";
  return s.Shard().state == "running" ? "" : "a shard does not run";
}

std::string OvertakenLeader() {
  Scenario s;
  s.Send(20);
  Rival rival(&s);
  s.Sleep(seconds(2));
  auto& coordinator = s.cluster.coordinator();
  const auto applied = *s.cluster.Call(coordinator.Apply(ViewNamed("again"), false), seconds(60));
  if (applied.ok()) return "a leader that was overtaken defined a view";
  if (applied.error().code != Code::kConflict ||
      applied.error().message.find("leader=rival") == std::string::npos)
    return "who leads is not told: " + applied.error().message;
  if (s.cluster.Call(coordinator.DropPipeline("default", "r"), seconds(60))->ok())
    return "a leader that was overtaken dropped a view";
  auto& next = rival.coordinator();
  const auto pipelines = s.cluster.On(rival.process(), next.ListPipelines(), seconds(60))->value();
  if (pipelines.size() != 1 || pipelines[0].incarnation != s.incarnation)
    return "the next leader has other views";

  // The other one leads, and owns the shards: all goes on there.
  s.Send(20);
  return FinishUnder(&s, &rival);
}

std::string TwoOfOneName() {
  Scenario s;
  s.Send(20);
  const Epoch before = s.Shard().epoch;
  Rival rival(&s, "node");
  s.Sleep(seconds(2));
  const auto reports =
      s.cluster.Call(s.cluster.coordinator().desk().Reports(), seconds(60)).value();
  for (const auto& [instance, report] : reports) {
    if (!report.shards.empty())
      return "a process took the shards of another one of its name for its own";
  }
  if (s.Shard().state != "unknown") return "who runs the shard is not known here";
  const auto shards =
      s.cluster.On(rival.process(), rival.coordinator().ListShards(), seconds(60))->value();
  if (shards.size() != 1 || shards[0].state != "running" || shards[0].epoch <= before)
    return "the newer process does not run the shard";
  s.Send(20);
  return FinishUnder(&s, &rival);
}

std::string LateBatchOfAnEarlierLife() {
  Scenario s;
  s.Send(20);
  FaultyServingStore& serving = s.cluster.faulty_serving();
  const Epoch before = s.Shard().epoch;
  serving.HoldNext();
  while (!serving.holds()) s.Send(1);
  // The store is at the place below the batch, which is tried again and goes on from there.
  s.cluster.serving.Remember();
  s.Send(20);
  serving.RefuseBatches(true);
  s.cluster.serving.GoBack();
  s.Send(20);
  if (s.Shard().state != "running") return "the shard did not open again: " + s.Shard().state;
  const Status late = s.cluster.Outside(serving.Release());
  if (late.ok()) return "a batch of an earlier life of the shard took effect";
  if (s.Shard().epoch <= before) return "the shard was opened again within its epoch";
  serving.RefuseBatches(false);
  s.Finish();
  return s.Different();
}

namespace {

/// A control log without processes: stream `s` of one partition and view `r` from 0.
struct Told {
  Told() {
    std::string sql = kSql;
    sql.replace(sql.find("%s"), 2, "json");
    const auto statements = PlanScript(sql).value();
    view = std::get<PipelineSpec>(statements[1]);
    Apply(control::Claim{1, "c", {"a", 1}});
    Apply(control::DefineStream{{1, 0}, std::get<StreamSpec>(statements[0])});
    stream = {"default", "s", fold.FindStream("default", "s")->generation};
    Define(0);
    shard = {*fold.Current("default", "r"), PartitionId(0)};
    Apply(control::Assign{{1, 0}, shard, {"a", 1}, Epoch(1)});
    for (int64_t cut = 1; cut <= 3; ++cut)
      Apply(control::Commit{shard, Epoch(1), CutNumber(cut), Offset(100 * cut), "m", {}, {}});
  }
  bool Apply(const control::Record& record) {
    return fold.Apply(fold.next_offset(), 1000, test::Stamped(fold, record)) ==
           control::Verdict::kValid;
  }
  bool Define(int64_t start) {
    return Apply(control::Define{{1, 0}, view, {Offset(start)}, stream.defined_at});
  }
  bool Trim(int64_t to) { return Apply(control::Trim{{1, 0}, stream, {Offset(to)}}); }

  control::Fold fold;
  PipelineSpec view;
  Incarnation stream;
  ShardId shard;
};

}  // namespace

std::string DefineAgainstTrim() {
  Told t;
  if (!t.Apply(control::Drop{{1, 0}, t.shard.incarnation})) return "a view was not dropped";
  if (!t.Trim(50)) return "a stream that nobody reads was not trimmed";
  if (t.Define(40)) return "a view begins at records that may be gone";
  return t.Define(50) ? "" : "a view cannot begin at the trim";
}

std::string TrimAgainstSkipBack() {
  Told t;
  const std::vector<int64_t> firsts(kOutputs + 1, 1);
  const control::Skip back{{1, 0},      t.shard,    {"a", 1}, Epoch(2),
                           Offset(300), Offset(70), firsts,   "lost"};
  if (!t.Apply(back)) return "a skip did not count";
  if (t.Trim(90)) return "records are given up that a shard goes back to";
  return t.Trim(70) ? "" : "a stream was not trimmed to its floor";
}

namespace {

/// Two workers that say Hello, and rounds of a second on a clock of its own.
struct Heard {
  Heard() {
    for (const uint64_t instance : {1, 2}) {
      runtime::Hello hello;
      hello.process = {"w" + std::to_string(instance), instance};
      const Status joined = roster.Joined(std::move(hello), now);
      MILLRACE_CHECK(joined.ok(), "a worker was refused");
    }
  }
  void Rounds(int n, const control::Fold& fold, std::vector<uint64_t> reporting) {
    for (int i = 0; i < n; ++i) {
      now += seconds(1);
      for (const uint64_t instance : reporting) roster.Reported(instance, {});
      roster.Round(fold, now, true);
    }
  }

  runtime::Roster roster{false};
  Executor::Duration now{seconds(100)};
};

}  // namespace

std::string PausedObserver() {
  const Told t;
  Heard h;
  h.Rounds(10, t.fold, {1, 2});
  // What the workers sent in between waits to be handled.
  h.now += seconds(60);
  h.Rounds(1, t.fold, {});
  return h.roster.workers().size() == 2 ? "" : "an observer that was paused took others for dead";
}

std::string NewLeaderAmongLivingOwners() {
  const Told t;  // the instance 1 owns the shard
  runtime::Roster roster(false);
  runtime::Hello hello;
  hello.process = {"w2", 2};
  const Status joined = roster.Joined(std::move(hello), seconds(100));
  if (!joined.ok()) return joined.error().message;
  roster.Round(t.fold, seconds(101), true);
  const auto plan = control::PlanMoves(roster.Input(t.fold, seconds(101)), {});
  return plan.assigns.empty() ? "" : "a new leader took the shards of an owner that lives";
}

}  // namespace millrace::sim
