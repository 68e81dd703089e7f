#include <atomic>
#include <chrono>
#include <thread>

#include "contract/object_store_contract.h"
#include "millrace/objectstore_s3/s3_object_store.h"
#include "support/s3_server.h"

using namespace millrace;
using objectstore_s3::S3ObjectStore;

namespace {

struct Client {
  explicit Client(objectstore_s3::Options options)
      : store(S3ObjectStore::Open(std::move(options)).value()) {}

  auto Run(auto task) { return executor.RunUntilDone(std::move(task)); }
  Status Put(const std::string& key, std::string bytes) {
    return Run(store->Put(key, Buffer::Own(std::move(bytes))));
  }
  /// Every call of the port, each with the error that it gives.
  std::vector<Error> Errors(bool delete_may_succeed = false) {
    std::vector<Error> errors;
    const auto note = [&](const auto& result, bool may_succeed = false) {
      INFO(errors.size());
      if (!may_succeed) CHECK_FALSE(result.ok());
      if (!result.ok()) errors.push_back(result.error());
    };
    note(Put("a/b", "x"));
    note(Run(store->Get("a/b")));
    note(Run(store->PutFrom("a/b", std::make_shared<BufferSource>(Buffer::Own("x")))));
    note(Run(store->GetTo("a/b", std::make_shared<test::Collected>())));
    note(Run(store->Stat("a/b")));
    note(Run(store->List("a/", "", 10)));
    note(Run(store->ListFolders("", "", 10)));
    note(Run(store->Delete("a/b")), delete_may_succeed);
    return errors;
  }

  test::TestExecutor executor{std::chrono::seconds(60)};
  std::unique_ptr<S3ObjectStore> store;
};

void CheckUnavailable(const std::vector<Error>& errors, const std::string& reason) {
  for (const Error& error : errors) {
    INFO(error.message);
    CHECK(error.code == Code::kUnavailable);
    CHECK(error.message.find(reason) != std::string::npos);
    CHECK(error.message.find("no/secret") == std::string::npos);
  }
}

}  // namespace

TEST_CASE("a store that cannot be used is no store without objects, and says what to change") {
  if (test::S3Server::Skip()) return;
  const test::S3Server server;
  CHECK(Client(server.options()).Put("a/b", "x").ok());
  CHECK([&] {
    Client client(server.options());
    return client.Run(client.store->Probe());
  }()
            .ok());

  objectstore_s3::Options options = server.options();
  std::string reason;
  SECTION("the bucket is not there") {
    options.bucket = "another";
    reason = "the bucket does not exist";
  }
  SECTION("the access key is unknown") {
    options.credentials.access_key = "nobody";
    reason = "does not know the access key";
  }
  SECTION("the secret key is wrong") {
    options.credentials.secret_key = "guess";
    reason = "the secret key is wrong";
  }
  SECTION("there are no keys") {
    options.credentials = {};
    options.credentials.from = objectstore_s3::Credentials::From::kFiles;
    options.credentials.access_key_file = options.credentials.secret_key_file = "/nowhere/key";
    reason = "/nowhere/key";
  }
  Client client(options);
  const Status probed = client.Run(client.store->Probe());
  REQUIRE_FALSE(probed.ok());
  CHECK(probed.error().code == Code::kInvalidArgument);
  CheckUnavailable({Unavailable(probed.error().message)}, reason);
  // s3proxy acknowledges to delete from a bucket that is not there.
  const bool lax = test::S3Server::kKind == test::S3Server::Kind::kS3Proxy;
  CheckUnavailable(client.Errors(lax && options.bucket == "another"), reason);
}

TEST_CASE("a certificate counts only if the configured CA signed it") {
  if (test::S3Server::Skip()) return;
  static const test::Certificates certificates;
  const test::S3Server server(&certificates);
  Client good(server.options());
  REQUIRE(good.Put("a/b", "x").ok());
  CHECK(good.Run(good.store->Get("a/b")).value().bytes == "x");

  objectstore_s3::Options options = server.options();
  options.ca_file = GENERATE(as<std::string>(), "", "other-ca.pem");
  if (!options.ca_file.empty()) options.ca_file = certificates.File(options.ca_file);
  Client client(options);
  CHECK(client.Run(client.store->Probe()).error().code == Code::kInvalidArgument);
  CheckUnavailable(client.Errors(), "a certificate that is not trusted");
  options.ca_file = "/nowhere/ca.pem";
  Client without(options);
  CheckUnavailable(without.Errors(), "the file of CA certificates cannot be read");
}

TEST_CASE("a server that is away is said to be, and used again when it is back") {
  if (test::S3Server::Skip()) return;
  test::S3Server server;
  Client client(server.options());
  REQUIRE(client.Put("a/b", "x").ok());
  server.Kill();
  CheckUnavailable(client.Errors(), "takes no connection");
  CHECK(client.Run(client.store->Probe()).error().code == Code::kUnavailable);
  server.Start();
  CHECK(client.Run(client.store->Get("a/b")).value().bytes == "x");
  CHECK(client.Put("a/b", "y").ok());
}

TEST_CASE("calls to a server that hangs end, whatever it keeps, and those to come end at once") {
  if (test::S3Server::Skip()) return;
  const test::S3Server server;
  objectstore_s3::Options options = server.options();
  options.threads = 2;
  options.try_timeout = std::chrono::milliseconds(1'000);
  Client client(options);
  REQUIRE(client.Put("c/d", "x").ok());
  server.Pause();
  for (const Error& error : client.Errors()) {
    INFO(error.message);
    CHECK(error.code == Code::kUnavailable);
    CHECK(error.message.find("did not answer in time") != std::string::npos);
  }
  server.Resume();
  // What was given up may land now, so another key is looked at.
  CHECK(client.Run(client.store->Get("c/d")).value().bytes == "x");
}

TEST_CASE("a server that is killed while objects are put keeps those that it acknowledged, whole") {
  if (test::S3Server::Skip()) return;
  test::S3Server server;
  objectstore_s3::Options options = server.options();
  options.try_timeout = std::chrono::seconds(2);
  // The size says which object it is, and every part of it that it is whole.
  const auto bytes_of = [](int n) {
    const size_t size = n % 5 == 0 ? (9 << 20) + static_cast<size_t>(n) : 200'000;
    return std::string(size, static_cast<char>('a' + n % 20));
  };
  std::set<int> acknowledged;
  int n = 0;
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> puts = 0;
    std::atomic<bool> killed = false;
    // It dies in the middle of puts, wherever they stand by then.
    std::thread killer([&] {
      while (puts < 5) std::this_thread::yield();
      server.Kill();
      killed = true;
    });
    Client client(options);
    for (int failed = 0; failed == 0 || !killed; ++n) {
      const Status put = client.Put("k/" + std::to_string(n), bytes_of(n));
      if (put.ok()) acknowledged.insert(n);
      if (!put.ok()) ++failed;
      ++puts;
    }
    killer.join();
    server.Start();
  }
  Client client(server.options());
  size_t found = 0;
  for (const ObjectInfo& object : client.Run(test::ListAll(client.store.get(), "k/")).value()) {
    const int number = std::stoi(object.key.substr(2));
    INFO(object.key);
    CHECK((client.Run(client.store->Get(object.key)).value().bytes == bytes_of(number)));
    found += acknowledged.count(number);
  }
  CHECK(found == acknowledged.size());
  CHECK(acknowledged.size() >= 12);
}
