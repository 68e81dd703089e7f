#include "publish_stream.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <malloc.h>

#include <optional>

#include "millrace/ingest/v1/ingest.pb.h"
#include "support/catch.h"
#include "support/test_executor.h"
#include "unit/ingest/fixture.h"

namespace millrace::rpc {
namespace {

namespace wire = ingest::v1;

/// Counts batches that a call starts, and lets none of them run.
class CountingExecutor : public test::TestExecutor {
 public:
  void Spawn(Task<void>) override { ++spawned; }

  int spawned = 0;
};

/// What gRPC would be: shows what a call asks for, and does nothing by itself.
class Transport : public grpc::ServerCallbackReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  explicit Transport(PublishStreams::Reactor* r) : call(r) { BindReactor(r); }

  PublishStreams::Reactor* const call;
  grpc::ByteBuffer* reading = nullptr;
  std::unique_ptr<wire::PublishStreamReply> writing;
  std::optional<grpc::Status> finished;

  /// The producer's message arrives.
  void Arrive(const std::string& bytes) {
    const grpc::Slice slice(bytes);
    *std::exchange(reading, nullptr) = grpc::ByteBuffer(&slice, 1);
    call->OnReadDone(true);
  }

 private:
  void Finish(grpc::Status s) override { finished = std::move(s); }
  void SendInitialMetadata() override {}
  void Read(grpc::ByteBuffer* message) override { reading = message; }
  void Write(const grpc::ByteBuffer* message, grpc::WriteOptions) override {
    writing = std::make_unique<wire::PublishStreamReply>();
    grpc::ByteBuffer copy = *message;
    REQUIRE(grpc::SerializationTraits<wire::PublishStreamReply>::Deserialize(&copy, writing.get())
                .ok());
  }
  void WriteAndFinish(const grpc::ByteBuffer*, grpc::WriteOptions, grpc::Status) override {}
  grpc::internal::ServerReactor* reactor() override { return call; }
  void CallOnDone() override {}
};

/// A call whose reads and writes end when the test says so.
struct Fixture {
  CountingExecutor executor;
  const std::shared_ptr<PublishStreams> streams = std::make_shared<PublishStreams>(
      PublishStreams::Limits{4, 1 << 20, 1 << 20, 1 << 20, std::chrono::seconds(60)});
  Transport transport{streams->Open(&executor, nullptr, [] {})};

  ~Fixture() { transport.call->OnDone(); }
};

/// A call to a real gateway.
struct Served {
  explicit Served(PublishStreams::Limits limits)
      : streams(std::make_shared<PublishStreams>(limits)),
        transport(streams->Open(&gateway.executor, &gateway.gateway, [this] { ++cancelled; })) {
    gateway.Add(ingest::Fixture::Stream());
  }
  ~Served() { transport.call->OnDone(); }

  /// The producer sends a batch, which is answered.
  void Send(int events) {
    Begin(events);
    gateway.executor.RunFor(std::chrono::milliseconds(10));
  }
  /// The producer sends a batch.
  void Begin(int events) {
    wire::PublishStreamRequest message;
    message.set_batch(sent++);
    message.mutable_request()->set_stream("s");
    for (int i = 0; i < events; ++i)
      message.mutable_request()->add_events()->set_json(ingest::Fixture::Json("k", i));
    transport.Arrive(message.SerializeAsString());
  }
  /// The producer takes an answer.
  int64_t Take() {
    const int64_t batch = std::exchange(transport.writing, nullptr)->batch();
    transport.call->OnWriteDone(true);
    return batch;
  }

  ingest::Fixture gateway;
  std::shared_ptr<PublishStreams> streams;
  Transport transport;
  int64_t sent = 0;
  int cancelled = 0;
};

constexpr size_t kResult = sizeof(ingest::EventResult);
constexpr size_t kAmple = 1 << 30;
constexpr auto kMinute = std::chrono::minutes(1);

}  // namespace

TEST_CASE_METHOD(Fixture, "a batch that is read is begun") {
  transport.Arrive("");
  CHECK(executor.spawned == 1);
}

TEST_CASE_METHOD(Fixture, "a batch whose read ends after the call was told STOPPING is not begun") {
  streams->Drain();
  transport.Arrive("");
  CHECK(executor.spawned == 0);
}

TEST_CASE("a stream is not read while too many bytes of answers wait for its producer") {
  Served served({64, 8 << 20, 30 * kResult, kAmple, kMinute});
  while (served.transport.reading != nullptr) served.Send(10);
  // One is being written, three fill the bound, one passes it, and one was being read meanwhile.
  CHECK(served.sent == 6);
  for (int64_t batch = 0; batch < 6; ++batch) {
    CHECK((served.transport.reading != nullptr) == (batch >= 2));
    REQUIRE(served.transport.writing != nullptr);
    CHECK(served.transport.writing->reply().results_size() == 10);
    CHECK(served.Take() == batch);
  }
  CHECK(served.transport.writing == nullptr);
}

