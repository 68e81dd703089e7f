// What clients of Control and Query see.
#include <grpcpp/grpcpp.h>

#include <array>
#include <chrono>
#include <functional>
#include <thread>

#include "integration/rpc_surface.h"
#include "millrace/base/run_now.h"
#include "millrace/client/operations_client.h"
#include "millrace/control/v1/operations.grpc.pb.h"
#include "millrace/query/v1/query.grpc.pb.h"
#include "support/catch.h"

namespace millrace {

using test::ChannelTo;
using test::ControlProcess;
using test::FakeOperations;
using test::HasDetail;

TEST_CASE("Control gives and takes what Operations does") {
  ControlProcess process;
  const auto client = ConnectOperations({process.server->address()});
  process.operations.applied =
      operations::ApplyReport{{{"stream", "default", "s", operations::Outcome::kDropped}}, true};
  const auto applied = RunNow(client->Apply("CREATE TABLE s", false));
  REQUIRE(applied.ok());
  CHECK(applied->needs_consent);
  CHECK(applied->statements.at(0).kind == "stream");
  CHECK(applied->statements.at(0).outcome == operations::Outcome::kDropped);
  CHECK_FALSE(process.operations.may_drop);
  CHECK(RunNow(client->Apply("DROP TABLE s", true)).ok());
  CHECK(process.operations.may_drop);
  process.operations.applied = Conflict("the stream has another definition");
  const auto conflict = RunNow(client->Apply("CREATE TABLE s", false));
  CHECK(conflict.error().code == Code::kConflict);
  CHECK(conflict.error().message == "the stream has another definition");

  process.operations.applied = NotFound("no such column column=" + std::string(100'000, '\n'));
  const auto large = RunNow(client->Apply("CREATE TABLE s", false));
  CHECK(large.error().code == Code::kNotFound);
  CHECK(large.error().message.substr(0, 24) == "no such column column=\n\n");

  const auto stream = RunNow(client->DescribeStream("default", "s"));
  REQUIRE(stream.ok());
  CHECK(stream->spec == test::Stream());
  REQUIRE(stream->partitions.size() == 2);
  CHECK(stream->partitions[0].start == Offset(1));
  CHECK(stream->partitions[0].end == Offset(3));
  CHECK(stream->partitions[1].floor == Offset(4));
  CHECK(stream->partitions[1].bytes == 80);
  CHECK(stream->keep_for == 9);
  CHECK_FALSE(stream->keep_bytes);
  CHECK(RunNow(client->DescribeStream("default", "t")).error().code == Code::kNotFound);
  CHECK(RunNow(client->ListStreams())->size() == 1);

  REQUIRE(RunNow(client->AdvanceStream("default", "s", 42)).ok());
  CHECK(process.operations.advanced_to == 42);
  REQUIRE(RunNow(client->AdvanceStream("default", "s", kPlusInfinity)).ok());
  CHECK(process.operations.advanced_to == kPlusInfinity);
  CHECK(RunNow(client->AdvanceStream("default", "t", 1)).error().code == Code::kNotFound);

  const auto pipeline = RunNow(client->DescribePipeline("default", "r"));
  REQUIRE(pipeline.ok());
  CHECK(pipeline->incarnation.defined_at == Offset(17));
  CHECK(pipeline->window.kind == WindowKind::kHop);
  CHECK(pipeline->watermark == 5);
  CHECK(pipeline->read_watermark == 7);
  CHECK(pipeline->message == "cut fails");
  CHECK(RunNow(client->DropPipeline("default", "r")).error().code == Code::kConflict);

  const auto producers = RunNow(client->ListProducers("", "s", Principal(), "nightly/"));
  REQUIRE(producers.ok());
  REQUIRE(producers->size() == 1);
  CHECK(producers->at(0).id == "nightly/1 of local");
  CHECK(producers->at(0).end == 7);
  CHECK(RunNow(client->ListProducers("", "t", Principal(), "")).error().code == Code::kNotFound);

  REQUIRE(RunNow(client->Set({"", "", "balance", "off"})).ok());
  CHECK(process.operations.setting.name.empty());
  CHECK(process.operations.setting.key == "balance");
  CHECK(process.operations.setting.value == "off");
  const auto settings = RunNow(client->ListSettings());
  REQUIRE(settings.ok());
  CHECK(settings->at(0).name == "r");
  CHECK(settings->at(0).value == "on");

  const auto shards = RunNow(client->ListShards());
  REQUIRE(shards.ok());
  CHECK(shards->at(0).shard.ToString() == "default/r@17/p1");
  CHECK(shards->at(0).watermark == kMinusInfinity);
  REQUIRE(RunNow(client->ReleaseShard(shards->at(0).shard)).ok());
  CHECK(process.operations.released.partition == PartitionId(1));
  const auto skipped = RunNow(client->SkipShard(shards->at(0).shard, Offset(9), "lost"));
  REQUIRE(skipped.ok());
  CHECK(skipped->lowest == Offset(3));
  CHECK(skipped->highest == Offset(20));
  CHECK(skipped->left_out == 6);
  CHECK(skipped->may_count_twice == 2);
  REQUIRE(RunNow(client->RetryShard(shards->at(0).shard)).ok());
  CHECK(process.operations.retried.partition == PartitionId(1));
  CHECK(process.operations.skipped.partition == PartitionId(1));
}

TEST_CASE("Control refuses requests that name no shard, time or reason") {
  ControlProcess process;
  const auto stub = control::v1::Control::NewStub(ChannelTo(process.server->address()));
  const auto refused = [&](auto method, const auto& request, auto reply) {
    grpc::ClientContext context;
    return (stub.get()->*method)(&context, request, &reply).error_code() ==
           grpc::StatusCode::INVALID_ARGUMENT;
  };
  using Stub = control::v1::Control::Stub;
  control::v1::ReleaseShardRequest release;
  release.set_shard("nonsense");
  CHECK(refused(&Stub::ReleaseShard, release, control::v1::ReleaseShardReply()));
  control::v1::RetryShardRequest retry;
  retry.set_shard("nonsense");
  CHECK(refused(&Stub::RetryShard, retry, control::v1::RetryShardReply()));
  control::v1::SkipShardRequest skip;
  skip.set_shard("nonsense");
  skip.set_reason("lost");
  CHECK(refused(&Stub::SkipShard, skip, control::v1::SkipShardReply()));
  skip.set_shard("default/r@17/p1");
  skip.set_reason(" ");
  CHECK(refused(&Stub::SkipShard, skip, control::v1::SkipShardReply()));
  control::v1::AdvanceStreamRequest advance;
  advance.set_name("s");
  CHECK(refused(&Stub::AdvanceStream, advance, control::v1::AdvanceStreamReply()));

  control::v1::ListStreamsRequest list;
  list.set_namespace_("other");
  control::v1::ListStreamsReply streams;
  grpc::ClientContext context;
  REQUIRE(stub->ListStreams(&context, list, &streams).ok());
  CHECK(streams.streams().empty());
}

TEST_CASE("Query streams typed rows after the columns") {
  ControlProcess process;
  const auto client = ConnectOperations({process.server->address()});
  ServingTable& table = process.operations.table;
  table.names = {"n", "x", "t", "m"};
  table.types = {Type::kBigint, Type::kDouble, Type::kText, Type::kNumeric};
  for (int64_t i = 0; i < 2'500; ++i)
    table.rows.push_back({Value{Type::kBigint, i - 1}, Value{Type::kDouble, 0.5},
                          Value{Type::kText, {}}, Value{Type::kNumeric, -kMaxNumeric}});
  ServingQuery query;
  query.name = "r";
  query.keys = {{"k", "v"}};
  query.from = -5;
  ServingTable got;
  REQUIRE(test::Ask(*client, query, &got).ok());
  CHECK(process.operations.asked.keys == query.keys);
  CHECK(process.operations.asked.from == query.from);
  CHECK(!process.operations.asked.to);
  CHECK(got.names == table.names);
  CHECK(got.types == table.types);
  CHECK(got.rows == table.rows);

  CHECK(!process.operations.waited);
  REQUIRE(RunNow(client->WaitApplied("default", "r")).ok());
  CHECK(process.operations.waited);

  // A page holds what its reader asks for, however large the messages are.
  const auto cursor = RunNow(client->OpenQuery(query)).value();
  CHECK(RunNow(cursor->Next(7, 1 << 20))->size() == 7);
  CHECK(RunNow(cursor->Next(7, 1))->size() == 1);
  cursor->Cancel();
  const auto rest = [&] {
    for (;;) {
      const auto page = RunNow(cursor->Next(1'000, 1 << 20));
      if (!page.ok() || page->empty()) return page.ok();
    }
  };
  CHECK_FALSE(rest());

  table.rows.clear();
  REQUIRE(test::Ask(*client, query, &got).ok());
  CHECK(got.names.size() == 4);
  CHECK(got.rows.empty());

  query.name = "other";
  CHECK(test::Ask(*client, query, &got).error().code == Code::kNotFound);
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
  const auto client = ConnectOperations({queries.process.server->address()});
  ServingQuery query;
  query.name = "r";
  ServingTable got;
  const auto ask = [&] { return test::Ask(*client, query, &got); };
  CHECK(ask().ok());
  CHECK(got.rows.size() == 10);
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
  const auto patient = ConnectOperations({process.server->address()});
  const auto broken = RunNow(patient->Apply("throw", false));
  CHECK(broken.error().code == Code::kInternal);
  CHECK(broken.error().message.find("broken") != std::string::npos);
  process.operations.hang = true;
  CHECK(RunNow(patient->Apply("x", false)).error().code == Code::kUnavailable);
  const auto hasty = ConnectOperations({process.server->address()}, std::chrono::milliseconds(50));
  CHECK(RunNow(hasty->Apply("x", false)).error().code == Code::kUnavailable);
}

TEST_CASE("calls under way end when their executor stops first") {
  auto process = std::make_unique<ControlProcess>();
  process->operations.hang = true;
  const auto client = ConnectOperations({process->server->address()});
  Result<operations::ApplyReport> answer = Internal("none");
  std::thread caller([&] { answer = RunNow(client->Apply("x", false)); });
  while (!process->operations.hanging) std::this_thread::yield();
  process->driver.Stop();
  caller.join();
  REQUIRE(!answer.ok());
  CHECK(answer.error().code == Code::kUnavailable);
}

TEST_CASE("of several servers each call goes to one that can answer") {
  ControlProcess coordinator;
  ControlProcess other;
  rpc::Services none;
  const auto gateway = rpc::Server::Start({.listen = "127.0.0.1:0"}, none).value();
  const auto recovering = rpc::Server::Start({.listen = "127.0.0.1:0"}).value();
  const auto gone = [] {
    const auto server = rpc::Server::Start({.listen = "127.0.0.1:0"}).value();
    return server->address();
  }();
  const auto client = ConnectOperations({gone, gateway->address(), recovering->address(),
                                         other.server->address(), coordinator.server->address()});
  // Only the leader can do it, and says so by kFenced.
  other.operations.applied = Fenced("another process leads");
  coordinator.operations.applied = operations::ApplyReport{};
  CHECK(RunNow(client->Apply("sql", false)).ok());
  CHECK(RunNow(client->ListStreams()).ok());
  ServingQuery query;
  query.name = "r";
  ServingTable table;
  CHECK(test::Ask(*client, query, &table).ok());

  // What a server that was asked answers else is the answer.
  coordinator.operations.applied = Unavailable("the outcome is unknown");
  CHECK(RunNow(client->Apply("sql", false)).error().message == "the outcome is unknown");

  const auto nobody = ConnectOperations({gateway->address(), other.server->address(), gone});
  CHECK(RunNow(nobody->Apply("sql", false)).error().message == "another process leads");
  CHECK(RunNow(ConnectOperations({gateway->address()})->Apply("sql", false))
            .error()
            .message.find("ask another") != std::string::npos);
}

}  // namespace millrace
