#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "definition_rules.h"
#include "millrace/base/facts.h"
#include "millrace/control/retention.h"
#include "millrace/runtime/definitions.h"
#include "millrace/serving/table_shape.h"
#include "names.h"

// Scripts: what a caller asks to be defined or dropped, checked and written to the control log.
// definitions.cc makes the stores follow.

namespace millrace::runtime {

using operations::AppliedStatement;
using operations::ApplyReport;
using operations::Outcome;
namespace {

Error TopicTaken(const StreamSpec& first, const StreamSpec& second) {
  return Conflict(
      "the topic belongs to another stream, and a topic has one stream; add views to that stream, "
      "or give the new one a topic of its own",
      {{"topic", first.topic},
       {"stream", Qualified(first.name_space, first.name)},
       {"refused", Qualified(second.name_space, second.name)}});
}

/// The definitions are the same: which generation of the stream has it is no part of it, and
/// whether a topic of others has append times the log says and no script.
bool SameDefinition(StreamSpec a, const StreamSpec& b) {
  a.generation = b.generation;
  if (a.foreign) a.append_times = b.append_times;
  return a == b;
}

/// What an error of a later statement says about those before it.
std::string Before(const std::vector<AppliedStatement>& applied) {
  std::string text;
  for (const AppliedStatement& one : applied) {
    text += text.empty() ? "\napplied before it: " : ", ";
    text += one.kind + " " + Qualified(one.name_space, one.name);
    if (one.outcome != Outcome::kCreated)
      text += " (" + std::string(operations::OutcomeName(one.outcome)) + ")";
  }
  return text;
}

using Names = std::pair<std::string, std::string>;

/// Walks through a script as if it were applied: every DROP must find what it names, and no view
/// may read a stream that goes. Gives what exists now and would be dropped.
Result<std::vector<AppliedStatement>> FindDrops(const control::Fold& fold,
                                                const std::vector<Statement>& script) {
  std::set<Names> streams;
  std::map<Names, Names> views;  // the stream that each reads
  for (const auto& [name, spec] : fold.streams()) streams.insert(name);
  for (const auto& [incarnation, pipeline] : fold.pipelines()) {
    views[{incarnation.name_space, incarnation.name}] = {incarnation.name_space,
                                                         pipeline.spec.stream};
  }
  std::vector<AppliedStatement> drops;
  for (const Statement& statement : script) {
    if (const auto* stream = std::get_if<StreamSpec>(&statement)) {
      streams.insert({stream->name_space, stream->name});
      continue;
    }
    if (const auto* view = std::get_if<PipelineSpec>(&statement)) {
      views[{view->name_space, view->name}] = {view->name_space, view->stream};
      continue;
    }
    if (const auto* setting = std::get_if<SettingStatement>(&statement)) {
      if (!streams.contains({setting->name_space, setting->stream}))
        return NoSuchStream(fold, setting->name_space, setting->stream);
      continue;
    }
    const auto& drop = std::get<DropStatement>(statement);
    const Names name(drop.name_space, drop.name);
    const std::string qualified = Qualified(drop.name_space, drop.name);
    const bool is_stream = streams.contains(name);
    const bool is_view = views.contains(name);
    if (drop.view ? is_stream : is_view)
      return Conflict(drop.view ? "a stream has this name; write DROP TABLE"
                                : "a view has this name; write DROP MATERIALIZED VIEW",
                      {{"name", qualified}});
    if (!(drop.view ? is_view : is_stream)) {
      if (drop.if_exists) continue;
      return drop.view ? NoSuchPipeline(fold, drop.name_space, drop.name)
                       : NoSuchStream(fold, drop.name_space, drop.name);
    }
    std::vector<std::string> readers;
    for (const auto& [view, stream] : views) {
      if (!drop.view && stream == name) readers.push_back(view.second);
    }
    if (!readers.empty()) return StreamIsRead(qualified, readers);
    drop.view ? static_cast<void>(views.erase(name)) : static_cast<void>(streams.erase(name));
    drops.push_back(
        {drop.view ? "pipeline" : "stream", drop.name_space, drop.name, Outcome::kDropped});
  }
  return drops;
}

}  // namespace

Task<Result<ApplyReport>> Definitions::Apply(std::string sql, bool may_drop) {
  const auto lookup = [this](std::string_view name_space, std::string_view name) {
    return control_.fold().FindStream(std::string(name_space), std::string(name));
  };
  PlannerOptions options;
  for (const auto& [name, spec] : control_.fold().streams())
    options.stream_names.push_back(name.first + "." + name.second);
  MILLRACE_CO_ASSIGN(const std::vector<Statement> statements, PlanScript(sql, lookup, options));
  MILLRACE_CO_ASSIGN(std::vector<AppliedStatement> drops, FindDrops(control_.fold(), statements));
  ApplyReport report;
  if (!drops.empty() && !may_drop) {
    report.statements = std::move(drops);
    report.needs_consent = true;
    co_return report;
  }
  for (const Statement& statement : statements) {
    auto one = co_await ApplyStatement(statement);
    if (!one.ok()) {
      Error error = one.error();
      error.message += Before(report.statements);
      co_return error;
    }
    report.statements.push_back(std::move(*one));
  }
  co_return report;
}

Task<Result<AppliedStatement>> Definitions::ApplyStatement(Statement statement) {
  if (auto* stream = std::get_if<StreamSpec>(&statement)) {
    auto applied = co_await ApplyStream(std::move(*stream));
    co_return applied;
  }
  if (auto* view = std::get_if<PipelineSpec>(&statement)) {
    auto applied = co_await ApplyPipeline(std::move(*view));
    co_return applied;
  }
  if (auto* setting = std::get_if<SettingStatement>(&statement)) {
    auto applied = co_await ApplySetting(std::move(*setting));
    co_return applied;
  }
  DropStatement drop = std::get<DropStatement>(std::move(statement));
  auto applied = co_await ApplyDrop(std::move(drop));
  co_return applied;
}

Task<Result<AppliedStatement>> Definitions::ApplySetting(SettingStatement setting) {
  AppliedStatement applied{"setting", setting.name_space, setting.stream + "." + setting.key,
                           Outcome::kUnchanged};
  const StreamSpec* stream = control_.fold().FindStream(setting.name_space, setting.stream);
  if (stream == nullptr)
    co_return NoSuchStream(control_.fold(), setting.name_space, setting.stream);
  if (stream->foreign)
    co_return Conflict(
        "nothing is deleted from a topic that others made: its own retention holds",
        {{"stream", Qualified(setting.name_space, setting.stream)}, {"topic", stream->topic}});
  const Incarnation what{setting.name_space, setting.stream, stream->generation};
  const std::string value = setting.value > 0 ? std::to_string(setting.value) : std::string();
  const auto& settings = control_.fold().SettingsOf(what);
  const auto there = settings.find(setting.key);
  if ((there == settings.end() ? std::string() : there->second) == value) co_return applied;
  if (setting.key == control::kKeepBytes && setting.value > 0) {
    const auto bytes = co_await wiring_.ports.log->Bytes(stream->topic, PartitionId(0), Offset(0));
    if (!bytes.ok() && bytes.error().code == Code::kConflict)
      co_return Conflict(bytes.error().message + "; set keep_for instead of keep_bytes");
  }
  control::Set set{{}, what, setting.key, value};
  MILLRACE_CO_TRY(co_await leadership_.Write(std::move(set),
                                             "set " + Qualified(setting.name_space, applied.name)));
  applied.outcome = Outcome::kSet;
  co_return applied;
}

Task<Result<AppliedStatement>> Definitions::ApplyDrop(DropStatement drop) {
  AppliedStatement applied{drop.view ? "pipeline" : "stream", drop.name_space, drop.name,
                           Outcome::kDropped};
  Status dropped;
  if (drop.view) {
    dropped = co_await DropPipeline(drop.name_space, drop.name);
  } else {
    dropped = co_await DropStream(drop.name_space, drop.name);
  }
  if (dropped.ok()) co_return applied;
  if (dropped.error().code != Code::kNotFound || !drop.if_exists) co_return dropped.error();
  applied.outcome = Outcome::kAbsent;
  co_return applied;
}

/// A topic of ours is made. One of others is looked at, and tells whether it has append times.
Task<Status> Definitions::TakeOrMakeTopic(StreamSpec* spec) {
  if (!spec->foreign) {
    TopicSpec topic{spec->topic, spec->partitions};
    auto created = co_await wiring_.ports.log->CreateTopic(std::move(topic));
    co_return created;
  }
  const auto found = co_await wiring_.ports.log->CheckForeignTopic(spec->topic);
  if (!found.ok() && found.error().code == Code::kNotFound)
    co_return NotFound(
        "the stream is declared foreign and nobody has made its topic: make it, or name another",
        {{"topic", spec->topic}});
  if (!found.ok()) co_return found.error();
  if (found->partitions != spec->partitions)
    co_return Conflict(
        "the foreign topic has another number of partitions: declare as many as it has",
        {{"topic", spec->topic}, {"has", found->partitions}, {"declared", spec->partitions}});
  spec->append_times = found->append_times;
  co_return Status();
}

Task<Result<AppliedStatement>> Definitions::ApplyStream(StreamSpec spec) {
  AppliedStatement applied{"stream", spec.name_space, spec.name, Outcome::kUnchanged};
  const std::string name = Qualified(spec.name_space, spec.name);
  const Turns::Turn turn = co_await turns_.Take(TopicTurn(spec.topic));
  if (const StreamSpec* there = control_.fold().FindStream(spec.name_space, spec.name)) {
    if (SameDefinition(*there, spec)) co_return applied;
    co_return Conflict(
        "the stream exists with another definition, and a definition does not change; declare the "
        "new one under another name, or drop the stream first (DROP TABLE)",
        {{"stream", name}});
  }
  if (control_.fold().Current(spec.name_space, spec.name) != nullptr) {
    co_return Conflict("a pipeline has this name; choose another for the stream", {{"name", name}});
  }
  if (const StreamSpec* first = control_.fold().StreamOfTopic(spec.topic))
    co_return TopicTaken(*first, spec);
  // An earlier stream of the topic may have been dropped a moment ago.
  for (const auto& [generation, topic] : std::map(control_.fold().dropped_topics())) {
    if (topic.name != spec.topic || removed_topics_.contains(generation)) continue;
    MILLRACE_CO_TRY(co_await FinishStreamDrop(generation));
  }
  MILLRACE_CO_TRY(co_await TakeOrMakeTopic(&spec));
  control::DefineStream define{{}, spec};
  const Status written = co_await leadership_.Write(std::move(define), "define stream " + name);
  if (!written.ok()) {
    // Another call may have declared the same meanwhile.
    const StreamSpec* there = control_.fold().FindStream(spec.name_space, spec.name);
    if (there != nullptr && SameDefinition(*there, spec)) co_return applied;
    if (const StreamSpec* first = control_.fold().StreamOfTopic(spec.topic))
      co_return TopicTaken(*first, spec);
    co_return written.error();
  }
  applied.outcome = Outcome::kCreated;
  co_return applied;
}

Task<Result<AppliedStatement>> Definitions::ApplyPipeline(PipelineSpec spec) {
  AppliedStatement applied{"pipeline", spec.name_space, spec.name, Outcome::kUnchanged};
  const std::string name = Qualified(spec.name_space, spec.name);
  if (const Incarnation* there = control_.fold().Current(spec.name_space, spec.name)) {
    if (control_.fold().pipelines().at(*there).spec == spec) co_return applied;
    co_return Conflict(
        "the pipeline exists with another definition, and a definition does not change; "
        "drop it first (`millrace pipeline drop " +
            name + "`) or create the new one under another name",
        {{"pipeline", name}});
  }
  const StreamSpec* found = control_.fold().FindStream(spec.name_space, spec.stream);
  if (found == nullptr) co_return NoSuchStream(control_.fold(), spec.name_space, spec.stream);
  if (control_.fold().FindStream(spec.name_space, spec.name) != nullptr) {
    co_return Conflict("a stream has this name; choose another for the pipeline", {{"name", name}});
  }
  const StreamSpec stream = *found;
  MILLRACE_CO_TRY(CheckServingTables(stream, spec));
  MILLRACE_CO_ASSIGN(std::vector<Offset> offsets, co_await StartOffsets(spec, stream));
  control::Define define{{}, spec, std::move(offsets), stream.generation};
  const Status written = co_await leadership_.Write(std::move(define), "define pipeline " + name);
  if (!written.ok()) {
    // Another call may have defined the same meanwhile.
    const Incarnation* there = control_.fold().Current(spec.name_space, spec.name);
    if (there != nullptr && control_.fold().pipelines().at(*there).spec == spec) co_return applied;
    co_return written.error();
  }
  const Incarnation* incarnation = control_.fold().Current(spec.name_space, spec.name);
  if (incarnation != nullptr) MILLRACE_CO_TRY(co_await DefineServing(*incarnation));
  applied.outcome = Outcome::kCreated;
  co_return applied;
}

Task<Result<std::vector<Offset>>> Definitions::StartOffsets(PipelineSpec spec, StreamSpec stream) {
  std::vector<Offset> offsets;
  for (int32_t p = 0; p < stream.partitions; ++p) {
    Offset start;
    if (spec.start == StartKind::kTime) {
      MILLRACE_CO_ASSIGN(start, co_await wiring_.ports.log->OffsetForTime(
                                    stream.topic, PartitionId(p), spec.start_time));
    } else {
      MILLRACE_CO_ASSIGN(const OffsetRange range,
                         co_await wiring_.ports.log->Range(stream.topic, PartitionId(p)));
      start = spec.start == StartKind::kLatest ? range.end : range.start;
    }
    // What was given up may not be deleted yet.
    offsets.push_back(std::max(start, control_.fold().TrimOf(stream.generation, PartitionId(p))));
  }
  co_return offsets;
}

}  // namespace millrace::runtime
