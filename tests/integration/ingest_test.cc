// Client, gRPC server, gateway and embedded log together.
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <set>
#include <thread>

#include "integration/ingest_cluster.h"
#include "millrace/client/client.h"
#include "millrace/ingest/v1/ingest.grpc.pb.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

StreamSpec Stream() {
  StreamSpec s;
  s.name = "s";
  s.columns = {
      {"ts", Type::kTimestamp, true}, {"k", Type::kText, false}, {"v", Type::kBigint, true}};
  s.event_time = 0;
  s.partition_key = 1;
  s.partitions = 4;
  s.topic = "default.s";
  return s;
}

std::string Json(int64_t v) {
  return R"({"ts":"2001-01-01T00:00:00Z","k":"k)" + std::to_string(v % 97) + R"(","v":)" +
         std::to_string(v) + "}";
}

ClientOptions OptionsFor(const std::string& address, const std::string& producer = "p1") {
  ClientOptions o;
  o.endpoints = {address};
  o.stream = "s";
  o.producer_id = producer;
  o.batch_events = 200;
  return o;
}

std::unique_ptr<Client> MakeClient(ClientOptions options) {
  return Client::Create(std::move(options)).value();
}

void PublishAll(Client* client, int64_t n, int64_t from = 0) {
  for (int64_t i = from; i < from + n; ++i) REQUIRE(client->Publish(Json(i)).value() == i);
}

/// Every sequence of [0, n) is in some partition; within each, first copies rise.
void CheckLog(test::GatewayProcess* gateway, int64_t n, size_t* copies) {
  std::set<int64_t> seen;
  *copies = 0;
  for (int32_t p = 0; p < Stream().partitions; ++p) {
    int64_t last_new = -1;
    const std::vector<int64_t> sequences = gateway->Sequences(Stream(), p)["p1"];
    for (const int64_t sequence : sequences) {
      ++*copies;
      if (!seen.insert(sequence).second) continue;
      CHECK(sequence > last_new);
      last_new = sequence;
    }
  }
  CHECK(seen.size() == static_cast<size_t>(n));
  CHECK((seen.empty() || *seen.rbegin() == n - 1));
}

}  // namespace

