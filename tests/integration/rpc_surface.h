#pragma once

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "millrace/driver/thread_driver.h"
#include "millrace/rpc/server.h"
#include "millrace/runtime/operations.h"

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
class FakeOperations : public runtime::Operations {
 public:
  Result<std::vector<runtime::AppliedStatement>> applied = NotFound("unset");
  ServingTable table;
  ServingQuery asked;
  bool waited = false;
  Micros advanced_to = 0;
  ShardId skipped;
  bool hang = false;
  std::atomic<bool> hanging{false};

  Task<Result<std::vector<runtime::AppliedStatement>>> Apply(std::string sql) override {
    if (sql == "throw") throw InvariantViolation("broken");
    Completion<bool> never;
    hanging = hang;
    if (hang) co_await never;
    co_return applied;
  }
  Task<Result<std::vector<runtime::StreamInfo>>> ListStreams() override {
    co_return std::vector<runtime::StreamInfo>{{Stream(), {Offset(3), Offset(4)}}};
  }
  Task<Result<std::vector<runtime::ProducerInfo>>> ListProducers(std::string, std::string stream,
                                                                 Principal principal,
                                                                 std::string prefix) override {
    if (stream != "s") co_return NotFound("there is no such stream stream=" + stream);
    co_return std::vector<runtime::ProducerInfo>{{prefix + "1 of " + principal.name, 7}};
  }
  Task<Status> AdvanceStream(std::string, std::string name, Micros to) override {
    if (name != "s") co_return NotFound("there is no such stream stream=" + name);
    advanced_to = to;
    co_return Status();
  }
  Task<Result<std::vector<runtime::PipelineInfo>>> ListPipelines() override {
    runtime::PipelineInfo info;
    info.incarnation = {"default", "r", Offset(17)};
    info.spec.name = "r";
    info.spec.stream = "s";
    info.spec.window = {WindowKind::kHop, 60 * kSecond, 10 * kSecond, 0, "", {}, 1};
    info.state = "running";
    info.watermark = 5;
    co_return std::vector<runtime::PipelineInfo>{info};
  }
  Task<Status> DropPipeline(std::string, std::string) override { co_return Conflict("not now"); }
  Task<Result<std::vector<runtime::ShardInfo>>> ListShards() override {
    runtime::ShardInfo info;
    info.shard = {{"default", "r", Offset(17)}, PartitionId(1)};
    info.state = "halted";
    info.message = "why";
    info.next_offset = Offset(8);
    co_return std::vector<runtime::ShardInfo>{info};
  }
  Task<Status> SkipShard(ShardId shard, Offset, std::string) override {
    skipped = shard;
    co_return Status();
  }
  Task<Status> WaitApplied(std::string, std::string) override {
    waited = true;
    co_return Status();
  }
  Task<Result<ServingTable>> Query(ServingQuery query) override {
    asked = query;
    if (query.name != "r") co_return NotFound("there is no such pipeline name=" + query.name);
    co_return table;
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
