#pragma once

#include <memory>

#include "millrace/serving/serving_reader.h"
#include "millrace/serving/serving_tables.h"
#include "millrace/serving/serving_writer.h"

namespace millrace::serving_sqlite {

/// Result tables in one SQLite file. docs/formats/serving.md says what stands in them.
///
/// Threads: its own, one that writes and four that read, each with a connection. Another program's
/// lock is waited for up to five seconds, then kUnavailable. Must outlive every call; a cursor may
/// outlive it, and then gives kUnavailable.
class SqliteServingStore : public ServingTables, public ServingWriter, public ServingReader {
 public:
  /// kInvalidArgument: the file cannot be made or written, or is of another version. kCorruption:
  /// it is no database or damaged.
  static Result<std::unique_ptr<SqliteServingStore>> Open(const std::string& path);

  ~SqliteServingStore() override;

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
  explicit SqliteServingStore(std::unique_ptr<Lanes> lanes);

  const std::unique_ptr<Lanes> lanes_;
};

}  // namespace millrace::serving_sqlite
