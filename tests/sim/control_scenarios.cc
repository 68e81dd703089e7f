#include "sim/control_scenarios.h"

#include "millrace/checkpoint/manifest.h"
#include "millrace/control/plan_moves.h"
#include "millrace/runtime/data_records.h"
#include "millrace/runtime/roster.h"
#include "sim/rival.h"
#include "support/read_log.h"
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
  if (applied.error().code != Code::kFenced ||
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

std::string SweepOfAnOvertakenLeader() {
  Scenario s;
  s.Send(20);
  s.cluster.faulty_log().link().Break(true, true);
  // A read that waits for the next record still brings it.
  s.Sleep(seconds(1));
  Rival rival(&s);
  s.Sleep(seconds(2));
  auto& next = rival.coordinator();
  if (!s.cluster.On(rival.process(), next.Apply(ViewNamed("again"), false), seconds(60))->ok())
    return "the next leader defined no view";
  s.Send(40);
  if (s.StateObjects("/again@").empty()) return "objects of a view that stands are gone";
  const Status looked = s.cluster.Outside(s.cluster.objects.Look());
  if (!looked.ok()) return looked.error().message;
  if (!s.cluster.objects.wrong().empty()) return s.cluster.objects.wrong().front();
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
  if (!t.Apply(control::Halt{
          t.shard, Epoch(1), Offset(300), Offset(70), firsts, {}, "lost", true, CutNumber(3)}))
    return "a halt did not count";
  const control::Skip back{{1, 0}, t.shard, {"a", 1}, Epoch(2), Offset(70), "lost"};
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

std::string SkipOfAnEarlierHalt() {
  Told t;
  const std::vector<int64_t> firsts(kOutputs + 1, 1);
  const auto halt = [&](int64_t epoch, int64_t from) {
    return t.Apply(
        control::Halt{t.shard, Epoch(epoch), Offset(from), Offset(from + 1), firsts, {}, "damage"});
  };
  // Decided for the records from 300 on, which can be read again when it arrives.
  const control::Skip late{{1, 0}, t.shard, {"a", 1}, Epoch(2), Offset(500), "damage"};
  if (!halt(1, 300)) return "a halt did not count";
  if (!t.Apply(control::Assign{{1, 0}, t.shard, {"a", 1}, Epoch(2)}))
    return "a retry did not count";
  if (!halt(2, 450)) return "a second halt did not count";
  if (t.Apply(late)) return "a skip of an earlier halt leaves out records that can be read";
  control::Skip now = late;
  now.epoch = Epoch(3);
  return t.Apply(now) ? "" : "a skip of this halt did not count";
}

std::string LateBatchOfAHaltedOwner() {
  Scenario s;
  s.Send(20);
  FaultyServingStore& serving = s.cluster.faulty_serving();
  serving.HoldNext(true);
  while (!serving.holds()) s.Send(1);
  const Offset damaged = s.End();
  s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), damaged);
  s.Send(5);
  if (s.Shard().state != "halted") return "the shard did not halt: " + s.Shard().state;
  if (s.cluster.Outside(serving.Release()).ok())
    return "a batch of the owner that halted took effect behind its halt";
  serving.RefuseBatches(false);
  if (!s.Skip(Offset(damaged.value + 1)).ok()) return "the shard was not skipped";
  s.Sleep(seconds(2));
  return s.Shard().state == "running" ? "" : "the shard does not run: " + s.Shard().state;
}

namespace {

/// The object of the newest checkpoint's manifest.
std::string NewestManifest(Scenario* s) {
  const std::string cut = std::to_string(s->Shard().last_cut.value);
  return s->StateObjects("/m-1-" + cut + "-").at(0);
}

Offset EndOf(Scenario* s, const std::string& manifest) {
  const auto bytes = s->cluster.Outside(s->cluster.objects.Get(manifest));
  return checkpoint::Decode(bytes->bytes)->next_offset;
}

}  // namespace

std::string BaseLostBehindAPinnedSkip() {
  Scenario s;
  s.identities = false;
  s.Send(40);
  const std::string newest = NewestManifest(&s);
  s.cluster.KillNode();
  const Offset committed = EndOf(&s, newest);
  s.cluster.log.LoseEnd(s.stream.topic, PartitionId(0), Offset(committed.value - 8));
  s.cluster.StartNode();
  s.Sleep(seconds(2));
  if (s.Shard().state != "halted") return "a shard goes on in a log that lost its end";
  if (!s.Skip(s.Advised()).ok()) return "the shard was not skipped";
  s.cluster.KillNode();
  if (!s.cluster.Outside(s.cluster.objects.Delete(newest)).ok()) return "nothing was deleted";
  s.cluster.StartNode();
  s.Send(20);
  return s.Shard().state == "halted" ? "" : "a shard goes on from a checkpoint that a skip gave up";
}

std::string FoundAgainBehindASkip() {
  Scenario s;
  s.identities = false;
  s.Send(30);
  // What the store has is made again before the damage, whatever the moments are.
  s.cluster.faulty_serving().RefuseBatches(true);
  s.Send(10);
  const std::string lost = NewestManifest(&s);
  s.cluster.KillNode();
  s.cluster.faulty_serving().RefuseBatches(false);
  const std::string bytes(s.cluster.Outside(s.cluster.objects.Get(lost))->bytes);
  const Offset committed = EndOf(&s, lost);
  if (!s.cluster.Outside(s.cluster.objects.Delete(lost)).ok()) return "nothing was deleted";
  // The last event that this checkpoint holds and the one before does not.
  Offset damaged;
  const auto records =
      s.cluster.Outside(test::ReadLog(&s.cluster.log, s.stream.topic, PartitionId(0)));
  for (const LogRecord& record : records.value())
    if (record.offset < committed && !runtime::IsControl(record)) damaged = record.offset;
  s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), damaged);
  s.cluster.StartNode();
  s.Sleep(seconds(2));
  if (s.Shard().state != "halted") return "a shard reads over a damaged record";
  if (s.Skip(Offset(damaged.value - 1)).ok())
    return "a skip goes back over records that count: " + s.Shard().message;
  if (!s.Skip(Offset(damaged.value + 1)).ok()) return "the shard was not skipped";
  // What was found again is of a history that was given up.
  s.cluster.KillNode();
  if (!s.cluster.Outside(s.cluster.objects.Put(lost, Buffer::Own(std::string(bytes)))).ok())
    return "nothing was put back";
  s.cluster.StartNode();
  s.Send(5);
  if (s.Shard().state != "running") return "the shard does not run: " + s.Shard().message;
  s.Finish();
  if (s.Counted() != 44) return "events counted: " + std::to_string(s.Counted());
  return "";
}

}  // namespace millrace::sim
