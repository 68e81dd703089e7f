#include "millrace/serving_postgres/postgres_serving_store.h"

#include "cursor.h"
#include "lane.h"
#include "writer.h"

namespace millrace::serving_postgres {
namespace {

/// Batches on their way, and queries, at the same time; further ones wait.
constexpr size_t kWriters = 2, kReaders = 2;

}  // namespace

struct PostgresServingStore::Lanes {
  explicit Lanes(const std::string& conninfo)
      : write(conninfo, Connection::Use::kWrite, kWriters),
        read(std::make_shared<Lane>(conninfo, Connection::Use::kRead, kReaders)) {}

  const std::shared_ptr<Writer> writer = std::make_shared<Writer>();
  Lane write;
  const std::shared_ptr<Lane> read;
};

PostgresServingStore::PostgresServingStore(std::string conninfo)
    : lanes_(std::make_unique<Lanes>(conninfo)) {}
PostgresServingStore::~PostgresServingStore() = default;

Task<Status> PostgresServingStore::Probe() {
  return lanes_->write.Run([](Connection& c) { return c.Probe(); });
}

Task<Result<std::string>> PostgresServingStore::ReadMark() {
  return lanes_->write.Run([w = lanes_->writer](Connection& c) { return w->ReadMark(c); });
}

Task<Result<std::string>> PostgresServingStore::Mark(std::string mark, bool replace) {
  return lanes_->write.Run([w = lanes_->writer, mark = std::move(mark), replace](Connection& c) {
    return w->Mark(c, mark, replace);
  });
}

Task<Status> PostgresServingStore::Define(Incarnation incarnation, StreamSpec stream,
                                          PipelineSpec pipeline) {
  return lanes_->write.Run([w = lanes_->writer, incarnation, stream = std::move(stream),
                            pipeline = std::move(pipeline)](Connection& c) {
    return w->Define(c, incarnation, stream, pipeline);
  });
}

Task<Status> PostgresServingStore::DropViews(Incarnation incarnation) {
  return lanes_->write.Run(
      [w = lanes_->writer, incarnation](Connection& c) { return w->DropViews(c, incarnation); });
}

Task<Result<std::vector<Incarnation>>> PostgresServingStore::ListViews() {
  return lanes_->write.Run([w = lanes_->writer](Connection& c) { return w->ListViews(c); });
}

Task<Status> PostgresServingStore::Attach(Incarnation incarnation, StreamSpec stream,
                                          PipelineSpec pipeline) {
  return lanes_->write.Run([w = lanes_->writer, incarnation, stream = std::move(stream),
                            pipeline = std::move(pipeline)](Connection& c) {
    return w->Attach(c, incarnation, stream, pipeline);
  });
}

Task<Result<Fence>> PostgresServingStore::TakeOver(ShardId shard, Epoch epoch) {
  return lanes_->write.Run(
      [w = lanes_->writer, shard, epoch](Connection& c) { return w->TakeOver(c, shard, epoch); });
}

Task<Result<std::vector<std::optional<Fence>>>> PostgresServingStore::ReadFences(
    std::vector<ShardId> shards) {
  return lanes_->write.Run([w = lanes_->writer, shards = std::move(shards)](Connection& c) {
    return w->ReadFences(c, shards);
  });
}

Task<Status> PostgresServingStore::Apply(ServingBatch batch) {
  return lanes_->write.Run(
      [w = lanes_->writer, batch = std::move(batch)](Connection& c) { return w->Apply(c, batch); });
}

Task<Result<int64_t>> PostgresServingStore::DeleteRaw(Micros appended_before, int64_t max_rows) {
  return lanes_->write.Run([w = lanes_->writer, appended_before, max_rows](Connection& c) {
    return w->DeleteRaw(c, appended_before, max_rows);
  });
}

Task<Result<std::shared_ptr<RowCursor>>> PostgresServingStore::Open(ServingQuery query) {
  return lanes_->read->Run(
      [lane = std::weak_ptr(lanes_->read), query = std::move(query)](Connection& connection) {
        return Cursor::Open(lane, connection, query);
      });
}

}  // namespace millrace::serving_postgres