TEST_CASE("twenty thousand events are acknowledged once each and lie in the log in order") {
  const test::TempDir directory;
  test::GatewayProcess gateway(directory.Sub("log"), Stream());
  std::vector<EventReport> reports;
  ClientOptions options = OptionsFor(gateway.address());
  options.on_event = [&](const EventReport& r) { reports.push_back(r); };
  const auto client = MakeClient(options);
  PublishAll(client.get(), 20'000);
  REQUIRE(client->Flush(seconds(60)).ok());
  const ClientStats stats = client->Stats();
  CHECK(stats.acknowledged == 20'000);
  CHECK(stats.resent == 0);
  CHECK(stats.unsettled == 0);
  REQUIRE(reports.size() == 20'000);
  for (size_t i = 0; i < reports.size(); ++i) {
    CHECK(reports[i].outcome == Outcome::kAcknowledged);
    CHECK(reports[i].sequence == static_cast<int64_t>(i));
    CHECK(reports[i].offset >= 0);
  }
  size_t copies = 0;
  CheckLog(&gateway, 20'000, &copies);
  CHECK(copies == 20'000);
}

TEST_CASE("a gateway that dies and comes back loses nothing, and copies are only resent batches") {
  const test::TempDir directory;
  auto gateway = std::make_unique<test::GatewayProcess>(directory.Sub("log"), Stream());
  const std::string address = gateway->address();
  ClientOptions options = OptionsFor(address);
  options.retry_last = milliseconds(100);
  options.buffer_bytes = 256 << 10;
  const auto client = MakeClient(options);
  constexpr int64_t kEvents = 20'000;
  std::thread publisher([&] {
    for (int64_t i = 0; i < kEvents; ++i)
      if (!client->Publish(Json(i)).ok()) return;
  });
  int restarts = 0;
  for (int64_t after : {2'000, 8'000, 14'000}) {
    while (client->Stats().acknowledged < after) std::this_thread::yield();
    gateway->Kill();
    gateway.reset();
    gateway = std::make_unique<test::GatewayProcess>(directory.Sub("log"), Stream(), address);
    ++restarts;
  }
  publisher.join();
  REQUIRE(client->Flush(seconds(60)).ok());
  const ClientStats stats = client->Stats();
  CHECK(restarts == 3);
  CHECK(stats.acknowledged == kEvents);
  CHECK(stats.refused + stats.unknown == 0);
  CHECK(stats.resent > 0);
  size_t copies = 0;
  CheckLog(gateway.get(), kEvents, &copies);
  CHECK(copies <= static_cast<size_t>(kEvents + stats.resent));
}

TEST_CASE("events keep their order while the log refuses appends now and then") {
  const test::TempDir directory;
  constexpr int64_t kGood = 30;
  constexpr int64_t kBad = 3;
  ingest::Options small_blocks;
  small_blocks.block_bytes = 2'000;
  test::GatewayProcess gateway(directory.Sub("log"), Stream(), "127.0.0.1:0", {}, small_blocks,
                               [](int64_t n) { return n % (kGood + kBad) < kGood; });
  ClientOptions options = OptionsFor(gateway.address());
  options.retry_first = options.retry_last = milliseconds(1);
  const auto client = MakeClient(options);
  PublishAll(client.get(), 20'000);
  REQUIRE(client->Flush(seconds(120)).ok());
  CHECK(client->Stats().acknowledged == 20'000);
  CHECK(client->Stats().resent > 0);
  size_t copies = 0;
  CheckLog(&gateway, 20'000, &copies);
}

TEST_CASE("a client goes on with the next gateway") {
  const test::TempDir directory;
  test::GatewayProcess gateway(directory.Sub("log"), Stream());
  ClientOptions options = OptionsFor("127.0.0.1:1");
  options.endpoints.push_back(gateway.address());
  const auto client = MakeClient(options);
  PublishAll(client.get(), 10);
  CHECK(client->Flush(seconds(30)).ok());
  CHECK(client->Stats().acknowledged == 10);
}

TEST_CASE("refused events are reported with their reason, and the others are not held up") {
  const test::TempDir directory;
  test::GatewayProcess gateway(directory.Sub("log"), Stream());
  std::map<int64_t, EventReport> reports;
  ClientOptions options = OptionsFor(gateway.address());
  options.on_event = [&](const EventReport& r) { reports[r.sequence] = r; };
  const auto client = MakeClient(options);
  REQUIRE(client->Publish(Json(1)).ok());
  REQUIRE(client->Publish("{broken").ok());
  REQUIRE(client->Publish(std::string("{\"k\":\"\xff\"}")).ok());
  REQUIRE(client->Publish(std::string(2'000'000, ' ')).ok());
  REQUIRE(client->Publish(Json(2), "another key").ok());
  CHECK(client->Skip() == 5);
  REQUIRE(client->Publish(Json(3)).ok());
  REQUIRE(client->Flush(seconds(30)).ok());
  CHECK(reports.size() == 6);
  CHECK(reports[0].outcome == Outcome::kAcknowledged);
  for (const auto& [sequence, reason] : std::map<int64_t, std::string>{
           {1, "UNREADABLE"}, {2, "UNREADABLE"}, {3, "EVENT_TOO_LARGE"}, {4, "KEY_MISMATCH"}}) {
    CHECK(reports[sequence].outcome == Outcome::kRefused);
    CHECK(reports[sequence].reason == reason);
    CHECK(!reports[sequence].message.empty());
  }
  CHECK(reports[6].outcome == Outcome::kAcknowledged);
  CHECK(client->Stats().refused == 4);
}

TEST_CASE("an unknown stream makes the client fail, and tells why") {
  const test::TempDir directory;
  test::GatewayProcess gateway(directory.Sub("log"), Stream());
  std::vector<EventReport> reports;
  ClientOptions options = OptionsFor(gateway.address());
  options.stream = "other";
  options.on_event = [&](const EventReport& r) { reports.push_back(r); };
  const auto client = MakeClient(options);
  REQUIRE(client->Publish(Json(1)).ok());
  const Status flushed = client->Flush(seconds(30));
  REQUIRE(!flushed.ok());
  CHECK(flushed.error().code == Code::kNotFound);
  CHECK(flushed.error().message.find("stream=other") != std::string::npos);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].outcome == Outcome::kRefused);
  CHECK(reports[0].reason == "UNKNOWN_STREAM");
  CHECK(!client->Publish(Json(2)).ok());
}

TEST_CASE("without a server events wait; with a deadline they are given up") {
  ClientOptions options = OptionsFor("127.0.0.1:1");
  std::vector<EventReport> reports;
  options.on_event = [&](const EventReport& r) { reports.push_back(r); };
  SECTION("no deadline") {
    {
      const auto client = MakeClient(options);
      REQUIRE(client->Publish(Json(1)).ok());
      const Status flushed = client->Flush(milliseconds(300));
      REQUIRE(!flushed.ok());
      CHECK(flushed.error().code == Code::kUnavailable);
      CHECK(flushed.error().message.find("server=127.0.0.1:1") != std::string::npos);
      CHECK(reports.empty());
    }
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].outcome == Outcome::kUnknown);
    CHECK(reports[0].reason == "CLIENT_CLOSED");
  }
  SECTION("a deadline") {
    options.give_up_after = milliseconds(200);
    const auto client = MakeClient(options);
    REQUIRE(client->Publish(Json(1)).ok());
    CHECK(client->Flush(seconds(30)).ok());
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].reason == "DEADLINE_EXCEEDED");
  }
}

TEST_CASE("events are given up in time though a write is held up") {
  /// Takes calls and reads nothing.
  class Deaf final : public ingest::v1::Ingest::Service {
   public:
    grpc::Status PublishStream(
        grpc::ServerContext* context,
        grpc::ServerReaderWriter<ingest::v1::PublishStreamReply, ingest::v1::PublishStreamRequest>*)
        override {
      while (!context->IsCancelled()) std::this_thread::yield();
      return grpc::Status::CANCELLED;
    }
  } deaf;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&deaf);
  const auto server = builder.BuildAndStart();
  std::atomic<int> reports{0};
  ClientOptions options = OptionsFor("127.0.0.1:" + std::to_string(port));
  options.give_up_after = milliseconds(500);
  options.on_event = [&](const EventReport& r) { reports += r.reason == "DEADLINE_EXCEEDED"; };
  const auto client = MakeClient(options);
  constexpr int kEvents = 40;
  const std::string large = Json(1).insert(1, "\"x\":\"" + std::string(300'000, 'x') + "\",");
  for (int i = 0; i < kEvents; ++i) REQUIRE(client->Publish(large).ok());
  CHECK(client->Flush(seconds(60)).ok());
  CHECK(reports == kEvents);
}

TEST_CASE("a producer that starts again with its identity only repeats numbers") {
  const test::TempDir directory;
  test::GatewayProcess gateway(directory.Sub("log"), Stream());
  for (int run = 0; run < 2; ++run) {
    const auto client = MakeClient(OptionsFor(gateway.address()));
    PublishAll(client.get(), 500);
    REQUIRE(client->Flush(seconds(30)).ok());
  }
  size_t copies = 0;
  CheckLog(&gateway, 500, &copies);
  CHECK(copies == 1'000);
}

TEST_CASE("a full gateway slows clients down and loses nothing") {
  const test::TempDir directory;
  ingest::Options tight;
  tight.in_flight_bytes = 40'000;
  tight.retry_after = milliseconds(5);
  test::GatewayProcess gateway(directory.Sub("log"), Stream(), "127.0.0.1:0", {}, tight);
  ClientOptions options = OptionsFor(gateway.address());
  options.retry_first = milliseconds(1);
  options.retry_last = milliseconds(10);
  const auto client = MakeClient(options);
  PublishAll(client.get(), 5'000);
  REQUIRE(client->Flush(seconds(60)).ok());
  CHECK(client->Stats().acknowledged == 5'000);
  CHECK(gateway.metrics().Value("millrace_gateway_backpressure_total{reason=\"in_flight_bytes\"}") >
        0);
  size_t copies = 0;
  CheckLog(&gateway, 5'000, &copies);
}

TEST_CASE("a client waits as long as a full gateway asks it to, however short its own delays are") {
  const test::TempDir directory;
  ingest::Options full;
  full.in_flight_bytes = 1;
  full.linger = std::chrono::hours(1);
  full.retry_after = std::chrono::hours(1);
  test::GatewayProcess gateway(directory.Sub("log"), Stream(), "127.0.0.1:0", {}, full);
  const auto holder = MakeClient(OptionsFor(gateway.address(), "p2"));
  REQUIRE(holder->Publish(Json(1)).ok());
  while (gateway.metrics().Value("millrace_gateway_in_flight_bytes") == 0)
    std::this_thread::yield();

  std::vector<EventReport> reports;
  ClientOptions options = OptionsFor(gateway.address());
  options.on_event = [&](const EventReport& r) { reports.push_back(r); };
  options.retry_first = options.retry_last = milliseconds(1);
  options.give_up_after = seconds(2);
  const auto client = MakeClient(options);
  REQUIRE(client->Publish(Json(1)).ok());
  REQUIRE(client->Flush(seconds(60)).ok());
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].reason == "DEADLINE_EXCEEDED");
  CHECK(gateway.metrics().Value(
            "millrace_gateway_backpressure_total{reason=\"in_flight_bytes\"}") == 1);
}

TEST_CASE("a client whose stream has too many new producers waits and loses nothing") {
  const test::TempDir directory;
  ingest::Options tight;
  tight.new_producers = 1;
  tight.new_producer_interval = milliseconds(300);
  test::GatewayProcess gateway(directory.Sub("log"), Stream(), "127.0.0.1:0", {}, tight);
  std::vector<std::unique_ptr<Client>> clients;
  for (const char* id : {"p1", "p2", "p3"}) {
    clients.push_back(MakeClient(OptionsFor(gateway.address(), id)));
    PublishAll(clients.back().get(), 1'000);
  }
  for (const auto& client : clients) {
    REQUIRE(client->Flush(seconds(60)).ok());
    CHECK(client->Stats().acknowledged == 1'000);
  }
  CHECK(gateway.metrics().Value("millrace_gateway_backpressure_total{reason=\"producers\"}") > 0);
  size_t copies = 0;
  CheckLog(&gateway, 1'000, &copies);
}

TEST_CASE("a server that drains answers what it has read and takes nothing new") {
  const test::TempDir directory;
  test::GatewayProcess gateway(directory.Sub("log"), Stream());
  const auto client = MakeClient(OptionsFor(gateway.address()));
  PublishAll(client.get(), 100);
  REQUIRE(client->Flush(seconds(30)).ok());
  const auto started = std::chrono::steady_clock::now();
  gateway.server().Stop(seconds(20));
  CHECK(std::chrono::steady_clock::now() - started < seconds(10));
  REQUIRE(client->Publish(Json(100)).ok());
  CHECK(!client->Flush(milliseconds(200)).ok());
}

TEST_CASE("a port in use and an address that is none are told clearly") {
  const test::TempDir directory;
  test::GatewayProcess gateway(directory.Sub("log"), Stream());
  rpc::ServerOptions options;
  options.listen = gateway.address();
  const auto second = rpc::Server::Start(options, {});
  REQUIRE(!second.ok());
  CHECK(second.error().code == Code::kUnavailable);
  CHECK(second.error().message.find("another process listens there") != std::string::npos);
  CHECK(second.error().message.find(gateway.address()) != std::string::npos);
  options.listen = "nonsense";
  CHECK(rpc::Server::Start(options, {}).error().code == Code::kInvalidArgument);
}

}  // namespace millrace
