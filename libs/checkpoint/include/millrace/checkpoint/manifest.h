#pragma once

#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/hash.h"
#include "millrace/base/result.h"
#include "millrace/log/record_identity.h"
#include "millrace/model/ids.h"
#include "millrace/model/row.h"
#include "millrace/state/state_store.h"
#include "millrace/window/shard_fold.h"

namespace millrace::checkpoint {

struct ManifestFile {
  StateFile file;
  std::string object;
};

/// An object of rows that some sink had not applied at the cut.
struct OwedObject {
  std::string object;
  int64_t size = 0;
  uint32_t crc32c = 0;

  friend bool operator==(const OwedObject&, const OwedObject&) = default;
};

/// Everything about one checkpoint (docs/formats/manifest.md).
struct Manifest {
  ShardId shard;
  std::string topic;
  Epoch epoch;
  CutNumber cut;
  Offset next_offset;
  Micros watermark = kMinusInfinity;
  Hash128 state_hash;
  std::vector<RecordIdentity> records;  ///< of Remembered
  std::vector<ManifestFile> files;
  window::Ledger ledger;
  std::vector<OwedObject> owed;  ///< in the order of every output
  LastRows applied = {};         ///< that the sinks had
  LastRows made = {};
};

std::string Encode(const Manifest& manifest);
/// kCorruption: not a manifest, or one of a version that is not known.
Result<Manifest> Decode(std::string_view bytes);

/// The object that this cut of this epoch uploads, of a content with this identity (hex). No later
/// cut gives the name again: a deletion that arrives late would take the new object away.
std::string UploadName(const ShardId& shard, Epoch epoch, CutNumber cut, std::string_view identity,
                       uint32_t crc32c, int64_t size, std::string_view kind);
/// The epoch of the owner that uploaded an object, from its name below the shard's StateFolder.
/// Empty if no Checkpointer gives such a name.
std::optional<Epoch> UploadEpoch(std::string_view name);

/// State files and owed rows of `old` that none of the kept manifests names: what cleaning rule (a)
/// lets anyone delete after a newer commit is valid.
std::vector<std::string> Unreferenced(const Manifest& old, const std::vector<Manifest>& kept);

}  // namespace millrace::checkpoint
