#include "millrace/checkpoint/checkpointer.h"

#include <map>

#include "millrace/base/crash_point.h"
#include "millrace/model/object_keys.h"

namespace millrace::checkpoint {
namespace {

/// State entries read at a time.
constexpr size_t kScanEntries = 4096;

Error Damaged(const std::string& object, const Error& error) {
  return Error{error.code,
               "a checkpoint object cannot be used: " + error.message + " object=" + object};
}

}  // namespace

Task<Result<Prepared>> Checkpointer::Prepare(Manifest manifest, window::StateChange change,
                                             const std::vector<Manifest>& kept) {
  StateBatch batch{std::move(change.delete_ranges), std::move(change.puts)};
  MILLRACE_CO_TRY(co_await state_->Apply(std::move(batch)));
  CrashPoint("cut.after_state");
  MILLRACE_CO_ASSIGN(const std::vector<StateFile> files, co_await state_->Freeze());
  CrashPoint("cut.after_freeze");

  std::map<std::string, std::string> reusable;
  for (const Manifest& m : kept) {
    for (const ManifestFile& f : m.files) reusable[f.file.identity] = f.object;
  }
  const std::string prefix = StateFolder(manifest.shard);
  Prepared prepared;
  for (const StateFile& file : files) {
    const auto known = reusable.find(file.identity);
    if (known != reusable.end()) {
      manifest.files.push_back({file, known->second});
      continue;
    }
    const std::string object = prefix + std::to_string(manifest.epoch.value) + "-" + file.identity +
                               "-" + std::to_string(file.crc32c) + "-" + std::to_string(file.size) +
                               ".sst";
    manifest.files.push_back({file, object});
    prepared.uploads.push_back(manifest.files.back());
  }
  prepared.bytes = Encode(manifest);
  prepared.hash = Hash(prepared.bytes);
  prepared.object = prefix + "m-" + std::to_string(manifest.epoch.value) + "-" +
                    std::to_string(manifest.cut.value) + "-" +
                    Hex({reinterpret_cast<const char*>(&prepared.hash), sizeof prepared.hash});
  prepared.manifest = std::move(manifest);
  co_return prepared;
}

Task<Status> Checkpointer::Upload(const Prepared& prepared) {
  for (const ManifestFile& f : prepared.uploads) {
    MILLRACE_CO_ASSIGN(auto source, co_await state_->ReadFile(f.file.name));
    MILLRACE_CO_TRY(co_await objects_->PutFrom(f.object, std::move(source)));
    CrashPoint("cut.after_file");
  }
  MILLRACE_CO_TRY(co_await objects_->Put(prepared.object, Buffer::Own(prepared.bytes)));
  CrashPoint("cut.after_manifest");
  co_return Status();
}

Task<Result<Manifest>> LoadManifest(ObjectStore* objects, std::string object, Hash128 hash) {
  auto bytes = co_await objects->Get(object);
  if (!bytes.ok()) co_return Damaged(object, bytes.error());
  if (Hash(bytes->bytes) != hash) {
    co_return Corruption("a manifest is not the one that was committed object=" + object);
  }
  auto manifest = Decode(bytes->bytes);
  if (!manifest.ok()) co_return Damaged(object, manifest.error());
  co_return manifest;
}

Task<Status> Checkpointer::LoadState(const Manifest& manifest) {
  MILLRACE_CO_TRY(co_await state_->BeginRestore());
  for (const ManifestFile& f : manifest.files) {
    auto sink = co_await state_->RestoreFile(f.file);
    if (!sink.ok()) co_return Damaged(f.object, sink.error());
    const Status got = co_await objects_->GetTo(f.object, *sink);
    if (!got.ok()) co_return Damaged(f.object, got.error());
  }
  auto restored = co_await state_->FinishRestore();
  co_return restored;
}

Task<Status> Checkpointer::EmptyState() {
  MILLRACE_CO_TRY(co_await state_->BeginRestore());
  auto emptied = co_await state_->FinishRestore();
  co_return emptied;
}

Task<Result<window::StateHash>> RestoreFold(StateStore* state, const Manifest& manifest,
                                            window::ShardFold* fold) {
  std::string from;
  for (;;) {
    MILLRACE_CO_ASSIGN(const auto entries, co_await state->Scan(from, kScanEntries));
    for (const auto& [key, value] : entries) MILLRACE_CO_TRY(fold->Restore(key, value));
    if (entries.size() < kScanEntries) break;
    from = entries.back().first + '\0';
  }
  window::StateHash hash = fold->FinishRestore();
  if (hash.total() != manifest.state_hash) {
    co_return Corruption("the restored state has another hash than the manifest shard=" +
                         manifest.shard.ToString());
  }
  co_return hash;
}

}  // namespace millrace::checkpoint
