// What clients of Control and Query see.
#include <grpcpp/grpcpp.h>

#include <array>
#include <chrono>
#include <functional>
#include <thread>

#include "integration/rpc_surface.h"
#include "millrace/client/operations_client.h"
#include "millrace/query/v1/query.grpc.pb.h"
#include "support/catch.h"

namespace millrace {

using test::ChannelTo;
using test::ControlProcess;
using test::FakeOperations;
using test::HasDetail;

TEST_CASE("Control gives and takes what Operations does") {
  ControlProcess process;
  OperationsClient client(process.server->address());
  process.operations.applied =
      runtime::ApplyReport{{{"stream", "default", "s", runtime::Outcome::kDropped}}, true};
  const auto applied = client.Apply("CREATE TABLE s");
  REQUIRE(applied.ok());
  CHECK(applied->needs_consent);
  CHECK(applied->statements.at(0).kind == "stream");
  CHECK(applied->statements.at(0).outcome == "dropped");
  CHECK_FALSE(process.operations.may_drop);
  CHECK(client.Apply("DROP TABLE s", true).ok());
  CHECK(process.operations.may_drop);
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
  CHECK(stream->start_offsets == std::vector<int64_t>{1, 0});
  CHECK(stream->end_offsets == std::vector<int64_t>{3, 4});
  CHECK(stream->floor_offsets == std::vector<int64_t>{2, 4});
  CHECK(stream->bytes == std::vector<int64_t>{70, 80});
  CHECK(stream->keep_for == 9);
  CHECK_FALSE(stream->keep_bytes);
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
  CHECK(pipeline->read_watermark == 7);
  CHECK(pipeline->message == "cut fails");
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
  REQUIRE(client.ReleaseShard(shards->at(0).shard).ok());
  CHECK(process.operations.released.partition == PartitionId(1));
  CHECK(client.ReleaseShard("nonsense").error().code == Code::kInvalidArgument);
  const auto skipped = client.SkipShard(shards->at(0).shard, 9, "lost");
  REQUIRE(skipped.ok());
  CHECK(skipped->lowest == 3);
  CHECK(skipped->highest == 20);
  CHECK(skipped->left_out == 6);
  CHECK(skipped->may_count_twice == 2);
  REQUIRE(client.RetryShard(shards->at(0).shard).ok());
  CHECK(process.operations.retried.partition == PartitionId(1));
  CHECK(client.RetryShard("nonsense").error().code == Code::kInvalidArgument);
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

namespace {

/// Queries of the table x of a control process, and what they give.
struct Queries {
  explicit Queries(rpc::ServerOptions options) : process(options) {
    process.operations.table.names = {"x"};
    process.operations.table.types = {Type::kText};
    process.operations.table.rows.assign(20'000, {Value{Type::kText, std::string(1'000, 'x')}});
    stub = query::v1::Query::NewStub(ChannelTo(process.server->address()));
    request.set_name("r");
  }

  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<query::v1::QueryReply>> reader;
    query::v1::QueryReply reply;
    int64_t rows = 0;

    bool Read() {
      if (!reader->Read(&reply)) return false;
      rows += reply.rows_size();
      return true;
    }
    grpc::Status ReadOn() {
      while (Read()) continue;
      return reader->Finish();
    }
  };

  std::unique_ptr<Call> Begin() {
    auto call = std::make_unique<Call>();
    call->reader = stub->Query(&call->context, request);
    return call;
  }
  grpc::Status Ask() { return Begin()->ReadOn(); }

  ControlProcess process;
  std::unique_ptr<query::v1::Query::Stub> stub;
  query::v1::QueryRequest request;
};

void Await(const std::function<bool()>& condition) {
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    REQUIRE(std::chrono::steady_clock::now() < patience);
    std::this_thread::yield();
  }
}

}  // namespace

