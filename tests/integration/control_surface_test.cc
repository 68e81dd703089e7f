// What clients of Control and Query see.
#include <grpcpp/grpcpp.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "integration/rpc_surface.h"
#include "millrace/client/operations_client.h"
#include "millrace/query/v1/query.grpc.pb.h"

namespace millrace {

using test::ChannelTo;
using test::ControlProcess;
using test::HasDetail;

TEST_CASE("Control gives and takes what Operations does") {
  ControlProcess process;
  OperationsClient client(process.server->address());
  process.operations.applied =
      std::vector<runtime::AppliedStatement>{{"stream", "default", "s", true}};
  const auto applied = client.Apply("CREATE TABLE s");
  REQUIRE(applied.ok());
  CHECK(applied->at(0).kind == "stream");
  CHECK(applied->at(0).created);
  process.operations.applied = Conflict("the stream has another definition");
  const auto conflict = client.Apply("CREATE TABLE s");
  CHECK(conflict.error().code == Code::kConflict);
  CHECK(conflict.error().message == "the stream has another definition");

  process.operations.applied = NotFound("no such column column=" + std::string(100'000, '\n'));
  const auto large = client.Apply("CREATE TABLE s");
  CHECK(large.error().code == Code::kNotFound);
  CHECK(large.error().message.substr(0, 24) == "no such column column=\n\n");

  const auto stream = client.DescribeStream("default", "s");
  REQUIRE(stream.ok());
  CHECK(stream->columns[1].type == "bigint");
  CHECK(stream->end_offsets == std::vector<int64_t>{3, 4});
  CHECK(stream->idle_timeout == 30 * kSecond);
  CHECK(client.DescribeStream("default", "t").error().code == Code::kNotFound);
  CHECK(client.ListStreams("other")->empty());

  REQUIRE(client.AdvanceStream("default", "s", 42).ok());
  CHECK(process.operations.advanced_to == 42);
  REQUIRE(client.AdvanceStream("default", "s", kPlusInfinity).ok());
  CHECK(process.operations.advanced_to == kPlusInfinity);
  CHECK(client.AdvanceStream("default", "t", 1).error().code == Code::kNotFound);

  const auto pipeline = client.DescribePipeline("default", "r");
  REQUIRE(pipeline.ok());
  CHECK(pipeline->defined_at == 17);
  CHECK(pipeline->window == "hop");
  CHECK(pipeline->watermark == 5);
  CHECK(client.DropPipeline("default", "r").error().code == Code::kConflict);

  const auto producers = client.ListProducers("", "s", "nightly/");
  REQUIRE(producers.ok());
  REQUIRE(producers->size() == 1);
  CHECK(producers->at(0).id == "nightly/1 of local");
  CHECK(producers->at(0).end_sequence == 7);
  CHECK(client.ListProducers("", "t", "").error().code == Code::kNotFound);

  const auto shards = client.ListShards();
  REQUIRE(shards.ok());
  CHECK(shards->at(0).shard == "default/r@17/p1");
  CHECK(shards->at(0).watermark == kMinusInfinity);
  REQUIRE(client.SkipShard(shards->at(0).shard, 9, "lost").ok());
  CHECK(process.operations.skipped.partition == PartitionId(1));
  CHECK(client.SkipShard("nonsense", 9, "lost").error().code == Code::kInvalidArgument);
}

TEST_CASE("Query streams typed rows after the columns") {
  ControlProcess process;
  OperationsClient client(process.server->address());
  ServingTable& table = process.operations.table;
  table.names = {"n", "x", "t", "m"};
  table.types = {Type::kBigint, Type::kDouble, Type::kText, Type::kNumeric};
  for (int64_t i = 0; i < 2'500; ++i)
    table.rows.push_back({Value{Type::kBigint, i - 1}, Value{Type::kDouble, 0.5},
                          Value{Type::kText, {}}, Value{Type::kNumeric, -kMaxNumeric}});
  ResultQuery query;
  query.name = "r";
  query.keys = {{"k", "v"}};
  query.from = -5;
  query.wait = true;
  std::vector<ResultColumn> columns;
  std::vector<std::vector<Value>> rows;
  const auto ask = [&] {
    columns.clear();
    rows.clear();
    return client.Query(
        query, [&](const std::vector<ResultColumn>& c) { columns = c; },
        [&](const std::vector<Value>& r) { rows.push_back(r); });
  };
  REQUIRE(ask().ok());
  CHECK(process.operations.waited);
  CHECK(process.operations.asked.keys == query.keys);
  CHECK(process.operations.asked.from == query.from);
  CHECK(!process.operations.asked.to);
  REQUIRE(columns.size() == 4);
  CHECK(columns[3].type == Type::kNumeric);
  CHECK(rows == table.rows);

  table.rows.clear();
  REQUIRE(ask().ok());
  CHECK(columns.size() == 4);
  CHECK(rows.empty());

  query.name = "other";
  CHECK(ask().error().code == Code::kNotFound);
}

TEST_CASE("queries whose readers stop reading are bounded in number and in time") {
  rpc::ServerOptions options;
  options.queries = 2;
  options.longest_write = std::chrono::seconds(2);
  ControlProcess process(options);
  ServingTable& table = process.operations.table;
  table.names = {"x"};
  table.types = {Type::kText};
  table.rows.assign(20'000, {Value{Type::kText, std::string(1'000, 'x')}});
  const auto stub = query::v1::Query::NewStub(ChannelTo(process.server->address()));
  query::v1::QueryRequest request;
  request.set_name("r");
  query::v1::QueryReply reply;
  const auto ask = [&] {
    grpc::ClientContext context;
    const auto call = stub->Query(&context, request);
    while (call->Read(&reply)) continue;
    return call->Finish();
  };

  std::array<grpc::ClientContext, 2> contexts;
  std::array<std::unique_ptr<grpc::ClientReader<query::v1::QueryReply>>, 2> stopped;
  for (size_t i = 0; i < stopped.size(); ++i) {
    stopped[i] = stub->Query(&contexts[i], request);
    REQUIRE(stopped[i]->Read(&reply));
  }
  const grpc::Status busy = ask();
  CHECK(busy.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(busy.error_message().find("limit=2") != std::string::npos);
  google::rpc::RetryInfo retry;
  CHECK(HasDetail(busy, &retry));
  // One that waits until results are applied holds no table before.
  request.set_wait(true);
  CHECK(ask().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(process.operations.waited);

  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!ask().ok()) REQUIRE(std::chrono::steady_clock::now() < patience);
  // One has made room; the other may still have time to go on.
  int ended = 0;
  for (const auto& call : stopped) {
    while (call->Read(&reply)) continue;
    ended += call->Finish().error_code() == grpc::StatusCode::CANCELLED;
  }
  CHECK(ended >= 1);
}

TEST_CASE("a call that takes too long, is abandoned or breaks is ended") {
  rpc::ServerOptions options;
  options.longest_call = std::chrono::seconds(1);
  ControlProcess process(options);
  OperationsClient patient(process.server->address());
  const auto broken = patient.Apply("throw");
  CHECK(broken.error().code == Code::kInternal);
  CHECK(broken.error().message.find("broken") != std::string::npos);
  process.operations.hang = true;
  CHECK(patient.Apply("x").error().code == Code::kUnavailable);
  OperationsClient hasty(process.server->address(), std::chrono::milliseconds(50));
  CHECK(hasty.Apply("x").error().code == Code::kUnavailable);
}

TEST_CASE("calls under way end when their executor stops first") {
  auto process = std::make_unique<ControlProcess>();
  process->operations.hang = true;
  OperationsClient client(process->server->address());
  Result<std::vector<AppliedStatement>> answer = Internal("none");
  std::thread caller([&] { answer = client.Apply("x"); });
  while (!process->operations.hanging) std::this_thread::yield();
  process->driver.Stop();
  caller.join();
  REQUIRE(!answer.ok());
  CHECK(answer.error().code == Code::kUnavailable);
}

}  // namespace millrace
