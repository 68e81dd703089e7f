#include "sim/other_log.h"

#include <map>

#include "millrace/runtime/data_records.h"
#include "sim/scenario.h"
#include "support/list_all.h"
#include "support/read_log.h"

namespace millrace::sim {
namespace {

/// A node without a commit dies. Its rows stand in the store.
void LiveWithoutCuts(Scenario* s, int events) {
  s->cluster.faulty_objects().Refuse("/m-");
  s->Send(events);
  s->Sleep(seconds(2));
  s->cluster.KillNode();
  s->cluster.faulty_objects().Refuse("");
}

int64_t RowsInStore(Scenario* s, const ShardId& shard) {
  const auto fences = s->cluster.Outside(s->cluster.serving.ReadFences({shard})).value();
  return fences[0] ? fences[0]->seq(Output::kResults) : 0;
}

/// Every record comes again as it was, but one that has another value.
void ChangeLog(Scenario* s) {
  const auto records =
      s->cluster.Outside(test::ReadLog(&s->cluster.log, s->stream.topic, PartitionId(0))).value();
  s->cluster.log.LoseEnd(s->stream.topic, PartitionId(0), records.front().offset);
  bool changed = false;
  for (const LogRecord& record : records) {
    LogEntry entry{std::string(record.key), std::string(record.value), record.headers};
    const size_t at = entry.value.find("\"v\":1");
    if (!changed && at != entry.value.npos) {
      entry.value.replace(at, 5, "\"v\":2");
      changed = true;
    }
    REQUIRE(s->cluster.Outside(s->cluster.log.Append(s->stream.topic, PartitionId(0), entry)).ok());
  }
}

std::map<std::string, std::string> Files(Scenario* s) {
  std::map<std::string, std::string> files;
  for (const auto& o :
       s->cluster.Outside(test::ListAll(&s->cluster.objects, "default/results/")).value())
    files[o.key] = s->cluster.Outside(s->cluster.objects.Get(o.key))->bytes;
  return files;
}

}  // namespace

std::string RunWithAnotherLog() {
  // No file ends, so that nothing but the tables tells of the other log.
  Scenario s("json", Scenario::Quick(), "file_interval = '1 hour'");
  s.identities = false;
  LiveWithoutCuts(&s, 60);
  ChangeLog(&s);
  s.cluster.StartNode();
  s.Send(5);
  const operations::ShardInfo shard = s.Shard();
  if (RowsInStore(&s, shard.shard) == 0) return "the store had no rows";
  if (shard.state != "halted") return "a shard runs on rows of another log: " + shard.state;
  if (shard.message.find("the serving store holds rows of another log") == std::string::npos)
    return "a shard halted for another reason: " + shard.message;
  // The way out that it names: those rows stay, what is to come has numbers above them.
  const int64_t held = RowsInStore(&s, shard.shard);
  if (!s.Skip(s.Advised()).ok()) return "the skip that is advised is refused";
  s.Send(20);
  s.Finish();
  if (s.Shard().state != "running") return "it halted again: " + s.Shard().message;
  if (RowsInStore(&s, shard.shard) <= held) return "no row came after the skip";
  return "";
}

std::string RunWithAnotherFile() {
  Scenario s;
  s.identities = false;
  s.Send(2);
  // No row reaches the tables, so nothing but the file says that there was another log.
  s.cluster.faulty_serving().Fail(true);
  LiveWithoutCuts(&s, 80);
  s.cluster.faulty_serving().Fail(false);
  const auto before = Files(&s);
  if (before.empty()) return "there was no file";
  ChangeLog(&s);
  s.cluster.StartNode();
  s.Sleep(seconds(10));
  auto after = Files(&s);
  for (const auto& [name, bytes] : before) {
    if (after[name] != bytes) return "a file was replaced";
  }
  if (after.size() > before.size()) return "a second file has rows of the same numbers";
  const operations::ShardInfo shard = s.Shard();
  if (shard.state != "halted") return "the file of another log was taken for the shard's own";
  if (shard.message.find("a result file of another log") == std::string::npos)
    return "a shard halted for another reason: " + shard.message;
  if (!s.Skip(s.Advised()).ok()) return "the skip that is advised is refused";
  s.Send(80);
  s.Finish();
  if (s.Shard().state != "running") return "it halted again: " + s.Shard().message;
  after = Files(&s);
  if (after.size() <= before.size()) return "no file came after the skip";
  return "";
}

std::string RunIntoDamageWhileUnproved() {
  Scenario s("json", Scenario::Quick(), "file_interval = '1 hour'");
  s.identities = false;
  LiveWithoutCuts(&s, 60);
  ChangeLog(&s);
  // The row that the fence names is made of records behind this one.
  const auto records =
      s.cluster.Outside(test::ReadLog(&s.cluster.log, s.stream.topic, PartitionId(0))).value();
  Offset damaged;
  for (const LogRecord& record : records)
    if (record.offset.value < 40 && !runtime::IsControl(record)) damaged = record.offset;
  s.cluster.damaged_log().Damage(s.stream.topic, PartitionId(0), damaged);
  s.cluster.StartNode();
  s.Sleep(seconds(5));
  // A skip over the damage, and one from the checkpoint if the halt says so.
  for (int skips = 0; skips < 2 && s.Shard().state == "halted"; ++skips) {
    if (!s.Skip(s.Advised()).ok()) return "the skip that is advised is refused";
    s.Sleep(seconds(5));
  }
  if (s.Shard().state != "running") return "it does not run: " + s.Shard().message;
  s.Send(5);
  s.Finish();
  // One event is lost, one has 2 instead of 1.
  const ServingQuery query{"default", "r", Output::kResults, {}, {}, {}, false};
  int64_t total = 0;
  for (const auto& row : s.cluster.Outside(test::ReadAll(&s.cluster.serving, query)).value().rows)
    total += std::get<int64_t>(row[4].data);
  return total == 65
             ? ""
             : "rows of the other log stand for those of this one: total=" + std::to_string(total);
}

std::string RunThroughALongReplay() {
  runtime::Options options = Scenario::Quick();
  options.cut_interval = milliseconds(100);
  options.read_bytes = 1;
  Scenario s("json", options);
  LiveWithoutCuts(&s, 60);
  s.cluster.faults.max_delay = milliseconds(200);
  s.cluster.StartNode();
  std::string wrong;
  bool unproved_seen = false;
  const auto proved = [&] {
    const operations::ShardInfo shard = s.Shard();
    const int64_t held = RowsInStore(&s, shard.shard);
    const auto manifests = s.StateObjects("/m-");
    for (const std::string& key : manifests) {
      const auto bytes = s.cluster.Outside(s.cluster.objects.Get(key)).value();
      const auto manifest = checkpoint::Decode(bytes.bytes).value();
      const auto results = static_cast<size_t>(Output::kResults);
      if (manifest.made[results].seq < manifest.applied[results].seq)
        wrong = "a checkpoint says that more rows are applied than were made";
    }
    unproved_seen |= manifests.empty() && shard.next_offset > Offset(0) && held > 0;
    return !manifests.empty();
  };
  for (int i = 0; i < 400 && !proved(); ++i) s.Sleep(milliseconds(100));
  if (!wrong.empty()) return wrong;
  if (!unproved_seen) return "the replay was over before it could be cut";
  s.cluster.faults = Faults();
  for (int i = 0; i < 100 && s.Shard().last_cut.value == 0; ++i) s.Sleep(milliseconds(100));
  if (s.Shard().last_cut.value == 0) return "no cut came after the replay";
  s.Finish();
  return s.Different();
}

namespace {

constexpr PartitionId kOnly{0};

/// A shard that has read some records whose rows nobody has, and that no checkpoint holds.
struct ReadAhead : Scenario {
  ReadAhead() : Scenario("json", Quick(), "file_interval = '1 hour'") {
    identities = false;
    Send(30);
    Sleep(seconds(3));
    kept = End();
    cluster.faulty_serving().RefuseBatches(true);
    cluster.faulty_objects().Refuse("/m-");
    Send(10);
  }
  /// Everything behind `kept` is lost, and other events come.
  void Replace(int events) {
    cluster.log.LoseEnd(stream.topic, kOnly, kept);
    Send(events);
  }
  std::string GoOn() {
    cluster.faulty_serving().RefuseBatches(false);
    cluster.faulty_objects().Refuse("");
    Sleep(seconds(10));
    if (Shard().state != "running") return "it does not run: " + Shard().message;
    Finish();
    return Different();
  }
  double Lost() { return cluster.metrics.count("millrace_worker_lost_records_total"); }