TEST_CASE("queries whose readers stop reading are bounded in number and in time") {
  rpc::ServerOptions options;
  options.queries = 2;
  options.longest_write = std::chrono::seconds(2);
  Queries queries(options);
  std::array<std::unique_ptr<Queries::Call>, 2> stopped;
  for (auto& call : stopped) {
    call = queries.Begin();
    REQUIRE(call->Read());
  }
  const grpc::Status busy = queries.Ask();
  CHECK(busy.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(busy.error_message().find("limit=2") != std::string::npos);
  google::rpc::RetryInfo retry;
  CHECK(HasDetail(busy, &retry));
  // One that waits until results are applied holds no rows before.
  queries.request.set_wait(true);
  CHECK(queries.Ask().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(queries.process.operations.waited);

  Await([&] { return queries.Ask().ok(); });
  // One has made room; the other may still have time to go on.
  int ended = 0;
  for (const auto& call : stopped) ended += !call->ReadOn().ok();
  CHECK(ended >= 1);
}

TEST_CASE("a reader that stops is told so behind the rows that were on their way") {
  rpc::ServerOptions options;
  options.longest_write = std::chrono::seconds(3);
  Queries queries(options);
  const auto call = queries.Begin();
  REQUIRE(call->Read());
  Await([&] { return queries.process.operations.cursors == 0; });
  const grpc::Status ended = call->ReadOn();
  CHECK(ended.error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(ended.error_message() ==
        "the query was ended because its rows were not taken for 3 s; read them as they come, or "
        "write them to a file first");
  google::rpc::ErrorInfo info;
  REQUIRE(HasDetail(ended, &info));
  CHECK(info.reason() == "NOT_READ");
  // No more was read from the store than was taken, but for what gRPC's buffers hold.
  CHECK(queries.process.operations.read < 20'000);
}

TEST_CASE("a message of rows is one that every client takes, and a large row is one by itself") {
  Queries queries({});
  ServingTable& table = queries.process.operations.table;
  table.rows.assign(10, {Value{Type::kText, std::string(900'000, 'x')}});
  table.rows[4][0].data = std::string(10'000'000, 'y');
  // The stub's channel takes 4 MiB, the client library's more.
  const auto small = queries.Begin();
  CHECK(small->ReadOn().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(small->rows == 4);
  OperationsClient client(queries.process.server->address());
  ResultQuery query;
  query.name = "r";
  size_t rows = 0;
  const auto ask = [&] {
    rows = 0;
    return client.Query(query, [](const auto&) {}, [&](const auto&) { ++rows; });
  };
  CHECK(ask().ok());
  CHECK(rows == 10);
  table.rows[4][0].data = std::string(70'000'000, 'y');
  const Status refused = ask();
  CHECK(refused.error().code == Code::kResourceExhausted);
  CHECK(refused.error().message.find("read it in SQL") != std::string::npos);
}

TEST_CASE("a query whose caller left gives its place back at once") {
  rpc::ServerOptions options;
  options.queries = 1;
  options.waiting_queries = 1;
  Queries queries(options);
  queries.request.set_wait(GENERATE(false, true));
  FakeOperations& operations = queries.process.operations;
  operations.hang = true;
  const auto call = queries.Begin();
  Await([&] { return operations.cursors == 1 || operations.waited; });
  CHECK(queries.Ask().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  call->context.TryCancel();
  CHECK(call->ReadOn().error_code() == grpc::StatusCode::CANCELLED);
  // It would read or wait for ever if it went on: what hangs is not let go. The next one hangs too.
  Await([&] {
    Queries::Call next;
    next.context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
    next.reader = queries.stub->Query(&next.context, queries.request);
    return next.ReadOn().error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED;
  });
  CHECK(operations.hung == 2);
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
  Result<ApplyReport> answer = Internal("none");
  std::thread caller([&] { answer = client.Apply("x"); });
  while (!process->operations.hanging) std::this_thread::yield();
  process->driver.Stop();
  caller.join();
  REQUIRE(!answer.ok());
  CHECK(answer.error().code == Code::kUnavailable);
}

}  // namespace millrace
