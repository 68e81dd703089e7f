#include "definitions.h"

#include "at_once.h"
#include "millrace/base/crash_point.h"
#include "millrace/base/log.h"
#include "millrace/model/object_keys.h"
#include "millrace/runtime/node.h"
#include "names.h"

// Makes topics, gateways, tables and state follow what the control log defines and drops. Each step
// can be done again: after a crash the next leader does whatever may be left.

namespace millrace::runtime {

/// Tells gateways of streams that are new, and of those that are gone.
Task<Status> Node::AnnounceStreams() {
  // Copies: the fold goes on while this waits.
  std::vector<StreamSpec> fresh;
  for (const auto& [name, spec] : control_.fold().streams())
    if (!announced_.contains(spec.generation)) fresh.push_back(spec);
  std::vector<Task<Status>> announcements;
  for (StreamSpec& stream : fresh) announcements.push_back(Announce(std::move(stream)));
  MILLRACE_CO_TRY(co_await RunAll(std::move(announcements), kDefinitionsAtOnce));
  std::vector<StreamSpec> gone;
  for (const auto& [generation, spec] : announced_) {
    const StreamSpec* there = control_.fold().FindStream(spec.name_space, spec.name);
    if (there == nullptr || there->generation != generation) gone.push_back(spec);
  }
  for (const StreamSpec& stream : gone) {
    co_await wiring_.on_stream_dropped(stream);
    announced_.erase(stream.generation);
  }
  co_return Status();
}

Task<Status> Node::Announce(StreamSpec stream) {
  const Turns::Turn turn = co_await turns_.Take(TopicTurn(stream.topic));
  const StreamSpec* there = control_.fold().FindStream(stream.name_space, stream.name);
  // Dropped, or announced by the call that defined it, while this waited.
  if (there == nullptr || there->generation != stream.generation) co_return Status();
  if (announced_.contains(stream.generation)) co_return Status();
  TopicSpec topic{stream.topic, stream.partitions};
  MILLRACE_CO_TRY(co_await wiring_.ports.log->CreateTopic(std::move(topic)));
  announced_[stream.generation] = stream;
  wiring_.on_stream(stream);
  co_return Status();
}

Task<Status> Node::DropStream(std::string name_space, std::string name) {
  const StreamSpec* found = control_.fold().FindStream(name_space, name);
  if (found == nullptr) co_return NoSuchStream(control_.fold(), name_space, name);
  const StreamSpec stream = *found;
  const Turns::Turn turn = co_await turns_.Take(TopicTurn(stream.topic));
  // The id is in the record, so that a leader that was overtaken can only remove this topic, never
  // one that was made under the name since.
  control::DropStream drop{{}, name_space, name, stream.generation, {}};
  const auto topic = co_await wiring_.ports.log->DescribeTopic(stream.topic);
  if (!topic.ok() && topic.error().code != Code::kNotFound) co_return topic.error();
  if (topic.ok()) drop.topic_id = topic->id;
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
Task<Status> Node::FinishStreamDrop(Offset generation) {
  if (const auto at = announced_.find(generation); at != announced_.end()) {
    const StreamSpec stream = at->second;
    co_await wiring_.on_stream_dropped(stream);
    announced_.erase(generation);
  }
  co_await DisownLost();
  TopicSpec topic = control_.fold().dropped_topics().at(generation);
  MILLRACE_CO_TRY(co_await wiring_.ports.log->RemoveTopic(std::move(topic)));
  removed_topics_.insert(generation);
  co_return Status();
}

Task<> Node::RemoveDroppedTopics() {
  for (const auto& [generation, topic] : std::map(control_.fold().dropped_topics())) {
    const std::string what = TopicTurn(topic.name) + "@" + std::to_string(generation.value);
    if (removed_topics_.contains(generation) || IsPutOff(what)) continue;
    const Turns::Turn turn = co_await turns_.Take(TopicTurn(topic.name));
    if (removed_topics_.contains(generation)) continue;
    const Status finished = co_await FinishStreamDrop(generation);
    NoteTry(what, finished, "the stream is dropped; see to the log and its disk");
  }
}

/// In turn with a drop, and only while the view stands: a Define that was under way when the view
/// was dropped would bring its tables' views back for good.
Task<Status> Node::DefineServing(Incarnation incarnation) {
  const Turns::Turn turn = co_await turns_.Take(incarnation.ToString());
  const control::Fold& fold = control_.fold();
  const auto at = fold.pipelines().find(incarnation);
  if (at == fold.pipelines().end() || at->second.dropped) co_return Status();
  if (served_.contains(incarnation)) co_return Status();
  const PipelineSpec spec = at->second.spec;
  const StreamSpec stream = *fold.FindStream(incarnation.name_space, spec.stream);
  MILLRACE_CO_TRY(co_await wiring_.ports.tables->Define(incarnation, stream, spec));
  served_.insert(incarnation);
  co_return Status();
}

Task<Status> Node::DropPipeline(std::string name_space, std::string name) {
  const Incarnation* found = control_.fold().Current(name_space, name);
  if (found == nullptr) co_return NoSuchPipeline(control_.fold(), name_space, name);
  const Incarnation incarnation = *found;
  control::Drop drop{{}, incarnation};
  MILLRACE_CO_TRY(co_await leadership_.Write(std::move(drop), "drop pipeline " + name));
  auto finished = co_await FinishDrop(incarnation);
  co_return finished;
}

/// What follows from a Drop record, at once or, if the process ended in between, at the next start.
Task<Status> Node::FinishDrop(Incarnation incarnation) {
  const Turns::Turn turn = co_await turns_.Take(incarnation.ToString());
  MILLRACE_CO_TRY(co_await wiring_.ports.tables->DropViews(incarnation));
  // No shard of a dropped incarnation is ever opened again, so nothing needs its state.
  MILLRACE_CO_ASSIGN(const std::vector<ObjectInfo> objects,
                     co_await wiring_.ports.objects->List(StateFolder(incarnation)));
  for (const ObjectInfo& object : objects) {
    const Status deleted = co_await wiring_.ports.objects->Delete(object.key);
    if (!deleted.ok()) {
      LogWarn("state of a dropped pipeline was not deleted", {{"object", object.key}});
    }
  }
  dropped_.insert(incarnation);
  co_return Status();
}

}  // namespace millrace::runtime