  Offset kept;
};

}  // namespace

std::string RunPastALostEnd(MissedBy by) {
  ReadAhead s;
  if (by == MissedBy::kPause) s.cluster.process().Pause(seconds(12));
  if (by == MissedBy::kLink) s.cluster.faulty_log().link().Break(true, true, seconds(12));
  if (by == MissedBy::kDrop) {
    s.Replace(0);
    s.Sleep(seconds(1));
    s.Send(40);
  } else {
    s.Replace(40);
  }
  s.Sleep(seconds(6));
  const std::string wrong = s.GoOn();
  if (wrong.empty() && (s.Lost() < 10 || s.Lost() > 20))
    return "records counted as lost: " + std::to_string(s.Lost());
  return wrong;
}

std::string RunWithAReaderAhead() {
  runtime::Options options = Scenario::Quick();
  options.read_bytes = 1;
  Scenario s("json", options, "file_interval = '1 hour'");
  s.identities = false;
  s.cluster.damaged_log().ReadAhead();
  s.Send(20);
  s.Sleep(seconds(3));
  s.cluster.KillNode();
  const Offset begun = s.End();
  s.Send(40);
  // Its readers hold all of them when it stands still among them.
  s.cluster.faults.max_delay = milliseconds(200);
  s.cluster.StartNode();
  const auto place = [&] { return s.cluster.node_alive() ? s.Shard().next_offset : Offset(0); };
  for (int i = 0; i < 600 && place() < Offset(begun.value + 4); ++i) s.Sleep(milliseconds(100));
  if (place() > Offset(begun.value + 20)) return "the shard has read too much";
  s.cluster.process().Pause(seconds(12));
  s.cluster.log.LoseEnd(s.stream.topic, kOnly, Offset(begun.value + 25));
  s.Send(40);
  s.cluster.faults = Faults();
  s.Sleep(seconds(6));
  if (s.Shard().state != "running") return "it does not run: " + s.Shard().message;
  s.Finish();
  return s.Different();
}

std::string RunUpToALostEnd() {
  runtime::Options options = Scenario::Quick();
  options.read_bytes = 1;
  Scenario s("json", options, "file_interval = '1 hour'");
  s.identities = false;
  LiveWithoutCuts(&s, 60);
  s.cluster.faults.max_delay = milliseconds(200);
  s.cluster.StartNode();
  s.world.RunUntil(
      [&] { return s.cluster.node_alive() && s.cluster.faulty_serving().most_take_overs() > 0; },
      seconds(60));
  s.Sleep(seconds(2));
  const Offset place = s.Shard().next_offset;
  if (place > Offset(30)) return "the replay was over before the log lost its end";
  s.cluster.log.LoseEnd(s.stream.topic, kOnly, Offset(place.value + 5));
  s.cluster.faults = Faults();
  s.Sleep(seconds(8));
  const operations::ShardInfo shard = s.Shard();
  if (shard.state != "halted")
    return "a shard waits at the end of a log that is older than the store: " + shard.state;
  return shard.message.find("the log is older than the serving store") != shard.message.npos
             ? ""
             : "a shard halted for another reason: " + shard.message;
}

}  // namespace millrace::sim
