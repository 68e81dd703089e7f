#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/base/time.h"
#include "millrace/model/column.h"
#include "millrace/serving/serving_reader.h"

namespace millrace::cli {

/// "namespace.name", or "name" in the default namespace. The first dot divides.
struct QualifiedName {
  std::string name_space = "default";
  std::string name;

  static QualifiedName Parse(std::string_view text);
  /// "name" in the default namespace, else "namespace.name".
  std::string ToString() const;
  friend bool operator==(const QualifiedName&, const QualifiedName&) = default;
};

struct AppliedStatement {
  std::string kind;  ///< "stream" or "pipeline"
  QualifiedName name;
  std::string outcome;  ///< "created", "unchanged", "dropped", "absent"
};

struct ApplyReport {
  std::vector<AppliedStatement> statements;
  /// Nothing was applied: the script drops `statements`, and may_drop was not given.
  bool needs_consent = false;
};

struct ColumnDescription {
  std::string name;
  Type type = Type::kInt;
  bool not_null = false;
  bool quoted = false;  ///< of a stream: events must spell the name exactly so
};

struct StreamDescription {
  QualifiedName name;
  std::string format;
  std::vector<ColumnDescription> columns;
  std::string event_time;  ///< name of a column
  std::optional<std::string> partition_key;
  Micros watermark_delay = 0;
  Micros max_ahead = 0;
  Micros idle_timeout = 0;
  bool ticks = true;
  bool keep_raw = false;
  bool append_times = true;
  std::string topic;
  std::vector<int64_t> start_offsets;  ///< by partition, as the next ones
  std::vector<int64_t> end_offsets;
  std::vector<int64_t> floor_offsets;  ///< no pipeline may need records below
  std::vector<int64_t> bytes;          ///< that the records take; empty: the log cannot tell
  std::optional<Micros> keep_for;      ///< older records may be deleted
  std::optional<int64_t> keep_bytes;   ///< what lies before the newest so many bytes may be deleted
};

struct PipelineDescription {
  QualifiedName name;
  int64_t defined_at = 0;
  std::string stream;
  std::string state;
  Micros watermark = kMinusInfinity;       ///< windows up to here have all their rows in the table
  std::vector<ColumnDescription> columns;  ///< of the result
  std::string window;                      ///< "tumble" or "hop"
  Micros size = 0;
  Micros slide = 0;
  Micros offset = 0;
  std::string time_zone;  ///< empty: UTC
  Micros allowed_lateness = 0;
  bool emits_updates = false;
  Micros file_interval = 0;
  Micros file_idle = 0;
  int64_t semantics_version = 0;
  std::string plan;          ///< canonical text, docs/formats/plan.md
  std::string result_files;  ///< path or URL of its result files: a pattern for readers of Parquet
  int64_t late = 0;          ///< events that came too late for a window, so far
  int64_t quarantined = 0;   ///< events that could not be used, so far
  int64_t open_windows = 0;  ///< windows with events that have not closed
  Micros read_watermark = kMinusInfinity;  ///< as far as events are late; rows may wait
  std::string message;                     ///< what is wrong and what to do; empty: nothing
};

struct ShardDescription {
  std::string shard;  ///< "default/delays_hourly@17/p2"
  int64_t epoch = 0;
  std::string worker;
  std::string state;
  std::string message;
  int64_t next_offset = 0;
  int64_t end_offset = 0;
  int64_t last_cut = 0;
  Micros watermark = kMinusInfinity;
};

/// What a skip does, and what it could have done.
struct ShardSkipped {
  int64_t lowest = 0;           ///< offset that it may name: records below it count already
  int64_t highest = 0;          ///< the log's end
  int64_t left_out = 0;         ///< so many records are left out, at most
  int64_t may_count_twice = 0;  ///< so many that count already may be read again, at most
};

struct ProducerDescription {
  std::string id;
  int64_t end_sequence = 0;  ///< the number behind the largest that was read
};

/// What the verbs ask of a cluster. Every call waits for its answer. Threads: one at a time.
/// Errors: kNotFound names what does not exist, kConflict says what to do instead, kUnavailable
/// says that nobody answers at the address, or what else to wait for.
class Cluster {
 public:
  virtual ~Cluster() = default;

  virtual Result<ApplyReport> Apply(const std::string& sql, bool may_drop) = 0;
  virtual Result<std::vector<StreamDescription>> ListStreams() = 0;
  virtual Result<StreamDescription> DescribeStream(const QualifiedName& name) = 0;
  /// Producers of the stream whose ids begin with `id_prefix`, as far as the pipelines that read it
  /// remember them.
  virtual Result<std::vector<ProducerDescription>> ListProducers(const QualifiedName& stream,
                                                                 const std::string& id_prefix) = 0;
  /// Moves every partition's watermark to `to`; kPlusInfinity closes everything.
  virtual Status AdvanceStream(const QualifiedName& name, Micros to) = 0;
  virtual Result<std::vector<PipelineDescription>> ListPipelines() = 0;
  virtual Result<PipelineDescription> DescribePipeline(const QualifiedName& name) = 0;
  virtual Status DropPipeline(const QualifiedName& name) = 0;
  virtual Result<std::vector<ShardDescription>> ListShards() = 0;
  virtual Status ReleaseShard(const std::string& shard) = 0;
  virtual Result<ShardSkipped> SkipShard(const std::string& shard, int64_t to_offset,
                                         const std::string& reason) = 0;
  virtual Status RetryShard(const std::string& shard) = 0;
  /// Calls `on_columns` once, then `on_row` for each row as they arrive; an error may come after
  /// some rows. `wait`: first until everything appended before the call has been applied.
  virtual Status Query(const ServingQuery& query, bool wait,
                       std::function<void(std::vector<std::string>, std::vector<Type>)> on_columns,
                       std::function<void(const std::vector<Value>&)> on_row) = 0;
};

/// The pipelines that read a stream, least watermark of what was read first.
Result<std::vector<PipelineDescription>> ReachedBy(Cluster& cluster, const QualifiedName& stream);

}  // namespace millrace::cli