TEST_CASE("a stream ends behind its first batch with an event that the log did not take") {
  Served served({64, 8 << 20, 1 << 20, kAmple, kMinute});
  served.gateway.log.fail_before = [](int number) {
    return number == 1 ? std::optional<Error>(Unavailable("the disk is full")) : std::nullopt;
  };
  served.Send(1);
  served.Begin(1);
  served.gateway.executor.RunFor(std::chrono::milliseconds(6));  // its append is the one that fails
  served.Begin(1);
  served.Begin(1);
  served.gateway.executor.RunFor(std::chrono::milliseconds(20));
  CHECK(served.Take() == 0);
  REQUIRE(served.transport.writing != nullptr);
  CHECK(served.transport.writing->reply().results(0).error().retryable());
  CHECK_FALSE(served.transport.finished);
  CHECK(served.Take() == 1);
  CHECK(served.transport.writing == nullptr);
  REQUIRE(served.transport.finished);
  CHECK(served.transport.finished->error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(served.transport.finished->error_message().find("the disk is full") != std::string::npos);
  CHECK(served.transport.finished->error_details().find("APPEND_FAILED") != std::string::npos);
  CHECK(served.gateway.Records().size() == 1);
}

TEST_CASE("a message that is no protobuf ends the stream, behind the answers to earlier batches") {
  Served served({64, 8 << 20, 1 << 20, kAmple, kMinute});
  served.Begin(1);
  served.transport.Arrive(
      GENERATE(as<std::string>(), "no protobuf", "\x12\x05\x12\x03\xff\xfe\xfd"));
  CHECK(served.transport.reading == nullptr);
  CHECK_FALSE(served.transport.finished);
  served.gateway.executor.RunFor(std::chrono::milliseconds(10));
  CHECK(served.Take() == 0);
  REQUIRE(served.transport.finished);
  CHECK(served.transport.finished->error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(served.transport.finished->error_message().find("not the message that this call takes") !=
        std::string::npos);
}

TEST_CASE("past the bound of all streams together each is read one batch at a time") {
  Served served({64, 8 << 20, 1 << 20, 20'000, kMinute});
  const std::shared_ptr<PublishStreams> streams = served.streams;
  while (served.transport.reading != nullptr) served.Send(100);
  CHECK(served.sent < 10);

  Transport other(streams->Open(&served.gateway.executor, &served.gateway.gateway, [] {}));
  for (int64_t batch = 0; batch < 3; ++batch) {
    REQUIRE(other.reading != nullptr);
    wire::PublishStreamRequest message;
    message.mutable_request()->set_stream("s");
    message.mutable_request()->add_events()->set_json(ingest::Fixture::Json("k", batch));
    other.Arrive(message.SerializeAsString());
    served.gateway.executor.RunFor(std::chrono::milliseconds(10));
    CHECK(other.reading == nullptr);
    REQUIRE(other.writing != nullptr);
    other.writing = nullptr;
    other.call->OnWriteDone(true);
  }
  other.call->OnDone();
  for (int64_t batch = 0; batch < served.sent; ++batch) CHECK(served.Take() == batch);
  served.Send(1);
  CHECK(served.transport.reading != nullptr);
}

TEST_CASE("answers that wait for their producer hold no requests and little of their own") {
  constexpr int kBatches = 60;
  constexpr int kEvents = 1'000;
  Served served({64, 8 << 20, 8 << 20, kAmple, kMinute});
  served.Send(kEvents);
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < kBatches; ++i) served.Send(kEvents);
  // The log lies in memory too: a block of a batch is smaller than its answer.
  CHECK(mallinfo2().uordblks - before < kBatches * kEvents * 2 * kResult);
}

TEST_CASE("a producer that takes no answer for a minute is cut off") {
  Served served({64, 8 << 20, 1 << 20, kAmple, kMinute});
  served.Send(1);
  served.gateway.executor.RunFor(std::chrono::seconds(50));
  served.Send(1);
  CHECK(served.Take() == 0);
  served.gateway.executor.RunFor(std::chrono::seconds(50));
  CHECK(served.cancelled == 0);
  served.gateway.executor.RunFor(std::chrono::seconds(20));
  CHECK(served.cancelled == 1);
  served.transport.call->OnWriteDone(false);
  REQUIRE(served.transport.finished);
  CHECK(served.transport.finished->error_code() == grpc::StatusCode::CANCELLED);
}

}  // namespace millrace::rpc
