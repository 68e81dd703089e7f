#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/base/time.h"
#include "millrace/model/row.h"

namespace millrace {

struct AppliedStatement {
  std::string kind;  ///< "stream" or "pipeline"
  std::string name_space;
  std::string name;
  std::string outcome;  ///< "created", "unchanged", "dropped", "absent"
};

struct ApplyReport {
  std::vector<AppliedStatement> statements;
  /// Nothing was applied: the script drops `statements`, and may_drop was not given.
  bool needs_consent = false;
};

struct ColumnDescription {
  std::string name;
  std::string type;  ///< as in SQL
  bool not_null = false;
  bool quoted = false;  ///< of a stream: events must spell the name exactly so
};

struct StreamDescription {
  std::string name_space;
  std::string name;
  int32_t schema_id = 0;
  std::vector<ColumnDescription> columns;
  std::string event_time;
  std::string partition_key;  ///< empty: none
  bool partitioned_by_key = false;
  Micros watermark_delay = 0;
  Micros max_ahead = 0;
  Micros idle_timeout = 0;
  std::string format;
  bool ticks = false;
  bool keep_raw = false;
  bool append_times = false;
  std::string topic;
  std::vector<int64_t> start_offsets;  ///< by partition, as the next ones
  std::vector<int64_t> end_offsets;
  std::vector<int64_t> floor_offsets;  ///< no pipeline may need records below
  std::vector<int64_t> bytes;          ///< that the records take; empty: the log cannot tell
  std::optional<Micros> keep_for;      ///< older records may be deleted
  std::optional<int64_t> keep_bytes;   ///< what lies before the newest so many bytes may be deleted
};

struct PipelineDescription {
  std::string name_space;
  std::string name;
  int64_t defined_at = 0;  ///< the incarnation is name@defined_at
  std::string stream;
  std::string state;
  Micros watermark = kMinusInfinity;  ///< windows up to here have all their rows in the table
  std::vector<ColumnDescription> columns;
  std::string window;  ///< "tumble" or "hop"
  Micros size = 0;
  Micros slide = 0;
  Micros offset = 0;
  std::string time_zone;  ///< empty: UTC
  Micros allowed_lateness = 0;
  bool emits_updates = false;
  Micros file_interval = 0;
  Micros file_idle = 0;
  int32_t semantics_version = 0;
  std::string plan;
  std::string result_files;  ///< path or URL of its result files: a pattern for readers of Parquet
  int64_t late = 0;          ///< events that came too late for a window, so far
  int64_t quarantined = 0;   ///< events that could not be used, so far
  int64_t open_windows = 0;  ///< windows with events that have not closed
  Micros read_watermark = kMinusInfinity;  ///< as far as events are late; rows may wait
  std::string message;                     ///< what is wrong and what to do; empty: nothing
};

struct ShardDescription {
  std::string shard;
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

struct ResultQuery {
  std::string name_space = "default";
  std::string name;
  Output output = Output::kResults;                       ///< kResults, kLate or kQuarantine
  std::vector<std::pair<std::string, std::string>> keys;  ///< column = canonical text
  std::optional<Micros> from;                             ///< window_start >= from
  std::optional<Micros> to;                               ///< window_start < to
  bool meta = false;                                      ///< also the `_` columns
  bool wait = false;  ///< first until everything appended before the call is applied
};

struct ResultColumn {
  std::string name;
  Type type = Type::kInt;
};

struct ProducerDescription {
  std::string id;
  int64_t end_sequence = 0;  ///< the number behind the largest that was read
};

/// Asks a server what operators ask. Every call blocks until it is answered, at most the timeout
/// (waiting queries: an hour). kUnavailable: the server cannot be reached; else what it says.
/// Threads: any.
class OperationsClient {
 public:
  /// Connects with the first call. An empty namespace: all where several are listed, else
  /// "default".
  explicit OperationsClient(const std::string& server,
                            std::chrono::milliseconds timeout = std::chrono::seconds(60));
  ~OperationsClient();

  Result<ApplyReport> Apply(const std::string& sql, bool may_drop = false);
  Result<std::vector<StreamDescription>> ListStreams(const std::string& name_space = {});
  Result<StreamDescription> DescribeStream(const std::string& name_space, const std::string& name);
  /// Producers whose ids begin with `id_prefix`, as the shards of the stream remember them, at most
  /// 100.
  Result<std::vector<ProducerDescription>> ListProducers(const std::string& name_space,
                                                         const std::string& stream,
                                                         const std::string& id_prefix);
  /// kPlusInfinity closes everything.
  Status AdvanceStream(const std::string& name_space, const std::string& name, Micros to);
  Result<std::vector<PipelineDescription>> ListPipelines(const std::string& name_space = {});
  Result<PipelineDescription> DescribePipeline(const std::string& name_space,
                                               const std::string& name);
  Status DropPipeline(const std::string& name_space, const std::string& name);
  Result<std::vector<ShardDescription>> ListShards();
  Status ReleaseShard(const std::string& shard);
  Result<ShardSkipped> SkipShard(const std::string& shard, int64_t to_offset,
                                 const std::string& reason);
  Status RetryShard(const std::string& shard);

  /// Calls `on_columns` once, then `on_row` for each row in order, as they arrive; an error may
  /// come after some rows. The timeout is that of the wait for each next message. `on_row` may take
  /// its time: the server allows a minute before it ends the query.
  Status Query(const ResultQuery& query,
               const std::function<void(const std::vector<ResultColumn>&)>& on_columns,
               const std::function<void(const std::vector<Value>&)>& on_row);

 private:
  struct Stubs;

  std::string server_;
  std::chrono::milliseconds timeout_;
  std::unique_ptr<Stubs> stubs_;
};

}  // namespace millrace
