// What any gRPC client sees: health, reflection, Ingest and its error details.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <thread>

#include "integration/ingest_cluster.h"
#include "integration/rpc_surface.h"
#include "millrace/client/operations_client.h"
#include "millrace/ingest/v1/ingest.grpc.pb.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace millrace {
namespace {

namespace wire = ingest::v1;
using test::ChannelTo;
using test::FakeOperations;
using test::HasDetail;
using test::Stream;

grpc::Status PublishOne(wire::Ingest::Stub* stub, const std::string& stream, int events,
                        wire::PublishReply* reply) {
  grpc::ClientContext context;
  wire::PublishRequest request;
  request.set_stream(stream);
  for (int i = 0; i < events; ++i)
    request.add_events()->set_json(R"({"ts":"2001-01-01T00:00:00Z","v":1})");
  return stub->Publish(&context, request, reply);
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

/// One exchange over the reflection stream.
std::string AskReflection(const std::string& address, const std::string& request) {
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
  const grpc::Slice slice(request);
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

TEST_CASE("health answers SERVING, and reflection names the services and describes them") {
  const test::TempDir directory;
  test::GatewayProcess gateway(directory.Sub("log"), Stream());
  CHECK(CallRaw(gateway.address(), "/grpc.health.v1.Health/Check", "") ==
        std::string("\x08\x01", 2));
  // list_services = "*"
  const std::string services = AskReflection(gateway.address(), "\x3a\x01*");
  for (const std::string service : {"millrace.ingest.v1.Ingest", "grpc.health.v1.Health"}) {
    CHECK(services.find(service) != std::string::npos);
    // file_containing_symbol
    const std::string about = AskReflection(
        gateway.address(), "\x22" + std::string(1, static_cast<char>(service.size())) + service);
    CHECK(about.find("not found") == std::string::npos);
    CHECK(about.find(".proto") != std::string::npos);
  }
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
  const auto client = ConnectOperations({address});
  const auto pipelines = RunNow(client->ListPipelines());
  CHECK(pipelines.error().code == Code::kUnavailable);
  CHECK(pipelines.error().message.find("recovering") != std::string::npos);
  const auto ask = [&] {
    ServingQuery query;
    query.name = "r";
    ServingTable table;
    return test::Ask(*client, query, &table);
  };
  CHECK(ask().error().code == Code::kUnavailable);

  rpc::Services services;
  services.control_executor = &driver.core(0);
  services.operations = &operations;
  server->Serve(services);
  CHECK(healthy() == std::string("\x08\x01", 2));
  CHECK(RunNow(client->ListPipelines()).ok());
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

TEST_CASE("Publish does not wait for ever for a log that does not answer") {
  const test::TempDir directory;
  rpc::ServerOptions options;
  options.longest_call = std::chrono::seconds(1);
  ingest::Options lingering;
  lingering.linger = std::chrono::hours(1);
  test::GatewayProcess gateway(directory.Sub("log"), Stream(), "127.0.0.1:0", options, lingering);
  const auto stub = wire::Ingest::NewStub(ChannelTo(gateway.address()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  wire::PublishRequest request;
  request.set_stream("s");
  request.add_events()->set_json(R"({"ts":"2001-01-01T00:00:00Z","v":1})");
  wire::PublishReply reply;
  const grpc::Status late = stub->Publish(&context, request, &reply);
  CHECK(late.error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(late.error_message().find("send the same numbers again") != std::string::npos);
  CHECK(late.error_details().empty());
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
  // Four requests, and what they have become so far.
  const double batch = 1'000 * (29 + 200);
  CHECK(most >= 4 * batch);
  CHECK(most < 5 * batch);
}

}  // namespace millrace
