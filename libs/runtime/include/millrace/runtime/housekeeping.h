#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "millrace/base/executor.h"
#include "millrace/control/fold.h"
#include "millrace/runtime/ports.h"

namespace millrace::runtime {

/// What the leader clears away now and then: raw events past Options::raw_retention, and state
/// objects that nothing can need any more.
///
/// Raw events stand in the late and quarantine tables. Rows at or below a fence are never sent
/// again, so no replay brings a deleted one back; a store that was brought back from a backup has
/// them until the next round.
///
/// As for state objects, an owner deletes what its own commits replace (cleaning rule (a),
/// shard_cut.cc); this deletes what is left behind by owners that died or lost their shard between
/// an upload and its commit, or between a commit and its cleaning (rule (b)).
///
/// An object of a shard is deleted if all of this holds, with F the fold of this process at any
/// moment:
/// - none of the last three valid commits in F names it, as its manifest or in it;
/// - the epoch in its name is below the shard's epoch in F;
/// - it is older than Options::unnamed_object_age;
/// - its name is one that a Checkpointer gives.
/// If one of those three manifests cannot be read, the shard is left alone: what it names is not
/// known.
///
/// Why no valid commit after F can name it, even one that is on its way now: such a commit has an
/// epoch not below the shard's in F, for older ones are not valid any more. Its owner names objects
/// that it uploaded under its own epoch, and these are no candidates; and objects that one of the
/// last three valid commits before it names. If it is the first after F, these three are those of
/// F, which were all read here; if not, they are some of those of F and commits after F, which by
/// the same argument name nothing else that is older. And a restore reads only what the last three
/// commits name: of F, or of later ones. An upload that an older owner has under way may lose its
/// object, but its commit is not valid. This holds for an F that lags and for a leader that has
/// been replaced. The age guards against what the argument does not cover: of a control log that
/// was brought back from an older backup, nothing that it has forgotten is deleted for a day.
///
/// The folder of a pipeline that does not stand in F is cleared if its offset lies below F's end,
/// so that it was dropped and is not just unknown to F, and of objects that are so old (rule (c)).
/// No shard of a dropped pipeline is ever opened again.
///
/// Errors: logged; the next round tries again. What is left behind is harmless.
/// Threads: the control executor.
class Housekeeping {
 public:
  /// What one round cleared away.
  struct Cleared {
    int64_t objects = 0;
    int64_t rows = 0;
  };

  /// Acts while `leads` says so. `fold` outlives it.
  Housekeeping(Ports ports, Options options, std::function<bool()> leads,
               const control::Fold* fold);

  /// Round after round until Stop().
  Task<> Loop();
  void Stop() { stopped_ = true; }
  Task<Cleared> RunOnce();

 private:
  Task<int64_t> ClearRawEvents();
  Task<int64_t> ClearShard(ShardId id, control::ShardState shard);
  Task<std::optional<std::set<std::string>>> NamedByKept(ShardId id, control::ShardState shard);
  Task<int64_t> ClearDropped();
  Task<Result<std::vector<std::string>>> StateFolders();
  Task<Result<std::vector<std::string>>> FoldersBelow(std::string prefix);
  Task<int64_t> ClearFolder(std::string folder);
  Task<int64_t> ClearObject(std::string object);
  bool Leads() const { return !stopped_ && leads_(); }

  const Ports ports_;
  const Options options_;
  const std::function<bool()> leads_;
  const control::Fold* fold_;
  Counter* const cleared_objects_;
  Counter* const cleared_rows_;
  bool stopped_ = false;
};

}  // namespace millrace::runtime
