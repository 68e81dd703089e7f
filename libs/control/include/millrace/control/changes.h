#pragma once

#include <memory>
#include <set>
#include <utility>

#include "millrace/base/executor.h"
#include "millrace/control/fold.h"

namespace millrace::control {

class ControlReader;

/// What valid records changed, by name. Commits are not in it: they are most of all records, and
/// they change neither what is defined nor who owns a shard.
struct Changes {
  /// Anything may be different: the log was read from another place, or so much changed that names
  /// are kept no longer.
  bool everything = false;
  bool leader = false;             ///< another process leads, or the leader left
  std::set<Incarnation> streams;   ///< defined or dropped; defined_at is the generation
  std::set<Incarnation> views;     ///< defined or dropped
  std::set<Incarnation> settings;  ///< what has another setting; without a name: the cluster
  std::set<ShardId> shards;        ///< defined, dropped, assigned, halted or skipped

  static Changes Everything() {
    Changes changes;
    changes.everything = true;
    return changes;
  }

  bool empty() const;
  /// Something of what is defined, or who sees to it, may be different.
  bool definitions() const { return everything || leader || !streams.empty() || !views.empty(); }
  void Add(const Changes& more);

  /// Names beyond it become `everything`: to look at all then costs no more.
  static constexpr size_t kMostNames = 10'000;
};

/// What a record changes if it is valid at `offset`, behind what `before` holds.
Changes ChangesOf(const Fold& before, Offset offset, const Record& record);

/// Collects what the records that a reader folds change, for one that looks at it from time to
/// time. It begins with `everything`. One executor, the reader's. Either may go first.
class ChangeFeed {
 public:
  explicit ChangeFeed(ControlReader* reader);
  ~ChangeFeed();
  ChangeFeed(const ChangeFeed&) = delete;

  /// What changed since it was last taken.
  Changes Take() { return std::exchange(changes_, {}); }
  bool empty() const { return changes_.empty(); }
  /// Notified when there is something to take.
  Event& filled() { return filled_; }

 private:
  friend class ControlReader;
  void Add(const Changes& more);

  const std::shared_ptr<std::set<ChangeFeed*>> feeds_;  ///< of the reader
  Changes changes_;
  Event filled_;
};

}  // namespace millrace::control
