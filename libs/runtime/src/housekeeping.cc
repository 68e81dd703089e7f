#include "millrace/runtime/housekeeping.h"

#include "millrace/base/crash_point.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"
#include "millrace/checkpoint/checkpointer.h"
#include "millrace/model/object_keys.h"
#include "millrace/objectstore/object_pager.h"

namespace millrace::runtime {

Housekeeping::Housekeeping(Ports ports, Options options, std::function<bool()> leads,
                           const control::Fold* fold)
    : ports_(ports),
      options_(options),
      leads_(std::move(leads)),
      fold_(fold),
      cleared_objects_(&ports.metrics->GetCounter(
          "millrace_coordinator_cleaned_objects_total",
          "State objects that no checkpoint needs, deleted by housekeeping.", {})),
      cleared_rows_(&ports.metrics->GetCounter(
          "millrace_coordinator_expired_rows_total",
          "Late and quarantined events deleted at the end of their retention.", {})) {}

Task<> Housekeeping::Loop() {
  co_await Delay(options_.housekeeping_first);
  while (!stopped_) {
    const Cleared cleared = co_await RunOnce();
    if (cleared.objects > 0 || cleared.rows > 0)
      LogInfo("housekeeping", {{"objects", cleared.objects}, {"rows", cleared.rows}});
    co_await Delay(options_.housekeeping_interval);
  }
}

Task<Housekeeping::Cleared> Housekeeping::RunOnce() {
  Cleared cleared;
  if (!Leads()) co_return cleared;
  cleared.rows = co_await ClearRawEvents();
  // A copy: the fold goes on while this waits, and any one moment of it will do.
  const auto shards = fold_->shards();
  for (const auto& [id, shard] : shards) {
    if (!Leads()) co_return cleared;
    cleared.objects += co_await ClearShard(id, shard);
  }
  cleared.objects += co_await ClearDropped();
  co_return cleared;
}

Task<int64_t> Housekeeping::ClearRawEvents() {
  const Micros before = Executor::Current().Wall() - options_.raw_retention.count();
  int64_t cleared = 0;
  while (Leads()) {
    CrashPoint("housekeeping.before_rows");
    const auto deleted = co_await ports_.tables->DeleteRaw(before, options_.raw_rows);
    if (!deleted.ok()) {
      LogWarn("late and quarantined events past their retention are deleted later",
              {{"error", deleted.error().message}});
      break;
    }
    cleared += *deleted;
    if (*deleted < options_.raw_rows) break;
  }
  cleared_rows_->Add(static_cast<double>(cleared));
  co_return cleared;
}

Task<int64_t> Housekeeping::ClearShard(ShardId id, control::ShardState shard) {
  const std::string prefix = StateFolder(id);
  const Micros newest = Executor::Current().Wall() - options_.unnamed_object_age.count();
  ObjectPager pager(ports_.objects, prefix);
  // What the kept commits name, read when the first old object is found.
  std::optional<std::set<std::string>> named;
  int64_t cleared = 0;
  for (;;) {
    const auto listed = co_await pager.Next();
    if (!listed.ok()) {
      LogWarn("state objects cannot be listed, they are cleaned later",
              {{"shard", id.ToString()}, {"error", listed.error().message}});
      break;
    }
    if (listed->empty()) break;
    std::vector<std::string> old;
    for (const ObjectInfo& object : *listed) {
      const auto epoch =
          checkpoint::UploadEpoch(std::string_view(object.key).substr(prefix.size()));
      if (!epoch || object.modified > newest) continue;
      if (*epoch < shard.epoch || Planted("clean_any_epoch")) old.push_back(object.key);
    }
    if (old.empty()) continue;
    if (!named) named = co_await NamedByKept(id, shard);
    if (!named) break;
    for (const std::string& object : old)
      if (!named->contains(object)) cleared += co_await ClearObject(object);
  }
  cleared_objects_->Add(static_cast<double>(cleared));
  co_return cleared;
}

/// The objects that the shard's kept commits name; nothing if one of them cannot be read.
Task<std::optional<std::set<std::string>>> Housekeeping::NamedByKept(ShardId id,
                                                                     control::ShardState shard) {
  std::set<std::string> named;
  for (const control::CommitState& commit : shard.commits) {
    const auto manifest =
        co_await checkpoint::LoadManifest(ports_.objects, commit.manifest, commit.manifest_hash);
    if (!manifest.ok()) {
      LogWarn("a kept checkpoint cannot be read, so nothing of its shard is cleaned",
              {{"shard", id.ToString()},
               {"cut", commit.cut.value},
               {"error", manifest.error().message}});
      co_return std::nullopt;
    }
    named.insert(commit.manifest);
    for (const checkpoint::ManifestFile& file : manifest->files) named.insert(file.object);
    for (const checkpoint::OwedObject& owed : manifest->owed) named.insert(owed.object);
  }
  co_return named;
}

/// What is left of pipelines that were dropped.
Task<int64_t> Housekeeping::ClearDropped() {
  int64_t cleared = 0;
  const auto folders = co_await StateFolders();
  if (!folders.ok()) {
    LogWarn("state of dropped pipelines cannot be listed, it is cleaned later",
            {{"error", folders.error().message}});
    co_return cleared;
  }
  for (const std::string& folder : *folders) {
    const auto incarnation = ParseStateFolder(folder);
    if (!incarnation || fold_->pipelines().contains(*incarnation)) continue;
    if (incarnation->defined_at >= fold_->next_offset() && !Planted("sweep_without_fold_end"))
      continue;
    if (!Leads()) break;
    cleared += co_await ClearFolder(folder);
  }
  cleared_objects_->Add(static_cast<double>(cleared));
  co_return cleared;
}

/// The folders of all pipelines that have state.
Task<Result<std::vector<std::string>>> Housekeeping::StateFolders() {
  MILLRACE_CO_ASSIGN(const std::vector<std::string> namespaces, co_await FoldersBelow(""));
  std::vector<std::string> folders;
  for (const std::string& name_space : namespaces) {
    MILLRACE_CO_ASSIGN(const std::vector<std::string> some,
                       co_await FoldersBelow(name_space + "state/"));
    folders.insert(folders.end(), some.begin(), some.end());
  }
  co_return folders;
}

Task<Result<std::vector<std::string>>> Housekeeping::FoldersBelow(std::string prefix) {
  std::vector<std::string> folders;
  for (std::string after;;) {
    MILLRACE_CO_ASSIGN(const std::vector<std::string> page,
                       co_await ports_.objects->ListFolders(prefix, after, kMaxObjectsListed));
    folders.insert(folders.end(), page.begin(), page.end());
    if (page.size() < kMaxObjectsListed) co_return folders;
    after = page.back();
  }
}

Task<int64_t> Housekeeping::ClearFolder(std::string folder) {
  const Micros newest = Executor::Current().Wall() - options_.unnamed_object_age.count();
  ObjectPager pager(ports_.objects, folder);
  int64_t cleared = 0;
  for (;;) {
    const auto listed = co_await pager.Next();
    if (!listed.ok()) {
      LogWarn("state of a dropped pipeline cannot be listed, it is cleaned later",
              {{"folder", folder}, {"error", listed.error().message}});
      co_return cleared;
    }
    if (listed->empty()) co_return cleared;
    for (const ObjectInfo& object : *listed)
      if (object.modified <= newest) cleared += co_await ClearObject(object.key);
  }
}

/// How many objects that were: none if the store did not say that it is gone.
Task<int64_t> Housekeeping::ClearObject(std::string object) {
  CrashPoint("housekeeping.before_delete");
  const Status deleted = co_await ports_.objects->Delete(object);
  if (deleted.ok()) co_return 1;
  LogWarn("a state object that nothing names was not deleted",
          {{"object", object}, {"error", deleted.error().message}});
  co_return 0;
}

}  // namespace millrace::runtime
