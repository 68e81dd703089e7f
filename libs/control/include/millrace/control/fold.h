#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/control/records.h"
#include "millrace/log/log.h"

namespace millrace::control {

/// How many valid commits of a shard are kept restorable.
inline constexpr size_t kKeptCommits = 3;

struct CommitState {
  Epoch epoch;
  CutNumber cut;
  Offset next_offset;
  std::string manifest;
  Hash128 manifest_hash;
  Hash128 state_hash;
};

struct SkipState {
  Epoch epoch;
  Offset from;
  Offset to;
  std::vector<int64_t> first_seqs;
  /// The last record below `from` when the shard halted; another one there: the skip was decided
  /// for another log.
  std::optional<RecordIdentity> before;
  bool pinned = false;
  std::string reason;

  /// Where a shard that stands at `here`, not below `from`, goes on. Behind a pinned one the log is
  /// another, so what lies at `to` and above is new.
  Offset GoesOn(Offset here) const { return pinned ? to : std::max(here, to); }
};

/// Why a shard stands still, and what a skip needs to know (record Halt).
struct HaltState {
  Offset from;
  Offset lowest;
  std::vector<int64_t> first_seqs;
  std::optional<RecordIdentity> before;
  std::string message;
  bool pinned = false;
  CutNumber base{0};
};

struct ShardState {
  Epoch epoch;
  /// The owner is the instance; the name is only shown.
  Process worker;
  CutNumber last_cut;
  Offset next_offset;               ///< of the last commit or skip, or the start
  std::optional<HaltState> halt;    ///< until the next epoch
  std::deque<CommitState> commits;  ///< the last kKeptCommits, newest last
  /// All that stand, in the order in which a shard meets them: a pinned one, then forward ones by
  /// `from`.
  std::vector<SkipState> skips;
  /// A skip that is pinned to a checkpoint gave up the way from the start.
  bool start_gone = false;

  /// The skips that a checkpoint of this epoch was made before: commits of a skip's epoch and later
  /// ones were made past it. Epoch 0: all of them, for a shard that begins at its start.
  std::vector<SkipState> SkipsAfter(Epoch checkpoint) const;
};

struct PipelineState {
  PipelineSpec spec;
  std::vector<Offset> start_offsets;
  Micros defined_at = 0;  ///< append time of the Define record
  Micros not_before = kMinusInfinity;
};

/// Who leads, as far as the log says.
struct LeaderState {
  int64_t n = 0;  ///< 0: nobody ever did
  int64_t k = 0;  ///< the largest that a record of this n carried, whatever became of it
  Process process;
  bool left = false;  ///< it said that it goes
};

/// Why a record was skipped.
enum class Verdict { kValid, kNotLeader, kLate, kStale, kUnknown, kConflict, kUnreadable };
std::string_view VerdictName(Verdict verdict);

/// The fold of the control log: pure, the same at every reader. A record takes effect only if it is
/// valid here; its writer learns that by reading it back. Rules:
///
///   Claim{n, cluster}      n = current + 1, the cluster is this one
///   by the leader          n is current, k is above every k of this n so far; besides:
///     Beat
///     DefineStream         name and topic are free
///     Define               the name is free, the plan fits the columns of its stream, which has
///                          the generation named; no start below the stream's trim
///     Drop                 the incarnation stands
///     DropStream           the stream of this generation stands, no view reads it
///     Assign{epoch}        epoch = epoch[shard] + 1
///     Skip{epoch, to}      as Assign; the shard is halted; `to` not below what its Halt names and
///                          not below the trim
///     Set{what, key}       what stands and has such a key
///     Trim{to}             the stream stands; nowhere below the trim of now, somewhere above it,
///                          nowhere above the floor (retention.h)
///     Snapshot             changes nothing; a reader that begins there checks it
///   Commit{epoch, cut}     epoch = epoch[shard], cut = last[shard] + 1, next_offset not below it
///   Halt{epoch}            epoch = epoch[shard], it is not halted, one number for each output;
///                          pinned: `from` is the end of a kept commit or the start
///
/// A forward Skip voids the commits whose way leads past its `from`: its owner could not use them.
/// A pinned one leaves its base as the only way on.
///
/// They were model-checked; neither "the latest record per shard wins" nor leases for safety
/// survive that.
class Fold {
 public:
  /// Applies the record at `offset`; offsets rise.
  Verdict Apply(Offset offset, Micros append_time, const Record& record);
  /// Applies a record that does not decode: skipped by all.
  void ApplyUnreadable(Offset offset);

