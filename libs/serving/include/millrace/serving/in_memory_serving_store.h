#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "millrace/serving/serving_reader.h"
#include "millrace/serving/serving_tables.h"
#include "millrace/serving/serving_writer.h"

namespace millrace {

/// Tables that are gone with the store. Every call succeeds at once; decorators add the faults.
/// Threads: one.
class InMemoryServingStore : public ServingTables, public ServingWriter, public ServingReader {
 public:
  InMemoryServingStore();
  ~InMemoryServingStore() override;

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
  /// The store outlives the cursor.
  Task<Result<std::shared_ptr<RowCursor>>> Open(ServingQuery query) override;

  /// Keeps what the store holds now; GoBack() makes it hold that again, as a restored backup does.
  void Remember();
  void GoBack();
  /// For tests: from now on it never takes such a row.
  void Refuse(std::function<bool(const OutputRow&)> refused) { refused_ = std::move(refused); }

 private:
  class Cursor;
  struct State;
  std::unique_ptr<State> state_;
  std::unique_ptr<State> remembered_;
  std::function<bool(const OutputRow&)> refused_;
};

}  // namespace millrace
