#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/base/task.h"
#include "millrace/model/ids.h"
#include "millrace/model/spec.h"
#include "millrace/serving/serving_reader.h"

namespace millrace::operations {

enum class Outcome {
  kCreated,
  kUnchanged,  ///< the same definition was there already
  kDropped,
  kSet,     ///< another value than before
  kAbsent,  ///< DROP ... IF EXISTS of what does not exist
};
/// "created", "unchanged", "dropped", "set", "absent".
std::string_view OutcomeName(Outcome outcome);

/// "arrow" or "json".
std::string_view FormatName(RecordFormat format);

/// "tumble" or "hop".
std::string_view WindowName(WindowKind kind);

struct AppliedStatement {
  std::string kind;  ///< "stream", "pipeline" or "setting"
  std::string name_space;
  std::string name;  ///< of a setting: of the stream and the setting, as in "trips.keep_for"
  Outcome outcome = Outcome::kUnchanged;
};

struct ApplyReport {
  std::vector<AppliedStatement> statements;
  /// Nothing was applied: the script drops `statements`, and the caller did not say that it may.
  bool needs_consent = false;
};

struct PartitionInfo {
  Offset start;
  Offset end;
  Offset floor;                  ///< no shard may need records below it
  std::optional<int64_t> bytes;  ///< that its records take; nothing: the log cannot tell
};

struct StreamInfo {
  StreamSpec spec;
  std::vector<PartitionInfo> partitions;
  std::optional<Micros> keep_for;  ///< older records may be deleted
  std::optional<int64_t> keep_bytes;
};

struct PipelineInfo {
  Incarnation incarnation;
  std::string stream;
  std::vector<ColumnSpec> columns;  ///< of the result
  WindowSpec window;                ///< without the starts of its local days
  Micros allowed_lateness = 0;
  bool updates = false;
  Micros file_interval = 0;
  Micros file_idle = 0;
  int32_t semantics_version = 0;
  std::string plan;  ///< canonical text, docs/formats/plan.md
  /// The worst of its shards': halted, stopped, unknown, unassigned, assigned, opening, failing
  /// (runs, but a sink, a cut or the log fails; or its tables cannot be made), paused, running.
  std::string state;
  /// What is wrong with its shards or tables, and what to do; empty: nothing.
  std::string message;
  /// The least of its shards: windows up to here have all their rows in the table.
  Micros watermark = kMinusInfinity;
  /// The same for what was read: up to here events are late.
  Micros read_watermark = kMinusInfinity;
  std::string result_files;  ///< path or URL: a pattern for readers of Parquet files
  int64_t late = 0;          ///< events of its shards that came too late for a window
  int64_t quarantined = 0;   ///< events of its shards that could not be used
  int64_t open_windows = 0;  ///< windows of its shards with events that have not closed
};

struct ShardInfo {
  ShardId shard;
  Epoch epoch;
  std::string worker;
  /// opening, running, paused (it is open and reads nothing), waiting, halting, halted, stopped;
  /// unassigned: it has no owner; assigned: its owner reports and has not read yet that it owns it;
  /// unknown: its owner does not report. A worker also reports what it follows: following.
  std::string state;
  std::string message;  ///< why it halted, could not be opened yet, or what fails while it runs
  Offset next_offset;
  Offset end_offset;  ///< of its partition
  CutNumber last_cut;
  Micros watermark = kMinusInfinity;       ///< as far as the serving store has every row
  Micros read_watermark = kMinusInfinity;  ///< of what was read
  int64_t late = 0;
  int64_t quarantined = 0;
  int64_t open_windows = 0;
};

/// What a skip does, and what it could have done.
struct SkipReport {
  Offset lowest;                ///< that it may name: records below it count already
  Offset highest;               ///< the log's end
  int64_t left_out = 0;         ///< so many records are left out, at most
  int64_t may_count_twice = 0;  ///< so many that count already may be read again, at most
};

/// A setting that no result depends on.
struct Setting {
  std::string name_space;
  std::string name;   ///< of a stream or pipeline; empty: of the cluster
  /// "paused" of a pipeline, "pin.N" of its partition N; "balance", "followers" and
  /// "expected_workers" of the cluster.
  std::string key;
  std::string value;  ///< empty: as if it was never set
};

struct ProducerInfo {
  std::string id;
  int64_t end = 0;  ///< the number behind the largest that a shard of the stream has read
};

/// What operators and dashboards ask of a cluster. A coordinator answers, and a client library asks
/// one over gRPC. Any coordinator answers what its fold knows; what only the leader can do gives
/// kFenced with the leader's name.
///
/// Errors: kNotFound names what does not exist; kConflict says what to do instead; kUnavailable:
/// the log, a store or the server did not answer, and the outcome is unknown.
class Operations {
 public:
  /// Set by a caller that no longer waits for its answer. Null: it waits to the end.
  using Left = std::shared_ptr<const std::atomic<bool>>;

