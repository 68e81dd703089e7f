#include "millrace/state_rocksdb/rocks_state.h"

#include <filesystem>

#include "millrace/base/executor.h"
#include "millrace/base/facts.h"
#include "shard_database.h"

// g++ 12 destroys a closure twice that is a temporary of a co_await expression: each gets a name
// first.

namespace millrace::state_rocksdb {
namespace {

class RocksState : public StateStore {
 public:
  explicit RocksState(std::shared_ptr<ShardDatabase> db) : db_(std::move(db)) {}

  Task<Status> Apply(StateBatch batch) override {
    auto work = Offload([db = db_, batch = std::move(batch)] { return db->Apply(batch); });
    auto status = co_await std::move(work);
    co_return status;
  }
  Task<Result<std::vector<StateFile>>> Freeze() override {
    auto work = Offload([db = db_] { return db->Freeze(); });
    auto files = co_await std::move(work);
    co_return files;
  }
  Task<Result<std::shared_ptr<ByteSource>>> ReadFile(std::string name) override {
    auto work = Offload([db = db_, name = std::move(name)] { return db->ReadFile(name); });
    auto source = co_await std::move(work);
    co_return source;
  }
  Task<Status> BeginRestore() override {
    auto work = Offload([db = db_] { return db->BeginRestore(); });
    auto status = co_await std::move(work);
    co_return status;
  }
  Task<Result<std::shared_ptr<ByteSink>>> RestoreFile(StateFile file) override {
    auto work = Offload([db = db_, file = std::move(file)] { return db->RestoreFile(file); });
    auto sink = co_await std::move(work);
    co_return sink;
  }
  Task<Status> FinishRestore() override {
    auto work = Offload([db = db_] { return db->FinishRestore(); });
    auto status = co_await std::move(work);
    co_return status;
  }
  Task<Result<std::vector<std::pair<std::string, std::string>>>> Scan(std::string from,
                                                                      size_t limit) override {
    auto work =
        Offload([db = db_, from = std::move(from), limit] { return db->Scan(from, limit); });
    auto found = co_await std::move(work);
    co_return found;
  }

 private:
  const std::shared_ptr<ShardDatabase> db_;
};

Status CheckName(const std::string& shard) {
  if (shard.empty() || shard.front() == '.' || shard.find('/') != shard.npos ||
      shard.find('\0') != shard.npos) {
    return InvalidArgument("a shard's folder needs a plain name", {{"shard", shard}});
  }
  return {};
}

}  // namespace

Status RocksStates::Clear() {
  std::error_code error;
  std::filesystem::remove_all(directory_, error);
  if (error)
    return Unavailable("the local state of an earlier process cannot be removed",
                       {{"path", directory_}, {"error", error.message()}});
  return {};
}

Task<Result<std::unique_ptr<StateStore>>> RocksStates::Open(std::string shard) {
  MILLRACE_CO_TRY(CheckName(shard));
  const auto db = std::make_shared<ShardDatabase>(directory_ + "/" + shard);
  auto work = Offload([db] { return db->OpenEmpty(); });
  const auto opened = co_await std::move(work);
  if (!opened.ok()) co_return opened.error();
  co_return std::unique_ptr<StateStore>(std::make_unique<RocksState>(db));
}

Task<Status> RocksStates::Remove(std::string shard) {
  MILLRACE_CO_TRY(CheckName(shard));
  auto work = Offload([path = directory_ + "/" + shard]() -> Status {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error)
      return Unavailable("a shard's files cannot be removed",
                         {{"path", path}, {"error", error.message()}});
    return {};
  });
  auto status = co_await std::move(work);
  co_return status;
}

}  // namespace millrace::state_rocksdb
