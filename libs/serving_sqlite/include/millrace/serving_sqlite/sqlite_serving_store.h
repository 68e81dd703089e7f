#pragma once

#include <memory>

#include "millrace/serving/serving_store.h"

namespace millrace::serving_sqlite {

/// Result tables in one SQLite file. Values (docs/formats/serving.md): timestamptz
/// `YYYY-MM-DDTHH:MM:SS.ffffffZ`, numeric as text, doubles REAL but NaN and infinities as text,
/// booleans 0 and 1, `_key` a blob.
///
/// Threads: two connections, one that writes and one that reads, each used by one offloaded call at
/// a time. Another program's lock is waited for up to five seconds, then kUnavailable.
class SqliteServingStore : public ServingStore {
 public:
  /// kInvalidArgument: the file cannot be made or written, or is of another version. kCorruption:
  /// it is no database or damaged.
  static Result<std::unique_ptr<SqliteServingStore>> Open(const std::string& path);

  ~SqliteServingStore() override;

  Task<Status> Define(Incarnation incarnation, StreamSpec stream, PipelineSpec pipeline) override;
  Task<Status> DropViews(Incarnation incarnation) override;
  Task<Result<Fence>> TakeOver(ShardId shard, Output output, Epoch epoch) override;
  Task<Result<std::optional<Fence>>> ReadFence(ShardId shard, Output output) override;
  Task<Status> Apply(ServingBatch batch) override;
  Task<Result<int64_t>> DeleteRaw(Micros appended_before, int64_t max_rows) override;
  Task<Result<ServingTable>> Query(ServingQuery query) override;

 private:
  struct Core;
  explicit SqliteServingStore(std::shared_ptr<Core> core);

  std::shared_ptr<Core> core_;
};

}  // namespace millrace::serving_sqlite