  Offset next_offset() const { return next_offset_; }
  /// Empty until the first Claim.
  const std::string& cluster() const { return cluster_; }
  const LeaderState& leader() const { return leader_; }
  const std::map<std::pair<std::string, std::string>, StreamSpec>& streams() const {
    return streams_;
  }
  /// Topics of dropped streams, by generation: the leader removes each by its id. One whose stream
  /// was dropped long ago stays here, and removing it again does nothing.
  const std::map<Offset, TopicSpec>& dropped_topics() const { return dropped_topics_; }
  /// Those that stand. One that was dropped is forgotten: its offset lies below next_offset().
  const std::map<Incarnation, PipelineState>& pipelines() const { return pipelines_; }
  const std::map<ShardId, ShardState>& shards() const { return shards_; }

  const StreamSpec* FindStream(const std::string& name_space, const std::string& name) const;
  /// By its name and generation, or nullptr.
  const StreamSpec* FindStream(const Incarnation& stream) const;
  /// Of a stream, a view or, without a name, the cluster.
  const std::map<std::string, std::string>& SettingsOf(const Incarnation& what) const;
  /// All that are set, by what they belong to.
  const std::map<Incarnation, std::map<std::string, std::string>>& settings() const {
    return settings_;
  }
  /// Records of the partition below it may be gone for good.
  Offset TrimOf(Offset generation, PartitionId partition) const;
  /// The stream that has the topic: a topic belongs to one, or nullptr.
  const StreamSpec* StreamOfTopic(const std::string& topic) const;
  /// The standing views that read a stream, by name.
  std::vector<std::string> ReadersOf(const std::string& name_space,
                                     const std::string& stream) const;
  /// The incarnation that has the name now, or nullptr.
  const Incarnation* Current(const std::string& name_space, const std::string& name) const;

  /// The whole fold as bytes, and back. Equal folds give equal bytes.
  std::string Encode() const;
  static Result<Fold> Decode(std::string_view bytes);

 private:
  /// The rule that all records of a leader have in common; remembers k.
  Verdict Admit(const Stamp& by);
  Verdict Check(const Claim& r) const;
  Verdict Check(const Beat& r) const;
  Verdict Check(const DefineStream& r) const;
  Verdict Check(const Define& r) const;
  Verdict Check(const Drop& r) const;
  Verdict Check(const DropStream& r) const;
  Verdict Check(const Assign& r) const;
  Verdict Check(const Skip& r) const;
  Verdict Check(const Set& r) const;
  Verdict Check(const Trim& r) const;
  Verdict Check(const Commit& r) const;
  Verdict Check(const Halt& r) const;
  Verdict Check(const Snapshot& r) const;
  void Take(Offset offset, Micros at, const Claim& r);
  void Take(Offset offset, Micros at, const Beat& r);
  void Take(Offset offset, Micros at, const DefineStream& r);
  void Take(Offset offset, Micros at, const Define& r);
  void Take(Offset offset, Micros at, const Drop& r);
  void Take(Offset offset, Micros at, const DropStream& r);
  void Take(Offset offset, Micros at, const Assign& r);
  void Take(Offset offset, Micros at, const Skip& r);
  void Take(Offset offset, Micros at, const Set& r);
  void Take(Offset offset, Micros at, const Trim& r);
  void Take(Offset offset, Micros at, const Commit& r);
  void Take(Offset offset, Micros at, const Halt& r);
  void Take(Offset offset, Micros at, const Snapshot& r);
  Verdict CheckOwner(const ShardId& shard, Epoch epoch) const;
  std::optional<Offset> EndOf(const ShardId& shard, CutNumber base) const;

  Offset next_offset_;
  std::string cluster_;
  LeaderState leader_;
  std::map<std::pair<std::string, std::string>, StreamSpec> streams_;
  std::map<Offset, TopicSpec> dropped_topics_;
  std::map<Incarnation, PipelineState> pipelines_;
  std::map<std::pair<std::string, std::string>, Incarnation> names_;
  std::map<ShardId, ShardState> shards_;
  std::map<Incarnation, std::map<std::string, std::string>> settings_;
  std::map<Offset, std::vector<Offset>> trims_;  ///< by the stream's generation and partition
};

}  // namespace millrace::control
