// What any gRPC client sees: health, reflection, error details, Control and Query.
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "integration/ingest_cluster.h"
#include "millrace/client/operations_client.h"
#include "millrace/ingest/v1/ingest.grpc.pb.h"
#include "support/temp_dir.h"

namespace millrace {
namespace {

namespace wire = ingest::v1;

StreamSpec Stream() {
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

std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) {
  return grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
}

grpc::Status PublishOne(wire::Ingest::Stub* stub, const std::string& stream, int events,
                        wire::PublishReply* reply) {
  grpc::ClientContext context;
  wire::PublishRequest request;
  request.set_stream(stream);
  for (int i = 0; i < events; ++i)
    request.add_events()->set_json(R"({"ts":"2001-01-01T00:00:00Z","v":1})");
  return stub->Publish(&context, request, reply);
}

template <typename Detail>
bool HasDetail(const grpc::Status& status, Detail* out) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return false;
  for (const auto& any : details.details())
    if (any.UnpackTo(out)) return true;
  return false;
}

/// A unary call with raw bytes, for services whose stubs Debian does not package.
std::string CallRaw(const std::string& address, const std::string& method,
                    const std::string& request) {
  grpc::GenericStub stub(ChannelTo(address));
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice slice(request);
  grpc::ByteBuffer in(&slice, 1);
  grpc::ByteBuffer out;
  grpc::Status status;
  auto call = stub.PrepareUnaryCall(&context, method, in, &queue);
  call->StartCall();
  call->Finish(&out, &status, &call);
  void* tag = nullptr;
  bool ok = false;
  REQUIRE(queue.Next(&tag, &ok));
  INFO(status.error_message());
  REQUIRE(status.ok());
  std::vector<grpc::Slice> slices;
  REQUIRE(out.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& s : slices)
    bytes.append(reinterpret_cast<const char*>(s.begin()), s.size());
  return bytes;
}

/// One exchange over the reflection stream: list_services = "*".
std::string ListServices(const std::string& address) {
  grpc::GenericStub stub(ChannelTo(address));
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  void* tag = nullptr;
  bool ok = false;
  const auto next = [&] {
    REQUIRE(queue.Next(&tag, &ok));
    return ok;
  };
  auto call = stub.PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  call->StartCall(nullptr);
  REQUIRE(next());
  const grpc::Slice slice(std::string("\x3a\x01*", 3));
  call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  REQUIRE(next());
  grpc::ByteBuffer out;
  call->Read(&out, nullptr);
  REQUIRE(next());
  call->WritesDone(nullptr);
  next();
  grpc::Status status;
  call->Finish(&status, nullptr);
  next();
  std::vector<grpc::Slice> slices;
  REQUIRE(out.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& s : slices)
    bytes.append(reinterpret_cast<const char*>(s.begin()), s.size());
  return bytes;
}

}  // namespace

TEST_CASE("health answers SERVING and reflection names the services") {
  const test::TempDir directory;
  test::GatewayProcess gateway(directory.Sub("log"), Stream());
  CHECK(CallRaw(gateway.address(), "/grpc.health.v1.Health/Check", "") ==
        std::string("\x08\x01", 2));
  const std::string services = ListServices(gateway.address());
  CHECK(services.find("millrace.ingest.v1.Ingest") != std::string::npos);
  CHECK(services.find("grpc.health.v1.Health") != std::string::npos);
}

