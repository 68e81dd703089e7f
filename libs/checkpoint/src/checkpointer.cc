#include "millrace/checkpoint/checkpointer.h"

#include <functional>
#include <map>
#include <optional>

#include "millrace/base/crash_point.h"
#include "millrace/base/executor.h"
#include "millrace/base/facts.h"
#include "millrace/model/object_keys.h"

namespace millrace::checkpoint {
namespace {

/// State entries read at a time.
constexpr size_t kScanEntries = 4096;
/// State entries written at a time.
constexpr size_t kChangeBytes = 4 << 20;

Error Damaged(const std::string& object, const Error& error) {
  return Error{error.code,
               "a checkpoint object cannot be used: " + error.message + " object=" + object};
}

}  // namespace

size_t Prepared::upload_bytes() const {
  size_t n = bytes.size();
  for (const ManifestFile& f : uploads) n += static_cast<size_t>(f.file.size);
  for (size_t i = 0; i < owed.size(); ++i)
    n += static_cast<size_t>(manifest.owed[manifest.owed.size() - owed.size() + i].size);
  return n;
}

/// A state that is half written is no loss: it is a cache, and the save has failed.
Task<Status> Checkpointer::WriteChange(std::shared_ptr<Change> change) {
  for (;;) {
    std::function<std::optional<window::StateChange>()> next = [change] {
      return change->frozen.NextChanges(&change->hash, kChangeBytes);
    };
    std::optional<window::StateChange> part = co_await Offload(std::move(next));
    if (!part) break;
    StateBatch batch{std::move(part->delete_ranges), std::move(part->puts)};
    MILLRACE_CO_TRY(co_await state_->Apply(std::move(batch)));
  }
  co_return Status();
}

Task<Result<Prepared>> Checkpointer::Prepare(Manifest manifest, std::shared_ptr<Change> change,
                                             Owed owed, std::vector<Manifest> kept) {
  MILLRACE_CO_TRY(co_await WriteChange(change));
  CrashPoint("cut.after_state");
  MILLRACE_CO_ASSIGN(const std::vector<StateFile> files, co_await state_->Freeze());
  CrashPoint("cut.after_freeze");

  std::map<std::string, std::string> reusable;
  for (const Manifest& m : kept) {
    for (const ManifestFile& f : m.files) reusable[f.file.identity] = f.object;
  }
  auto prepared = std::make_shared<Prepared>();
  for (const StateFile& file : files) {
    const auto known = reusable.find(file.identity);
    if (known != reusable.end()) {
      manifest.files.push_back({file, known->second});
      continue;
    }
    std::string object = UploadName(manifest.shard, manifest.epoch, manifest.cut, file.identity,
                                    file.crc32c, file.size, "sst");
    manifest.files.push_back({file, std::move(object)});
    prepared->uploads.push_back(manifest.files.back());
  }
  prepared->state_hash = std::move(change->hash);
  manifest.state_hash = prepared->state_hash.total();
  manifest.owed = std::move(owed.saved);
  prepared->owed = std::move(owed.fresh);
  prepared->manifest = std::move(manifest);
  std::function<bool()> encode = [prepared] {
    Manifest& m = prepared->manifest;
    for (const NewOwed& fresh : prepared->owed) m.owed.push_back(Describe(m, fresh.rows));
    prepared->bytes = Encode(m);
    prepared->hash = Hash(prepared->bytes);
    prepared->object = StateFolder(m.shard) + "m-" + std::to_string(m.epoch.value) + "-" +
                       std::to_string(m.cut.value) + "-" +
                       Hex({reinterpret_cast<const char*>(&prepared->hash), sizeof prepared->hash});
    return true;
  };
  co_await Offload(std::move(encode));
  co_return std::move(*prepared);
}

Task<Status> Checkpointer::Upload(const Prepared& prepared) {
  for (const ManifestFile& f : prepared.uploads) {
    MILLRACE_CO_ASSIGN(auto source, co_await state_->ReadFile(f.file.name));
    MILLRACE_CO_TRY(co_await objects_->PutFrom(f.object, std::move(source)));
    CrashPoint("cut.after_file");
  }
  const std::vector<OwedObject>& owed = prepared.manifest.owed;
  for (size_t i = 0; i < prepared.owed.size(); ++i) {
    const std::string& object = owed[owed.size() - prepared.owed.size() + i].object;
    auto source = BytesOf(prepared.owed[i].rows);
    MILLRACE_CO_TRY(co_await objects_->PutFrom(object, std::move(source)));
    CrashPoint("cut.after_rows");
  }
  MILLRACE_CO_TRY(co_await objects_->Put(prepared.object, Buffer::Own(prepared.bytes)));
  CrashPoint("cut.after_manifest");
  co_return Status();
}

Task<Result<Manifest>> LoadManifest(ObjectStore* objects, std::string object, Hash128 hash) {
  auto bytes = co_await objects->Get(object);
  if (!bytes.ok()) co_return Damaged(object, bytes.error());
  if (Hash(bytes->bytes) != hash) {
    co_return Corruption("a manifest is not the one that was committed", {{"object", object}});
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
    co_return Corruption("the restored state has another hash than the manifest",
                         {{"shard", manifest.shard.ToString()}});
  }
  co_return hash;
}

}  // namespace millrace::checkpoint
