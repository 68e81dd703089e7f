#include "millrace/serving_sqlite/sqlite_serving_store.h"

#include "cursor.h"
#include "lane.h"
#include "writer.h"

namespace millrace::serving_sqlite {
namespace {

/// Queries read at the same time; further ones wait. As many as cores that could be busy with them.
constexpr int kReaders = 4;

}  // namespace

struct SqliteServingStore::Lanes {
  Lanes(std::vector<std::unique_ptr<Connection>> writing,
        std::vector<std::unique_ptr<Connection>> reading)
      : writer(std::make_shared<Writer>(writing.front().get())),
        write(std::move(writing)),
        read(std::make_shared<Lane>(std::move(reading))) {}

  const std::shared_ptr<Writer> writer;
  Lane write;
  const std::shared_ptr<Lane> read;
};

Result<std::unique_ptr<SqliteServingStore>> SqliteServingStore::Open(const std::string& path) {
  std::vector<std::unique_ptr<Connection>> writing(1);
  MILLRACE_ASSIGN(writing[0], Connection::Open(path, Connection::Use::kWrite));
  MILLRACE_TRY(writing[0]->Run(CreateOwnTables()));
  std::vector<std::unique_ptr<Connection>> reading(kReaders);
  for (auto& reader : reading) {
    MILLRACE_ASSIGN(reader, Connection::Open(path, Connection::Use::kRead));
  }
  return std::unique_ptr<SqliteServingStore>(
      new SqliteServingStore(std::make_unique<Lanes>(std::move(writing), std::move(reading))));
}

SqliteServingStore::SqliteServingStore(std::unique_ptr<Lanes> lanes) : lanes_(std::move(lanes)) {}
SqliteServingStore::~SqliteServingStore() = default;

Task<Result<std::string>> SqliteServingStore::ReadMark() {
  return lanes_->write.Run([w = lanes_->writer](Connection&) { return w->ReadMark(); });
}

Task<Result<std::string>> SqliteServingStore::Mark(std::string mark, bool replace) {
  return lanes_->write.Run([w = lanes_->writer, mark = std::move(mark), replace](Connection&) {
    return w->Mark(mark, replace);
  });
}

Task<Status> SqliteServingStore::Define(Incarnation incarnation, StreamSpec stream,
                                        PipelineSpec pipeline) {
  return lanes_->write.Run([w = lanes_->writer, incarnation, stream = std::move(stream),
                            pipeline = std::move(pipeline)](Connection&) {
    return w->Define(incarnation, stream, pipeline);
  });
}

Task<Status> SqliteServingStore::DropViews(Incarnation incarnation) {
  return lanes_->write.Run(
      [w = lanes_->writer, incarnation](Connection&) { return w->DropViews(incarnation); });
}

Task<Result<std::vector<Incarnation>>> SqliteServingStore::ListViews() {
  return lanes_->write.Run([w = lanes_->writer](Connection&) { return w->ListViews(); });
}

Task<Status> SqliteServingStore::Attach(Incarnation incarnation, StreamSpec stream,
                                        PipelineSpec pipeline) {
  return lanes_->write.Run([w = lanes_->writer, incarnation, stream = std::move(stream),
                            pipeline = std::move(pipeline)](Connection&) {
    return w->Attach(incarnation, stream, pipeline);
  });
}

Task<Result<Fence>> SqliteServingStore::TakeOver(ShardId shard, Epoch epoch) {
  return lanes_->write.Run(
      [w = lanes_->writer, shard, epoch](Connection&) { return w->TakeOver(shard, epoch); });
}

Task<Result<std::vector<std::optional<Fence>>>> SqliteServingStore::ReadFences(
    std::vector<ShardId> shards) {
  return lanes_->write.Run([w = lanes_->writer, shards = std::move(shards)](Connection&) {
    return w->ReadFences(shards);
  });
}

Task<Status> SqliteServingStore::Apply(ServingBatch batch) {
  return lanes_->write.Run(
      [w = lanes_->writer, batch = std::move(batch)](Connection&) { return w->Apply(batch); });
}

Task<Result<int64_t>> SqliteServingStore::DeleteRaw(Micros appended_before, int64_t max_rows) {
  return lanes_->write.Run([w = lanes_->writer, appended_before, max_rows](Connection&) {
    return w->DeleteRaw(appended_before, max_rows);
  });
}

Task<Result<std::shared_ptr<RowCursor>>> SqliteServingStore::Open(ServingQuery query) {
  return lanes_->read->Run(
      [lane = std::weak_ptr(lanes_->read), query = std::move(query)](Connection& connection) {
        return Cursor::Open(lane, connection, query);
      });
}

}  // namespace millrace::serving_sqlite
