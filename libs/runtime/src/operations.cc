#include "millrace/operations/operations.h"

#include <algorithm>
#include <optional>
#include <set>

#include "millrace/base/facts.h"
#include "millrace/control/plan_fold.h"
#include "millrace/control/retention.h"
#include "millrace/control/settings.h"
#include "millrace/model/object_keys.h"
#include "millrace/objectstore/object_pager.h"
#include "millrace/runtime/coordinator.h"
#include "millrace/runtime/data_records.h"
#include "millrace/runtime/shard.h"
#include "millrace/sql/plan_text.h"
#include "names.h"

namespace millrace::runtime {

using operations::ApplyReport;
using operations::PartitionInfo;
using operations::PipelineInfo;
using operations::ProducerInfo;
using operations::Setting;
using operations::ShardInfo;
using operations::SkipReport;
using operations::StreamInfo;
namespace {

/// Worst first.
int Badness(const std::string& state) {
  if (state == "halted" || state == "halting") return 5;
  if (state == "stopped") return 4;
  if (state == "unassigned" || state == "unknown") return 3;
  if (state == "assigned" || state == "opening" || state == "waiting") return 2;
  if (state == "failing") return 1;
  return 0;
}

void SetDefinition(const PipelineSpec& spec, PipelineInfo* info) {
  info->stream = spec.stream;
  for (const OutputColumn& column : spec.select)
    info->columns.push_back({column.name, column.expr.type});
  const WindowSpec& w = spec.window;
  info->window = {w.kind, w.size, w.slide, w.offset, w.zone, {}, w.days};
  info->allowed_lateness = spec.allowed_lateness;
  info->updates = spec.updates;
  info->file_interval = spec.file_interval;
  info->file_idle = spec.file_idle;
  info->semantics_version = spec.semantics_version;
  info->plan = PlanText(spec);
}

/// What is wrong with a shard, behind what is wrong with others.
void AddTrouble(const ShardInfo& shard, std::string* text) {
  if (shard.message.empty()) return;
  const std::string how = shard.state == "opening" ? " cannot be opened: "
                          : shard.state == "running" || shard.state == "paused"
                              ? ": "
                              : " " + shard.state + ": ";
  *text += (text->empty() ? "" : "; ") + shard.shard.ToString() + how + shard.message;
}

}  // namespace

Task<Result<StreamInfo>> Coordinator::Describe(StreamSpec spec) {
  const auto keep = control::KeepOf(control_.fold(), {spec.name_space, spec.name, spec.generation});
  StreamInfo info{spec, {}, keep.time, keep.bytes};
  for (int32_t p = 0; p < spec.partitions; ++p) {
    const PartitionId partition(p);
    MILLRACE_CO_ASSIGN(const OffsetRange range,
                       co_await wiring_.ports.log->Range(spec.topic, partition));
    const auto bytes = co_await wiring_.ports.log->Bytes(spec.topic, partition, range.start);
    if (!bytes.ok() && bytes.error().code != Code::kConflict) co_return bytes.error();
    PartitionInfo one{range.start, range.end, range.end, std::nullopt};
    one.floor = std::min(range.end, control::RetentionFloor(control_.fold(), spec, partition));
    if (bytes.ok()) one.bytes = *bytes;
    info.partitions.push_back(one);
  }
  co_return info;
}

Task<Result<std::vector<StreamInfo>>> Coordinator::ListStreams() {
  std::vector<StreamInfo> out;
  // A copy, because the fold may change while the log answers.
  const auto streams = control_.fold().streams();
  for (const auto& [name, spec] : streams) {
    MILLRACE_CO_ASSIGN(StreamInfo info, co_await Describe(spec));
    out.push_back(std::move(info));
  }
  co_return out;
}

Task<Result<StreamInfo>> Coordinator::DescribeStream(std::string name_space, std::string name) {
  const StreamSpec* spec = control_.fold().FindStream(name_space, name);
  if (spec == nullptr) co_return NoSuchStream(control_.fold(), name_space, name);
  auto info = co_await Describe(*spec);
  co_return info;
}

Task<Result<std::vector<ProducerInfo>>> Coordinator::ListProducers(std::string name_space,
                                                                   std::string stream,
                                                                   Principal principal,
                                                                   std::string prefix) {
  if (control_.fold().FindStream(name_space, stream) == nullptr)
    co_return NoSuchStream(control_.fold(), name_space, stream);
  const std::vector<ProducerInfo> found =
      co_await desk_.FindProducers(name_space, stream, principal, prefix);
  std::map<std::string, int64_t> ends;
  for (const ProducerInfo& info : found) {
    int64_t& end = ends[info.id];
    end = std::max(end, info.end);
  }
  std::vector<ProducerInfo> out;
  for (auto& [id, end] : ends)
    if (out.size() < kMostProducers) out.push_back({id, end});
  co_return out;
}

Task<Result<ApplyReport>> Coordinator::Apply(std::string sql, bool may_drop) {
  if (!leadership_.leads()) co_return leadership_.NotLeader("apply a script");
  auto applied = co_await definitions_.Apply(std::move(sql), may_drop);
  co_return applied;
}

Task<Status> Coordinator::DropPipeline(std::string name_space, std::string name) {
  if (!leadership_.leads()) co_return leadership_.NotLeader("drop pipeline " + name);
  auto dropped = co_await definitions_.DropPipeline(std::move(name_space), std::move(name));
  co_return dropped;
}

Task<Status> Coordinator::AdvanceStream(std::string name_space, std::string name, Micros to) {
  const StreamSpec* found = control_.fold().FindStream(name_space, name);
  if (found == nullptr) co_return NoSuchStream(control_.fold(), name_space, name);
  const StreamSpec stream = *found;
  for (int32_t p = 0; p < stream.partitions; ++p) {
    const auto offset =
        co_await wiring_.ports.log->Append(stream.topic, PartitionId(p), EncodeAdvance(to));
    if (!offset.ok()) co_return Unavailable(offset.error().message);
  }
  co_return Status();
}

Task<Result<std::vector<ShardInfo>>> Coordinator::ListShards() {
  const std::map<uint64_t, Report> reports = co_await desk_.Reports();
  // By owner and shard. A follower does not speak for the shard.
  std::map<std::pair<uint64_t, ShardId>, const ShardInfo*> reported;
  for (const auto& [instance, report] : reports) {
    for (const ShardReport& shard : report.shards)
      reported[{instance, shard.info.shard}] = &shard.info;
  }
  std::vector<ShardInfo> out;
  for (const auto& [id, shard] : control_.fold().shards()) {
    const auto at = reported.find({shard.worker.instance, id});
    if (at != reported.end() && at->second->epoch >= shard.epoch) {
      out.push_back(*at->second);
      if (out.back().state == PhaseName(ShardPhase::kRunning) &&
          control::IsPaused(control_.fold(), id.incarnation))
        out.back().state = "paused";
      continue;
    }
    ShardInfo info;
    info.shard = id;
    info.epoch = shard.epoch;
    info.worker = shard.worker.name;
    info.next_offset = shard.halt ? shard.halt->from : shard.next_offset;
    info.last_cut = shard.last_cut;
    if (shard.halt) {
      info.state = PhaseName(ShardPhase::kHalted);
    } else if (shard.worker.instance == 0) {
      info.state = "unassigned";
    } else if (reports.contains(shard.worker.instance)) {
      info.state = "assigned";
    } else {
      info.state = "unknown";
    }
    info.message = shard.halt ? shard.halt->message : balancer_.WhyUnowned(id);
    out.push_back(std::move(info));
  }
  for (ShardInfo& info : out) {
    const auto at = control_.fold().pipelines().find(info.shard.incarnation);
    if (at == control_.fold().pipelines().end()) continue;
    const StreamSpec* stream =
        control_.fold().FindStream(info.shard.incarnation.name_space, at->second.spec.stream);
    // Dropped, and its shard is about to stop.
    if (stream == nullptr) continue;
    MILLRACE_CO_ASSIGN(const OffsetRange range,
                       co_await wiring_.ports.log->Range(stream->topic, info.shard.partition));
    info.end_offset = range.end;
  }
  std::sort(out.begin(), out.end(),
            [](const ShardInfo& a, const ShardInfo& b) { return a.shard < b.shard; });
  co_return out;
}

Task<Status> Coordinator::Set(Setting setting) {
  if (!leadership_.leads()) co_return leadership_.NotLeader("set " + setting.key);
  Incarnation what = control::TheCluster();
  if (!setting.name.empty()) {
    const Incarnation* view = control_.fold().Current(setting.name_space, setting.name);
    if (view == nullptr)
      co_return NoSuchPipeline(control_.fold(), setting.name_space, setting.name);
    what = *view;
  }
  auto value = control::SettingValue(!what.name.empty(), setting.key, setting.value);
  if (const auto partition = control::PinnedPartition(setting.key);
      partition && !what.name.empty()) {
    // All shards on the partition share a reader, so the pin is the stream's.
    what = control::StreamOf(control_.fold(), {what, *partition});
    const int32_t partitions = control_.fold().FindStream(what)->partitions;
    if (control::IsPinSetting(setting.key, setting.value, partitions)) value = setting.value;
  }
  if (!value) {
    co_return InvalidArgument(what.name.empty()
                                  ? "the cluster has the settings balance and followers, which are "
                                    "on or off, and expected_workers, from 0 to 1,000"
                                  : "a pipeline has the setting paused, which is on or off, and "
                                    "for each of its partitions a pin, which names a worker",
                              {{"key", setting.key}, {"value", setting.value}});
  }
  const auto& settings = control_.fold().SettingsOf(what);
  const auto there = settings.find(setting.key);
  if ((there == settings.end() ? std::string() : there->second) == *value) co_return Status();
  control::Set set{{}, what, setting.key, *value};
  auto written = co_await leadership_.Write(std::move(set), "set " + setting.key);
  co_return written;
}

Task<Result<std::vector<Setting>>> Coordinator::ListSettings() {
  std::vector<Setting> out;
  for (const auto& [what, settings] : control_.fold().settings())
    for (const auto& [key, value] : settings)
      out.push_back({what.name_space, what.name, key, value});
  co_return out;
}

Task<Status> Coordinator::ReleaseShard(ShardId id) {
  if (!leadership_.leads()) co_return leadership_.NotLeader("release " + id.ToString());
  if (!control_.fold().shards().contains(id)) {
    std::vector<std::string> names;
    for (const auto& [there, shard] : control_.fold().shards()) names.push_back(there.ToString());
    co_return NoSuch("shard", id.ToString(), names);
  }
  if (!balancer_.Release(id)) {
    co_return Conflict("only a shard that is held because workers died with it is released",
                       {{"shard", id.ToString()}});
  }
  co_return Status();
}

Task<std::vector<Condition>> Coordinator::Conditions() {
  std::vector<Condition> conditions = {{"control", control_.failure()},
                                       {"definitions", definitions_.troubles().Text()},
                                       {"workers", balancer_.Troubles()},
                                       {"shards", ""}};
  const auto shards = co_await ListShards();
  if (!shards.ok()) {
    conditions.back().trouble = shards.error().message;
    co_return conditions;
  }
  for (const ShardInfo& shard : *shards) AddTrouble(shard, &conditions.back().trouble);
  co_return conditions;
}

Task<Result<std::vector<PipelineInfo>>> Coordinator::ListPipelines() {
  MILLRACE_CO_ASSIGN(const std::vector<ShardInfo> shards, co_await ListShards());
  std::vector<PipelineInfo> out;
  for (const auto& [incarnation, pipeline] : control_.fold().pipelines()) {
    PipelineInfo info;
    info.incarnation = incarnation;
    SetDefinition(pipeline.spec, &info);
    info.state = "opening";
    info.watermark = info.read_watermark = kPlusInfinity;
    info.result_files = wiring_.ports.objects->AddressOf(ResultFileGlob(incarnation));
    std::string worst = "running";
    bool any = false;
    for (const ShardInfo& shard : shards) {
      if (shard.shard.incarnation != incarnation) continue;
      any = true;
      const bool open = shard.state == "running" || shard.state == "paused";
      const bool failing = open && !shard.message.empty();
      const std::string state = failing ? "failing" : shard.state;
      if (Badness(state) > Badness(worst)) worst = state;
      AddTrouble(shard, &info.message);
      info.watermark = std::min(info.watermark, shard.watermark);
      info.read_watermark = std::min(info.read_watermark, shard.read_watermark);
      info.late += shard.late;
      info.quarantined += shard.quarantined;
      info.open_windows += shard.open_windows;
    }
    if (any) info.state = worst;
    if (info.state == "running" && control::IsPaused(control_.fold(), incarnation))
      info.state = "paused";
    if (!any) info.watermark = info.read_watermark = kMinusInfinity;
    if (definitions_.troubles().failing(Definitions::TablesOf(incarnation))) {
      info.state = "failing";
      info.message = definitions_.troubles().Text(Definitions::TablesOf(incarnation));
    }
    out.push_back(std::move(info));
  }
  co_return out;
}

Task<Result<PipelineInfo>> Coordinator::DescribePipeline(std::string name_space, std::string name) {
  MILLRACE_CO_ASSIGN(std::vector<PipelineInfo> pipelines, co_await ListPipelines());
  // The one that has the name, not a dropped one that had it.
  const Incarnation* current = control_.fold().Current(name_space, name);
  for (PipelineInfo& info : pipelines)
    if (current != nullptr && info.incarnation == *current) co_return std::move(info);
  co_return NoSuchPipeline(control_.fold(), name_space, name);
}

/// kNotFound; kConflict: it is not halted.
Task<Result<ShardInfo>> Coordinator::FindHalted(ShardId id) {
  MILLRACE_CO_ASSIGN(const std::vector<ShardInfo> shards, co_await ListShards());
  const auto info =
      std::find_if(shards.begin(), shards.end(), [&](const ShardInfo& s) { return s.shard == id; });
  if (info == shards.end()) {
    std::vector<std::string> names;
    for (const ShardInfo& shard : shards) names.push_back(shard.shard.ToString());
    co_return NoSuch("shard", id.ToString(), names);
  }
  if (info->state != PhaseName(ShardPhase::kHalted)) {
    co_return Conflict("only a halted shard is skipped or tried again",
                       {{"state", info->state}, {"shard", id.ToString()}});
  }
  co_return *info;
}

namespace {

Error OutOfBounds(bool pinned, Offset to, const SkipReport& report) {
  return InvalidArgument(
      pinned ? "a skip cannot go there: below the lowest offset lie records that count already and "
               "would count twice, and the log ends at the highest; from the lowest on old records "
               "may count twice, and new ones up to the offset are left out"
             : "a skip cannot go there: below the lowest offset lie records that count already and "
               "would count twice, and the one that cannot be read; the log ends at the highest; "
               "records up to the offset are left out",
      {{"to", to.value}, {"lowest", report.lowest.value}, {"highest", report.highest.value}});
}

}  // namespace

Task<Result<SkipReport>> Coordinator::SkipShard(ShardId id, Offset to, std::string reason) {
  if (!leadership_.leads()) co_return leadership_.NotLeader("skip " + id.ToString());
  MILLRACE_CO_ASSIGN(const ShardInfo info, co_await FindHalted(id));
  const control::Fold& fold = control_.fold();
  const auto at = fold.shards().find(id);
  if (at == fold.shards().end() || !at->second.halt || at->second.epoch != info.epoch) {
    co_return Conflict(
        "the control log does not say that the shard halted, so it cannot be skipped; `millrace "
        "shard list` says what to do",
        {{"shard", id.ToString()}});
  }
  const control::HaltState& halt = *at->second.halt;
  const std::string& view = fold.pipelines().at(id.incarnation).spec.stream;
  const StreamSpec* stream = fold.FindStream(id.incarnation.name_space, view);
  SkipReport report;
  report.lowest = std::max(halt.lowest, fold.TrimOf(stream->generation, id.partition));
  report.highest = info.end_offset;
  if (to < report.lowest || to > report.highest) co_return OutOfBounds(halt.pinned, to, report);
  report.left_out = std::max<int64_t>(0, to.value - (halt.pinned ? halt.lowest : halt.from).value);
  report.may_count_twice =
      std::max<int64_t>(0, std::min(halt.from, report.highest).value - to.value);
  const std::optional<control::Process> taker = balancer_.TakerOf(id);
  if (!taker) co_return Unavailable("no worker answers that could take the shard");
  // The epoch of the owner that halted, so that the control log refuses a skip of another one.
  control::Skip skip{{}, id, *taker, Epoch(info.epoch.value + 1), to, std::move(reason)};
  MILLRACE_CO_TRY(co_await leadership_.Write(std::move(skip), "skip " + id.ToString()));
  co_return report;
}

Task<Status> Coordinator::RetryShard(ShardId id) {
  if (!leadership_.leads()) co_return leadership_.NotLeader("retry " + id.ToString());
  MILLRACE_CO_ASSIGN(const ShardInfo info, co_await FindHalted(id));
  const std::optional<control::Process> taker = balancer_.TakerOf(id);
  if (!taker) co_return Unavailable("no worker answers that could take the shard");
  // The epoch of the owner that halted: with a newer one the shard was tried again already.
  control::Assign assign{{}, id, *taker, Epoch(info.epoch.value + 1)};
  auto written = co_await leadership_.Write(std::move(assign), "retry " + id.ToString());
  co_return written;
}

Task<Status> Coordinator::WaitApplied(std::string name_space, std::string name, Left left) {
  auto applied =
      co_await results_.WaitApplied(std::move(name_space), std::move(name), std::move(left));
  co_return applied;
}

Task<Result<std::shared_ptr<RowCursor>>> Coordinator::OpenQuery(ServingQuery query) {
  auto cursor = co_await results_.OpenQuery(std::move(query));
  co_return cursor;
}

}  // namespace millrace::runtime
