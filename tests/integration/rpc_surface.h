#pragma once

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "millrace/base/run_now.h"
#include "millrace/driver/thread_driver.h"
#include "millrace/operations/operations.h"
#include "millrace/rpc/server.h"

namespace millrace::test {

/// Two partitions; ts timestamptz NOT NULL, v bigint.
inline StreamSpec Stream() {
  StreamSpec s;
  s.name = "s";
  s.columns = {{"ts", Type::kTimestamp, true}, {"v", Type::kBigint, false}};
  s.event_time = 0;
  s.partitions = 2;
  s.topic = "default.s";
  return s;
}

/// Answers of the control side, set by the test.
class FakeOperations : public operations::Operations {
 public:
  /// The rows of `table`, which lives as long.
  class FakeCursor : public RowCursor {
   public:
    explicit FakeCursor(FakeOperations* owner) : owner_(owner) { ++owner_->cursors; }
    ~FakeCursor() override { --owner_->cursors; }

    const std::vector<std::string>& names() const override { return owner_->table.names; }
    const std::vector<Type>& types() const override { return owner_->table.types; }
    Task<Result<ServingRows>> Next(size_t max_rows, size_t max_bytes) override {
      if (owner_->hang) ++owner_->hung;
      while (owner_->hang && !cancelled_) co_await Delay(std::chrono::milliseconds(1));
      if (cancelled_) co_return Unavailable("cancelled");
      ServingRows rows;
      for (size_t bytes = 0;
           at_ < owner_->table.rows.size() && rows.size() < max_rows && bytes < max_bytes; ++at_) {
        rows.push_back(owner_->table.rows[at_]);
        bytes += RowBytes(rows.back());
      }
      owner_->read = at_;
      co_return rows;
    }
    void Cancel() override { cancelled_ = true; }

   private:
    FakeOperations* const owner_;
    size_t at_ = 0;
    std::atomic<bool> cancelled_ = false;
  };

  std::atomic<int> cursors{0};
  std::atomic<int> hung{0};     ///< waits and pages that hang, or did
  std::atomic<size_t> read{0};  ///< rows, by the last page
  Result<operations::ApplyReport> applied = NotFound("unset");
  bool may_drop = false;
  ServingTable table;
  ServingQuery asked;
  std::atomic<bool> waited{false};
  Micros advanced_to = 0;
  operations::Setting setting;
  ShardId skipped;
  ShardId released;
  ShardId retried;
  std::atomic<bool> hang{false};
  std::atomic<bool> hanging{false};

  Task<Result<operations::ApplyReport>> Apply(std::string sql, bool drop) override {
    may_drop = drop;
    if (sql == "throw") throw InvariantViolation("broken");
    Completion<bool> never;
    hanging = hang.load();
    if (hang) co_await never;
    co_return applied;
  }
  Task<Result<std::vector<operations::StreamInfo>>> ListStreams() override {
    co_return std::vector<operations::StreamInfo>{
        {Stream(),
         {{Offset(1), Offset(3), Offset(2), 70}, {Offset(0), Offset(4), Offset(4), 80}},
         9,
         {}}};
  }
  Task<Result<operations::StreamInfo>> DescribeStream(std::string, std::string name) override {
    if (name != "s") co_return NotFound("there is no such stream stream=" + name);
    const auto streams = co_await ListStreams();
    co_return streams->at(0);
  }
  Task<Result<std::vector<operations::ProducerInfo>>> ListProducers(std::string, std::string stream,
                                                                    Principal principal,
                                                                    std::string prefix) override {
    if (stream != "s") co_return NotFound("there is no such stream stream=" + stream);
    co_return std::vector<operations::ProducerInfo>{{prefix + "1 of " + principal.name, 7}};
  }
  Task<Status> AdvanceStream(std::string, std::string name, Micros to) override {
    if (name != "s") co_return NotFound("there is no such stream stream=" + name);
    advanced_to = to;
    co_return Status();
  }
  Task<Result<std::vector<operations::PipelineInfo>>> ListPipelines() override {
    operations::PipelineInfo info;
    info.incarnation = {"default", "r", Offset(17)};
    info.stream = "s";
    info.window = {WindowKind::kHop, 60 * kSecond, 10 * kSecond, 0, "", {}, 1};
    info.state = "running";
    info.watermark = 5;
    info.read_watermark = 7;
    info.message = "cut fails";
    co_return std::vector<operations::PipelineInfo>{info};
  }
  Task<Result<operations::PipelineInfo>> DescribePipeline(std::string, std::string) override {
    const auto pipelines = co_await ListPipelines();
    co_return pipelines->at(0);
  }
  Task<Status> DropPipeline(std::string, std::string) override { co_return Conflict("not now"); }
  Task<Status> Set(operations::Setting given) override {
    setting = given;
    co_return Status();
  }
  Task<Result<std::vector<operations::Setting>>> ListSettings() override {
    co_return std::vector<operations::Setting>{{"default", "r", "paused", "on"}};
  }
  Task<Status> ReleaseShard(ShardId shard) override {
    released = shard;
    co_return Status();
  }
  Task<Result<std::vector<operations::ShardInfo>>> ListShards() override {
    operations::ShardInfo info;
    info.shard = {{"default", "r", Offset(17)}, PartitionId(1)};
    info.state = "halted";
    info.message = "why";
    info.next_offset = Offset(8);
    co_return std::vector<operations::ShardInfo>{info};
  }
  Task<Result<operations::SkipReport>> SkipShard(ShardId shard, Offset to, std::string) override {
    skipped = shard;
    co_return operations::SkipReport{Offset(3), Offset(20), to.value - 3, 2};
  }
  Task<Status> RetryShard(ShardId shard) override {
    retried = shard;
    co_return Status();
  }
  Task<Status> WaitApplied(std::string, std::string, Left left) override {
    waited = true;
    if (hang) ++hung;
    while (hang && !*left) co_await Delay(std::chrono::milliseconds(1));
    co_return Status();
  }
  Task<Result<std::shared_ptr<RowCursor>>> OpenQuery(ServingQuery query) override {
    asked = query;
    if (query.name != "r") co_return NotFound("there is no such pipeline name=" + query.name);
    co_return std::make_shared<FakeCursor>(this);
  }
};

/// The control side alone.
struct ControlProcess {
  explicit ControlProcess(rpc::ServerOptions options = {}) {
    options.listen = "127.0.0.1:0";
    rpc::Services services;
    services.control_executor = &driver.core(0);
    services.operations = &operations;
    server = rpc::Server::Start(options, services).value();
  }
  ~ControlProcess() { server.reset(); }

  FakeOperations operations;
  ThreadDriver driver{{1, 1, {}}};
  std::unique_ptr<rpc::Server> server;
};

/// Reads a query to its end. What came before an error stays in `table`.
inline Status Ask(operations::Operations& operations, ServingQuery query, ServingTable* table) {
  MILLRACE_ASSIGN(const auto cursor, RunNow(operations.OpenQuery(std::move(query))));
  *table = {cursor->names(), cursor->types(), {}};
  for (;;) {
    MILLRACE_ASSIGN(ServingRows rows, RunNow(cursor->Next(300, 1 << 20)));
    if (rows.empty()) return {};
    for (auto& row : rows) table->rows.push_back(std::move(row));
  }
}

inline std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) {
  return grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
}

template <typename Detail>
bool HasDetail(const grpc::Status& status, Detail* out) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return false;
  for (const auto& any : details.details())
    if (any.UnpackTo(out)) return true;
  return false;
}

}  // namespace millrace::test