  virtual ~Operations() = default;

  /// Plans and applies a script, statement by statement; stops at the first error. A script that
  /// drops what exists is applied only with `may_drop`. A changed definition, SQL that is not
  /// available yet, and a DROP of a stream that a view reads: kConflict. A DROP of what does not
  /// exist: kNotFound. Other SQL errors: kInvalidArgument. After an error about SQL or a DROP
  /// nothing was applied.
  virtual Task<Result<ApplyReport>> Apply(std::string sql, bool may_drop) = 0;
  virtual Task<Result<std::vector<StreamInfo>>> ListStreams() = 0;
  virtual Task<Result<StreamInfo>> DescribeStream(std::string name_space, std::string name) = 0;
  /// Most that ListProducers gives.
  static constexpr size_t kMostProducers = 100;
  /// Producers of the stream whose ids begin with `prefix`, as the shards that read it remember
  /// them, by id. A stream that no pipeline reads has none.
  virtual Task<Result<std::vector<ProducerInfo>>> ListProducers(std::string name_space,
                                                                std::string stream,
                                                                Principal principal,
                                                                std::string prefix) = 0;
  /// Appends an Advance to every partition of a stream; kPlusInfinity closes everything.
  virtual Task<Status> AdvanceStream(std::string name_space, std::string name, Micros to) = 0;
  virtual Task<Result<std::vector<PipelineInfo>>> ListPipelines() = 0;
  virtual Task<Result<PipelineInfo>> DescribePipeline(std::string name_space, std::string name) = 0;
  virtual Task<Status> DropPipeline(std::string name_space, std::string name) = 0;
  /// Gives a pipeline or the cluster a setting; those of streams are set by SQL. kInvalidArgument:
  /// there is no such setting, or it has no such value.
  virtual Task<Status> Set(Setting setting) = 0;
  /// What is set, also of streams.
  virtual Task<Result<std::vector<Setting>>> ListSettings() = 0;
  virtual Task<Result<std::vector<ShardInfo>>> ListShards() = 0;
  /// The shard, and all that share its partition, did not kill the workers that died with them, so
  /// workers may get them again. kConflict: they are not held.
  virtual Task<Status> ReleaseShard(ShardId shard) = 0;
  /// The way out of a halt: the shard goes on at `to`. kConflict: the shard is not halted.
  /// kInvalidArgument: `to` is out of the bounds that the report has.
  virtual Task<Result<SkipReport>> SkipShard(ShardId shard, Offset to, std::string reason) = 0;
  /// Opens a halted shard again as it is, once what halted it was seen to: the log or the store was
  /// brought back. kConflict: the shard is not halted.
  virtual Task<Status> RetryShard(ShardId shard) = 0;
  /// Waits until everything appended to the pipeline's stream before the call is in its serving
  /// tables, or soon after the caller left. kUnavailable: a shard does not run, or the caller left.
  virtual Task<Status> WaitApplied(std::string name_space, std::string name,
                                   Left left = nullptr) = 0;
  virtual Task<Result<std::shared_ptr<RowCursor>>> OpenQuery(ServingQuery query) = 0;
};

}  // namespace millrace::operations