TEST_CASE("a server that recovers holds its port, is not healthy and refuses every call") {
  const test::TempDir directory;
  FakeOperations operations;
  ThreadDriver driver{{1, 1, {}}};
  rpc::ServerOptions options;
  options.listen = "127.0.0.1:0";
  const auto server = rpc::Server::Start(options).value();
  const std::string address = server->address();
  options.listen = address;
  CHECK(rpc::Server::Start(options).error().message.find("another process listens there") !=
        std::string::npos);
  const auto healthy = [&] { return CallRaw(address, "/grpc.health.v1.Health/Check", ""); };
  CHECK(healthy() == std::string("\x08\x02", 2));

  const auto recovers = [](const grpc::Status& status) {
    google::rpc::ErrorInfo info;
    CHECK(status.error_code() == grpc::StatusCode::UNAVAILABLE);
    CHECK(status.error_message().find("recovering") != std::string::npos);
    REQUIRE(HasDetail(status, &info));
    CHECK(info.reason() == "RECOVERING");
  };
  const auto ingest = wire::Ingest::NewStub(ChannelTo(address));
  wire::PublishReply reply;
  recovers(PublishOne(ingest.get(), "s", 1, &reply));
  {
    grpc::ClientContext context;
    const auto stream = ingest->PublishStream(&context);
    wire::PublishStreamReply none;
    CHECK(!stream->Read(&none));
    recovers(stream->Finish());
  }
  OperationsClient client(address);
  const auto pipelines = client.ListPipelines();
  CHECK(pipelines.error().code == Code::kUnavailable);
  CHECK(pipelines.error().message.find("recovering") != std::string::npos);
  const auto ask = [&] {
    ResultQuery query;
    query.name = "r";
    return client.Query(query, [](const auto&) {}, [](const auto&) {});
  };
  CHECK(ask().error().code == Code::kUnavailable);

  rpc::Services services;
  services.control_executor = &driver.core(0);
  services.operations = &operations;
  server->Serve(services);
  CHECK(healthy() == std::string("\x08\x01", 2));
  CHECK(client.ListPipelines().ok());
  CHECK(ask().ok());
  // Still none of this process's services.
  CHECK(PublishOne(ingest.get(), "s", 1, &reply).error_code() == grpc::StatusCode::UNIMPLEMENTED);
  server->Stop();
}

