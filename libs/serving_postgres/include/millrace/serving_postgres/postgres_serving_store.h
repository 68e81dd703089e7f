#pragma once

#include <memory>
#include <string>

#include "millrace/serving/serving_reader.h"
#include "millrace/serving/serving_tables.h"
#include "millrace/serving/serving_writer.h"

namespace millrace::serving_postgres {

/// kInvalidArgument: this is no connection string or URI of libpq. Connects to nothing.
Status CheckConnection(const std::string& conninfo);

/// Result tables in PostgreSQL, reached directly or through PgBouncer in transaction mode.
/// docs/formats/serving.md says what stands in them.
///
/// Threads: its own, two that write and two that read, each with a connection. Connections are made
/// when they are needed. Must outlive every call; a cursor may outlive it, and then gives
/// kUnavailable.
///
/// kResourceExhausted: too many calls wait, and nothing was done. kInvalidArgument: PostgreSQL
/// refused a statement, and would refuse it again; Apply then names the row if one is to blame.
class PostgresServingStore : public ServingTables, public ServingWriter, public ServingReader {
 public:
  /// A connection string or URI of libpq. Connects to nothing yet.
  explicit PostgresServingStore(std::string conninfo);
  ~PostgresServingStore() override;

  Task<Status> Probe() override;
  Task<Result<std::string>> ReadMark() override;
  Task<Result<std::string>> Mark(std::string mark, bool replace) override;
  Task<Status> Define(Incarnation incarnation, StreamSpec stream, PipelineSpec pipeline) override;
  Task<Status> DropViews(Incarnation incarnation) override;
  Task<Result<std::vector<Incarnation>>> ListViews() override;
  Task<Result<int64_t>> DeleteRaw(Micros appended_before, int64_t max_rows) override;
  Task<Status> Attach(Incarnation incarnation, StreamSpec stream, PipelineSpec pipeline) override;
  Task<Result<Fence>> TakeOver(ShardId shard, Epoch epoch) override;
  Task<Result<std::vector<std::optional<Fence>>>> ReadFences(std::vector<ShardId> shards) override;
  Task<Status> Apply(ServingBatch batch) override;
  Task<Result<std::shared_ptr<RowCursor>>> Open(ServingQuery query) override;

 private:
  struct Lanes;
  const std::unique_ptr<Lanes> lanes_;
};

}  // namespace millrace::serving_postgres
