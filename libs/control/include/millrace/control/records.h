#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "millrace/base/hash.h"
#include "millrace/base/result.h"
#include "millrace/log/record_identity.h"
#include "millrace/model/ids.h"
#include "millrace/model/row.h"
#include "millrace/model/spec.h"

namespace millrace::control {

/// The control topic: one partition, kept from the last whole snapshot but one on. Its fold alone
/// says who leads, what is defined, who owns what and which checkpoints count.
inline constexpr std::string_view kControlTopic = "__millrace_control";

/// A process: the name is for people, the instance is a random number that it drew at its start. So
/// a process that starts again under its name is told from the one before.
struct Process {
  std::string name;
  uint64_t instance = 0;
};

/// What a leader writes into each of its records: the number that it claimed and the count of its
/// records. A record counts only if `k` is above that of every record of this `n` before it, so one
/// that arrives late or twice changes nothing.
struct Stamp {
  int64_t n = 0;
  int64_t k = 0;
};

/// How long records of a stream are kept at least, in microseconds.
inline constexpr std::string_view kKeepFor = "keep_for";
/// How many bytes of a stream are kept at least, an equal share of each partition.
inline constexpr std::string_view kKeepBytes = "keep_bytes";

/// Become leader number n. The first Claim names the cluster, every later one must name the same.
struct Claim {
  int64_t n = 0;
  std::string cluster;
  Process process;
};
/// The leader is there and means to be for so long; 0: it leaves, the next may claim at once.
struct Beat {
  Stamp by;
  Micros lease = 0;
};
struct DefineStream {
  Stamp by;
  StreamSpec spec;
};
/// A pipeline and where it starts in each partition: one record, all or nothing.
struct Define {
  Stamp by;
  PipelineSpec spec;
  std::vector<Offset> start_offsets;
  /// The generation of the stream whose offsets these are. Another stream may have taken its name.
  Offset stream_generation;
};
struct Drop {
  Stamp by;
  Incarnation incarnation;
};
/// The stream goes; the leader then removes its topic, the one that had this id.
struct DropStream {
  Stamp by;
  std::string name_space = "default";
  std::string name;
  Offset generation;
  std::string topic_id;
};
struct Assign {
  Stamp by;
  ShardId shard;
  Process worker;
  Epoch epoch;
};
/// The owner cannot go on. It has closed its own door: nothing that it sent under this epoch can
/// take effect any more. There are two kinds.
///
/// Forward: a record cannot be read, or the log begins above the place. `from` is where the shard
/// stands. Pinned: the log is another one, or the store holds rows that this one does not make.
/// `from` is the end of the base, the one checkpoint from which a skip goes on.
struct Halt {
  ShardId shard;
  Epoch epoch;
  Offset from;                           ///< where a skip applies
  Offset lowest;                         ///< that a skip may name: records below it count already
  std::vector<int64_t> first_seqs;       ///< of rows after a skip, by Output, index 0 unused
  std::optional<RecordIdentity> before;  ///< the last record below `from` that is as it was
  std::string message;                   ///< why, and what to do
  bool pinned = false;
  CutNumber base{0};  ///< of a pinned one; 0: the shard's start
};
/// The way out of a halt: the shard goes on at `to`. Replaces an Assign. All else stands in the
/// Halt of the epoch before.
struct Skip {
  Stamp by;
  ShardId shard;
  Process worker;
  Epoch epoch;
  Offset to;
  std::string reason;
};
/// A setting that no result depends on, of a stream (kKeepFor, kKeepBytes), a view (paused, pin,
/// version) or the cluster (balance).
struct Set {
  Stamp by;
  Incarnation what;  ///< a stream too: name and generation; without a name the cluster
  std::string key;
  std::string value;  ///< empty: as if it was never set
};
/// Nobody will ever read records of the stream below these offsets. Only after this record counts
/// may they be deleted.
struct Trim {
  Stamp by;
  Incarnation stream;      ///< its name and generation
  std::vector<Offset> to;  ///< by partition
};
/// A checkpoint that is complete in the object store.
struct Commit {
  ShardId shard;
  Epoch epoch;
  CutNumber cut;
  Offset next_offset;
  std::string manifest;  ///< object key
  Hash128 manifest_hash;
  Hash128 state_hash;
};
/// One piece of the fold after offset `at`, so that a reader can begin there (snapshot.h).
struct Snapshot {
  Stamp by;
  Offset at;          ///< of the last record folded
  Hash128 hash;       ///< of all pieces together
  int32_t chunk = 0;  ///< in [0, chunks)
  int32_t chunks = 1;
  std::string state;  ///< this piece of the fold's bytes
};

using Record = std::variant<Claim, Beat, DefineStream, Define, Drop, DropStream, Assign, Skip, Set,
                            Trim, Commit, Halt, Snapshot>;

/// Where a record of a leader has its stamp; nullptr: anybody may write it.
Stamp* StampOf(Record* record);

/// The value of a control record (proto/millrace/control/v1).
std::string Encode(const Record& record);
/// kCorruption: not a control record that this binary knows.
Result<Record> Decode(std::string_view value);

}  // namespace millrace::control
