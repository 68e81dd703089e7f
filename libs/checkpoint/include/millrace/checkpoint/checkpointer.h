#pragma once

#include <memory>
#include <string>
#include <vector>

#include "millrace/checkpoint/manifest.h"
#include "millrace/checkpoint/owed_rows.h"
#include "millrace/objectstore/object_store.h"
#include "millrace/state/state_store.h"

namespace millrace::checkpoint {

/// What a cut saves of the fold.
struct Change {
  window::FrozenFold frozen;
  window::StateHash hash;  ///< of the save before
};

/// A checkpoint that is written locally and named, but of which not everything is uploaded yet.
struct Prepared {
  Manifest manifest;
  std::string object;  ///< of the manifest
  Hash128 hash;        ///< of its bytes
  std::string bytes;
  std::vector<ManifestFile> uploads;
  std::vector<NewOwed> owed;  ///< the last ones of manifest.owed
  window::StateHash state_hash;
  size_t upload_bytes() const;
};

/// kNotFound: the object is missing; kCorruption: it is not what was committed.
Task<Result<Manifest>> LoadManifest(ObjectStore* objects, std::string object, Hash128 hash);

/// Saves and loads the checkpoints of one shard. It decides nothing about validity: the control log
/// does.
///
/// Threads: the shard's executor. Order of a save: Prepare, Upload, then the Commit of the control
/// log. Any step may fail or be cut off and leaves objects behind that nothing names.
class Checkpointer {
 public:
  Checkpointer(ObjectStore* objects, StateStore* state) : objects_(objects), state_(state) {}

  /// Writes `change` over the local state of the save before, part by part, freezes it and says
  /// what is to be uploaded. Files that one of `kept` names (the last valid commits, as the owner's
  /// own fold has them) are reused; every other is uploaded under this epoch. What encodes, hashes
  /// or sums runs on the pool. After an error the next change must hold everything.
  Task<Result<Prepared>> Prepare(Manifest manifest, std::shared_ptr<Change> change, Owed owed,
                                 std::vector<Manifest> kept);
  /// Files first, then owed rows, the manifest last.
  Task<Status> Upload(const Prepared& prepared);

  /// Checks every file of the manifest (existence, size, checksum), one after the other, and makes
  /// them the local state.
  Task<Status> LoadState(const Manifest& manifest);
  /// For a save that writes everything: whatever the local state holds, it is damaged or gone.
  Task<Status> EmptyState();

 private:
  Task<Status> WriteChange(std::shared_ptr<Change> change);

  ObjectStore* objects_;
  StateStore* state_;
};

/// Gives every entry of the local state to `fold` and checks the state hash.
Task<Result<window::StateHash>> RestoreFold(StateStore* state, const Manifest& manifest,
                                            window::ShardFold* fold);

}  // namespace millrace::checkpoint