TEST_CASE("Publish answers each event; the stream list tells columns and limits") {
  const test::TempDir directory;
  test::GatewayProcess gateway(directory.Sub("log"), Stream());
  const auto stub = wire::Ingest::NewStub(ChannelTo(gateway.address()));
  wire::PublishReply reply;
  REQUIRE(PublishOne(stub.get(), "s", 3, &reply).ok());
  REQUIRE(reply.results_size() == 3);
  CHECK(reply.results(2).has_position());

  grpc::ClientContext context;
  wire::ListStreamsReply streams;
  REQUIRE(stub->ListStreams(&context, {}, &streams).ok());
  REQUIRE(streams.streams_size() == 1);
  CHECK(streams.streams(0).columns(0).type() == "timestamptz");
  CHECK(streams.streams(0).event_time() == "ts");
  CHECK(!streams.streams(0).has_partition_key());
  CHECK(streams.limits().sequences_in_flight() == 65'536);
}

TEST_CASE("whole refusals carry ErrorInfo, BadRequest and RetryInfo") {
  const test::TempDir directory;
  ingest::Options slow;
  slow.in_flight_bytes = 100;
  slow.linger = std::chrono::seconds(1);
  slow.retry_after = std::chrono::milliseconds(1'250);
  test::GatewayProcess gateway(directory.Sub("log"), Stream(), "127.0.0.1:0", {}, slow);
  const auto stub = wire::Ingest::NewStub(ChannelTo(gateway.address()));
  wire::PublishReply reply;
  google::rpc::ErrorInfo info;

  const grpc::Status unknown = PublishOne(stub.get(), "other", 1, &reply);
  CHECK(unknown.error_code() == grpc::StatusCode::NOT_FOUND);
  REQUIRE(HasDetail(unknown, &info));
  CHECK(info.reason() == "UNKNOWN_STREAM");
  CHECK(info.domain() == "millrace");

  const grpc::Status large = PublishOne(stub.get(), "s", 10'001, &reply);
  CHECK(large.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  google::rpc::BadRequest bad;
  REQUIRE(HasDetail(large, &bad));
  CHECK(bad.field_violations(0).field() == "events");

  wire::PublishReply first;
  std::thread other([&] { PublishOne(stub.get(), "s", 1, &first); });
  while (gateway.metrics().Value("millrace_gateway_in_flight_bytes") == 0)
    std::this_thread::yield();
  const grpc::Status overloaded = PublishOne(stub.get(), "s", 1, &reply);
  other.join();
  REQUIRE(first.results_size() == 1);
  CHECK(first.results(0).has_position());
  CHECK(overloaded.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::RetryInfo retry;
  REQUIRE(HasDetail(overloaded, &retry));
  CHECK(retry.retry_delay().seconds() == 1);
  CHECK(retry.retry_delay().nanos() == 250'000'000);
}

TEST_CASE("a stream answers in order and ends with the refusal of a whole batch") {
  const test::TempDir directory;
  test::GatewayProcess gateway(directory.Sub("log"), Stream());
  const auto stub = wire::Ingest::NewStub(ChannelTo(gateway.address()));
  grpc::ClientContext context;
  const auto stream = stub->PublishStream(&context);
  for (int64_t batch = 1; batch <= 10; ++batch) {
    wire::PublishStreamRequest request;
    request.set_batch(batch * 100);
    request.mutable_request()->set_stream(batch == 6 ? "other" : "s");
    request.mutable_request()->add_events()->set_json(R"({"ts":"2001-01-01T00:00:00Z"})");
    if (!stream->Write(request)) break;
  }
  wire::PublishStreamReply reply;
  for (int64_t batch = 1; batch <= 5; ++batch) {
    REQUIRE(stream->Read(&reply));
    CHECK(reply.batch() == batch * 100);
    CHECK(reply.reply().results(0).has_position());
  }
  CHECK(!stream->Read(&reply));
  CHECK(stream->Finish().error_code() == grpc::StatusCode::NOT_FOUND);
  size_t records = 0;
  for (int32_t p = 0; p < 2; ++p)
    for (const LogRecord& r : gateway.Records(Stream(), p))
      records += block_arrow::ArrowBlockCodec()
                     .Decode(Stream(), Buffer{r.owner, r.value}, r.offset, 0)
                     .value()
                     .rows;
  CHECK(records == 5);
}

TEST_CASE("a stream is read no further than its bound of unanswered batches") {
  const test::TempDir directory;
  rpc::ServerOptions options;
  options.stream_batches = 4;
  ingest::Options slow;
  slow.block_bytes = 2 << 20;
  slow.linger = std::chrono::milliseconds(50);
  test::GatewayProcess gateway(directory.Sub("log"), Stream(), "127.0.0.1:0", options, slow);
  const auto stub = wire::Ingest::NewStub(ChannelTo(gateway.address()));
  grpc::ClientContext context;
  const auto stream = stub->PublishStream(&context);
  std::atomic<bool> answered{false};
  std::thread writer([&] {
    wire::PublishStreamRequest request;
    request.mutable_request()->set_stream("s");
    for (int i = 0; i < 1'000; ++i)
      request.mutable_request()->add_events()->set_json(R"({"ts":"2001-01-01T00:00:00Z"})");
    for (int i = 0; i < 20; ++i) {
      request.set_batch(i);
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
  });
  int64_t in_order = 0;
  std::thread reader([&] {
    wire::PublishStreamReply reply;
    while (stream->Read(&reply)) in_order += reply.batch() == in_order;
    answered = true;
  });
  double most = 0;
  while (!answered) {
    most = std::max(most, gateway.metrics().Value("millrace_gateway_in_flight_bytes"));
    std::this_thread::yield();
  }
  writer.join();
  reader.join();
  CHECK(in_order == 20);
  CHECK(stream->Finish().ok());
  const double batch = 1'000 * (29 + 64);
  CHECK(most == 4 * batch);
}

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
