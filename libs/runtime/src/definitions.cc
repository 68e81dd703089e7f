#include "millrace/runtime/definitions.h"

#include <algorithm>

#include "at_once.h"
#include "definition_rules.h"
#include "millrace/base/crash_point.h"
#include "millrace/base/log.h"
#include "millrace/model/object_keys.h"
#include "millrace/objectstore/object_pager.h"
#include "names.h"

// Makes topics, tables and state follow what the control log defines and drops. Each step
// can be done again: after a crash the next leader does whatever may be left.

namespace millrace::runtime {
namespace {

constexpr auto kRetry = std::chrono::milliseconds(200);
/// How troubles() calls the list of views that are there.
constexpr std::string_view kViews = "views in the table store";

std::string RemovalOf(const std::string& topic, Offset generation) {
  return TopicTurn(topic) + "@" + std::to_string(generation.value);
}

}  // namespace

Task<Status> Definitions::Follow() {
  if (!leadership_.leads()) {
    for (const auto& [what, next] : std::exchange(put_off_, {})) troubles_.Worked(what);
    look_for_views_at_ = Executor::Duration(0);
    co_return Status();
  }
  MILLRACE_CO_TRY(co_await MakeTopics());
  if (Executor::Current().Monotonic() >= look_for_views_at_ && !IsPutOff(std::string(kViews)))
    co_await LookForViews();
  std::vector<Incarnation> undefined;
  for (const auto& [incarnation, pipeline] : control_.fold().pipelines()) {
    known_.insert(incarnation);
    if (!served_.contains(incarnation) && !IsPutOff(TablesOf(incarnation)))
      undefined.push_back(incarnation);
  }
  std::vector<Incarnation> leaving;
  for (const Incarnation& incarnation : known_) {
    if (IsDropped(incarnation) && !IsPutOff(TablesOf(incarnation))) leaving.push_back(incarnation);
  }
  // Drops first: a later pipeline may want a name that they free.
  std::vector<Task<Status>> drops;
  for (const Incarnation& incarnation : leaving) drops.push_back(TryDrop(incarnation));
  MILLRACE_CO_TRY(co_await RunAll(std::move(drops), kDefinitionsAtOnce));
  std::vector<Task<Status>> definitions;
  for (const Incarnation& incarnation : undefined) definitions.push_back(TryDefine(incarnation));
  MILLRACE_CO_TRY(co_await RunAll(std::move(definitions), kDefinitionsAtOnce));
  co_return Status();
}

Task<> Definitions::LookForViews() {
  const auto shown = co_await wiring_.ports.tables->ListViews();
  NoteTry(std::string(kViews), shown.ok() ? Status() : Status(shown.error()),
          "see to the table store and its disk");
  if (!shown.ok()) co_return;
  look_for_views_at_ = Executor::Current().Monotonic() + wiring_.options.views_check;
  known_.insert(shown->begin(), shown->end());
  // To define a view once more that was just defined does no harm.
  std::erase_if(served_, [&](const Incarnation& incarnation) {
    return std::find(shown->begin(), shown->end(), incarnation) == shown->end();
  });
}

/// One that lies behind what was read is not dropped, but not known yet.
bool Definitions::IsDropped(const Incarnation& incarnation) const {
  const control::Fold& fold = control_.fold();
  return leadership_.leads() && incarnation.defined_at < fold.next_offset() &&
         !fold.pipelines().contains(incarnation);
}

Task<Status> Definitions::MakeTopics() {
  std::vector<Task<Status>> topics;
  for (const auto& [name, spec] : control_.fold().streams())
    if (!topics_.contains(spec.generation)) topics.push_back(MakeTopic(spec));
  auto made = co_await RunAll(std::move(topics), kDefinitionsAtOnce);
  co_return made;
}

Task<Turns::Turn> Definitions::TakeTopic(std::string topic) {
  auto turn = co_await turns_.Take(TopicTurn(topic));
  co_return turn;
}

Task<Status> Definitions::MakeTopic(StreamSpec stream) {
  const Turns::Turn turn = co_await turns_.Take(TopicTurn(stream.topic));
  const StreamSpec* there = control_.fold().FindStream(stream.name_space, stream.name);
  // Dropped while this waited. One that does not lead any more may lag, and would bring back a
  // topic that was removed.
  if (there == nullptr || there->generation != stream.generation || !leadership_.leads())
    co_return Status();
  if (!stream.foreign) {
    TopicSpec topic{stream.topic, stream.partitions};
    MILLRACE_CO_TRY(co_await wiring_.ports.log->CreateTopic(std::move(topic)));
  }
  topics_.insert(stream.generation);
  co_return Status();
}

Task<Status> Definitions::DropStream(std::string name_space, std::string name) {
  const StreamSpec* found = control_.fold().FindStream(name_space, name);
  if (found == nullptr) co_return NoSuchStream(control_.fold(), name_space, name);
  const StreamSpec stream = *found;
  const Turns::Turn turn = co_await turns_.Take(TopicTurn(stream.topic));
  // The id is in the record, so that a leader that was overtaken can only remove this topic, never
  // one that was made under the name since.
  control::DropStream drop{{}, name_space, name, stream.generation, {}};
  // Without an id no topic is removed: that of others stays.
  if (!stream.foreign) {
    const auto topic = co_await wiring_.ports.log->DescribeTopic(stream.topic);
    if (!topic.ok() && topic.error().code != Code::kNotFound) co_return topic.error();
    if (topic.ok()) drop.topic_id = topic->id;
  }
  const Status written =
      co_await leadership_.Write(std::move(drop), "drop stream " + Qualified(name_space, name));
  if (!written.ok()) {
    const auto readers = control_.fold().ReadersOf(name_space, name);
    if (!readers.empty()) co_return StreamIsRead(Qualified(name_space, name), readers);
    co_return written.error();
  }
  CrashPoint("stream.drop.recorded");
  MILLRACE_CO_TRY(co_await FinishStreamDrop(stream.generation));
  CrashPoint("stream.drop.topic_removed");
  co_return Status();
}

/// What follows from a DropStream record, in the turn of its topic.
Task<Status> Definitions::FinishStreamDrop(Offset generation) {
  if (wiring_.stop_appending) co_await wiring_.stop_appending();
  co_await wiring_.stop_lost();
  topics_.erase(generation);
  TopicSpec topic = control_.fold().dropped_topics().at(generation);
  MILLRACE_CO_TRY(co_await wiring_.ports.log->RemoveTopic(std::move(topic)));
  removed_topics_.insert(generation);
  NoteTry(RemovalOf(control_.fold().dropped_topics().at(generation).name, generation), Status(),
          {});
  co_return Status();
}

Task<> Definitions::RemoveDroppedTopics() {
  if (!leadership_.leads()) co_return;
  for (const auto& [generation, topic] : std::map(control_.fold().dropped_topics())) {
    const std::string what = RemovalOf(topic.name, generation);
    if (removed_topics_.contains(generation) || IsPutOff(what)) continue;
    const Turns::Turn turn = co_await turns_.Take(TopicTurn(topic.name));
    if (removed_topics_.contains(generation)) continue;
    const Status finished = co_await FinishStreamDrop(generation);
    NoteTry(what, finished, "the stream is dropped; see to the log and its disk");
  }
}

/// In turn with a drop, and only while the view stands: a Define that was under way when the view
/// was dropped would bring its tables' views back for good.
Task<Status> Definitions::DefineServing(Incarnation incarnation) {
  const Turns::Turn turn = co_await turns_.Take(incarnation.ToString());
  const control::Fold& fold = control_.fold();
  const auto at = fold.pipelines().find(incarnation);
  if (at == fold.pipelines().end()) co_return Status();
  if (served_.contains(incarnation)) co_return Status();
  const PipelineSpec spec = at->second.spec;
  const StreamSpec stream = *fold.FindStream(incarnation.name_space, spec.stream);
  MILLRACE_CO_TRY(co_await wiring_.ports.tables->Define(incarnation, stream, spec));
  served_.insert(incarnation);
  wiring_.on_tables();
  NoteTry(TablesOf(incarnation), Status(), {});
  co_return Status();
}

Task<Status> Definitions::DropPipeline(std::string name_space, std::string name) {
  const Incarnation* found = control_.fold().Current(name_space, name);
  if (found == nullptr) co_return NoSuchPipeline(control_.fold(), name_space, name);
  const Incarnation incarnation = *found;
  known_.insert(incarnation);
  control::Drop drop{{}, incarnation};
  MILLRACE_CO_TRY(co_await leadership_.Write(std::move(drop), "drop pipeline " + name));
  auto finished = co_await FinishDrop(incarnation);
  co_return finished;
}

/// What follows from a Drop record, at once or, if the process ended in between, at the next start.
Task<Status> Definitions::FinishDrop(Incarnation incarnation) {
  const Turns::Turn turn = co_await turns_.Take(incarnation.ToString());
  // Finished by another call while this waited. To fail now would put off what nobody tries again.
  if (!known_.contains(incarnation)) co_return Status();
  MILLRACE_CO_TRY(co_await wiring_.ports.tables->DropViews(incarnation));
  // No shard of a dropped incarnation is ever opened again, so nothing needs its state.
  ObjectPager pager(wiring_.ports.objects, StateFolder(incarnation));
  for (;;) {
    MILLRACE_CO_ASSIGN(const std::vector<ObjectInfo> objects, co_await pager.Next());
    if (objects.empty()) break;
    for (const ObjectInfo& object : objects) {
      const Status deleted = co_await wiring_.ports.objects->Delete(object.key);
      if (!deleted.ok()) {
        LogWarn("state of a dropped pipeline was not deleted", {{"object", object.key}});
      }
    }
  }
  known_.erase(incarnation);
  served_.erase(incarnation);
  NoteTry(TablesOf(incarnation), Status(), {});
  co_return Status();
}

Task<Status> Definitions::TryDrop(Incarnation incarnation) {
  const Status finished = co_await FinishDrop(incarnation);
  NoteTry(TablesOf(incarnation), finished,
          "the pipeline is dropped; see to the table store and its disk");
  co_return Status();
}

Task<Status> Definitions::TryDefine(Incarnation incarnation) {
  const Status defined = co_await DefineServing(incarnation);
  NoteTry(TablesOf(incarnation), defined,
          "see to the table store and its disk, or drop the pipeline if that does not end");
  co_return Status();
}

bool Definitions::IsPutOff(const std::string& what) const {
  const auto at = put_off_.find(what);
  return at != put_off_.end() && at->second.until > Executor::Current().Monotonic();
}

/// One pipeline whose stores refuse it must not keep the others, or the process, from starting.
void Definitions::NoteTry(const std::string& what, const Status& status,
                          const std::string& advice) {
  if (status.ok()) {
    put_off_.erase(what);
    troubles_.Worked(what);
    return;
  }
  PutOff& next = put_off_[what];
  next.delay = std::clamp<Executor::Duration>(next.delay * 2, kRetry, wiring_.options.retry_last);
  next.until = Executor::Current().Monotonic() + next.delay;
  troubles_.Failed(what, advice, status.error());
}

std::string Definitions::TablesOf(const Incarnation& incarnation) {
  return "tables of " + incarnation.ToString();
}

Executor::Duration Definitions::UntilNextTry() const {
  const Executor::Duration now = Executor::Current().Monotonic();
  Executor::Duration wait = wiring_.options.views_check;
  if (!put_off_.contains(std::string(kViews))) wait = std::min(wait, look_for_views_at_ - now);
  for (const auto& [what, next] : put_off_) wait = std::min(wait, next.until - now);
  return std::max(wait, Executor::Duration(0));
}

}  // namespace millrace::runtime
