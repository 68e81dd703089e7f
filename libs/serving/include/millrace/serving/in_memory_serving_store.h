#pragma once

#include <memory>

#include "millrace/serving/serving_reader.h"
#include "millrace/serving/serving_store.h"

namespace millrace {

/// Tables that are gone with the store. Every call succeeds at once; decorators add the faults.
/// Threads: one.
class InMemoryServingStore : public ServingStore, public ServingReader {
 public:
  InMemoryServingStore();
  ~InMemoryServingStore() override;

  Task<Status> Define(Incarnation incarnation, StreamSpec stream, PipelineSpec pipeline) override;
  Task<Status> DropViews(Incarnation incarnation) override;
  Task<Result<Fence>> TakeOver(ShardId shard, Output output, Epoch epoch) override;
  Task<Result<std::optional<Fence>>> ReadFence(ShardId shard, Output output) override;
  Task<Status> Apply(ServingBatch batch) override;
  Task<Result<int64_t>> DeleteRaw(Micros appended_before, int64_t max_rows) override;
  /// The store outlives the cursor.
  Task<Result<std::shared_ptr<RowCursor>>> Open(ServingQuery query) override;

  /// Keeps what the store holds now; GoBack() makes it hold that again, as a restored backup does.
  void Remember();
  void GoBack();

 private:
  class Cursor;
  struct State;
  std::unique_ptr<State> state_;
  std::unique_ptr<State> remembered_;
};

}  // namespace millrace
