#include <fstream>

#include "contract/object_store_contract.h"
#include "millrace/objectstore_s3/s3_object_store.h"
#include "support/s3_server.h"

using namespace millrace;
using objectstore_s3::Checksum;
using objectstore_s3::S3ObjectStore;

namespace {

constexpr bool kIsVersityGw = test::S3Server::kKind == test::S3Server::Kind::kVersityGw;

/// That of all cases: each begins without objects.
const test::S3Server& Server() {
  static const test::S3Server server;
  return server;
}

struct Fixture {
  auto Run(auto task) { return executor.RunUntilDone(std::move(task)); }

  explicit Fixture(objectstore_s3::Options options)
      : store(S3ObjectStore::Open(std::move(options)).value()) {
    for (const ObjectInfo& object : Run(test::ListAll(store.get(), "")).value())
      REQUIRE(Run(store->Delete(object.key)).ok());
  }
  Status Put(const std::string& key, std::string bytes) {
    return Run(store->Put(key, Buffer::Own(std::move(bytes))));
  }

  test::TestExecutor executor{std::chrono::seconds(60)};
  std::unique_ptr<S3ObjectStore> store;
};

/// Bytes of which no two pieces are alike.
std::string Counting(size_t size) {
  std::string bytes;
  for (uint64_t i = 0; bytes.size() < size; ++i) bytes += std::to_string(i) + ",";
  bytes.resize(size);
  return bytes;
}

/// Gives what it holds in pieces of an odd size.
class Pieces : public ByteSource {
 public:
  explicit Pieces(std::string bytes) : bytes_(std::move(bytes)) {}
  Result<std::string> Read(size_t limit) override {
    const std::string piece = bytes_.substr(at_, std::min<size_t>(limit, 700'001));
    at_ += piece.size();
    if (piece.empty() && breaks) return Corruption("broken");
    return piece;
  }
  bool breaks = false;

 private:
  const std::string bytes_;
  size_t at_ = 0;
};

}  // namespace

TEST_CASE("objects in a bucket keep the contract of object stores") {
  if (test::S3Server::Skip()) return;
  Fixture f(Server().options());
  test::CheckObjectStoreContract(f.executor, *f.store);
}

TEST_CASE("objects below a prefix of a bucket keep the contract, with checksums that stay") {
  if (test::S3Server::Skip()) return;
  objectstore_s3::Options options = Server().options();
  options.prefix = "of/one cluster/";
  if (kIsVersityGw) options.checksum = Checksum::kWhenSupported;
  Fixture f(options);
  test::CheckObjectStoreContract(f.executor, *f.store);
  CHECK(f.store->AddressOf("a/*.parquet") == "s3://bucket/of/one cluster/a/*.parquet");
}

TEST_CASE("objects of any size are put and read whole") {
  if (test::S3Server::Skip()) return;
  objectstore_s3::Options options = Server().options();
  options.checksum = kIsVersityGw ? Checksum::kWhenSupported : Checksum::kAuto;
  Fixture f(options);
  constexpr size_t kPiece = 8 << 20;
  for (const size_t size :
       {size_t{0}, size_t{1}, kPiece - 1, kPiece, kPiece + 1, 2 * kPiece, 2 * kPiece + 12'345}) {
    INFO(size);
    const std::string bytes = Counting(size);
    REQUIRE(f.Run(f.store->PutFrom("a/big", std::make_shared<Pieces>(bytes))).ok());
    CHECK(f.Run(f.store->Stat("a/big")).value().size == static_cast<int64_t>(size));
    const auto sink = std::make_shared<test::Collected>();
    REQUIRE(f.Run(f.store->GetTo("a/big", sink)).ok());
    CHECK((sink->bytes == bytes));
    CHECK(sink->finished);
  }
  // In parts too, what fails leaves the object that was there.
  const auto broken = std::make_shared<Pieces>(Counting(2 * kPiece));
  broken->breaks = true;
  CHECK(f.Run(f.store->PutFrom("a/big", broken)).error().message == "broken");
  CHECK(f.Run(f.store->Stat("a/big")).value().size == 2 * kPiece + 12'345);
  CHECK(f.Run(f.store->List("", "", 10)).value().size() == 1);
}

TEST_CASE("keys may have any characters but control characters") {
  if (test::S3Server::Skip()) return;
  Fixture f(Server().options());
  const std::vector<std::string> keys = {"a b",
                                         "a+b",
                                         "a%2Fb",
                                         "a&b=c",
                                         "a'b\"c",
                                         "a<b>c",
                                         "a?b#c",
                                         "a;b,c:d@e",
                                         "a\\b",
                                         "a|b",
                                         "a~b",
                                         "\xc3\xa9/\xe2\x82\xac",
                                         "v@17/date=2001-01-01/x",
                                         "*",
                                         "a{b}",
                                         "a[b]",
                                         "$",
                                         "(a)",
                                         "a!b",
                                         "a`b",
                                         "a^b"};
  for (const std::string& key : keys) {
    INFO(key);
    REQUIRE(f.Put(key, key).ok());
    CHECK(f.Run(f.store->Get(key)).value().bytes == key);
    CHECK(f.Run(f.store->Stat(key)).value().key == key);
    CHECK(f.Run(f.store->List(key, "", 1)).value().at(0).key == key);
  }
  std::set<std::string> listed;
  for (const ObjectInfo& o : f.Run(test::ListAll(f.store.get(), "")).value()) listed.insert(o.key);
  CHECK(listed == std::set<std::string>(keys.begin(), keys.end()));
  for (const std::string& key : keys) REQUIRE(f.Run(f.store->Delete(key)).ok());
  CHECK(f.Run(f.store->List("", "", 1)).value().empty());
}

TEST_CASE("a list goes on over the pages of a store, and past what is no object of ours") {
  if (test::S3Server::Skip()) return;
  Fixture f(Server().options());
  // As other programs put them: there without a request for each.
  constexpr int kObjects = 2'300;
  std::filesystem::create_directories(Server().FileOf("many/zz"));
  std::vector<std::string> wanted;
  for (int i = 0; i < kObjects; ++i) {
    const std::string name = "many/" + std::to_string(100'000 + i) + (i % 2 == 0 ? "" : "/x");
    std::filesystem::create_directories(std::filesystem::path(Server().FileOf(name)).parent_path());
    std::ofstream(Server().FileOf(name)) << "x";
    wanted.push_back(name);
  }
  for (const char* name : {"many/.hidden", "many/zz/.hidden"})
    std::ofstream(Server().FileOf(name)) << "x";
  std::vector<std::string> listed;
  for (const ObjectInfo& o : f.Run(test::ListAll(f.store.get(), "many/")).value())
    listed.push_back(o.key);
  CHECK(listed == wanted);
  std::vector<std::string> folders;
  for (std::string after;;) {
    const auto page = f.Run(f.store->ListFolders("many/", after, kMaxObjectsListed)).value();
    folders.insert(folders.end(), page.begin(), page.end());
    if (page.size() < kMaxObjectsListed) break;
    after = page.back();
  }
  // The folder zz holds nothing that is a key.
  CHECK(folders.size() == kObjects / 2);
  CHECK(folders.front() == "many/100001/");
  CHECK(folders.back() == "many/102299/");
  std::filesystem::remove_all(Server().FileOf("many"));
}

TEST_CASE("a key below an object is told apart from a store that fails") {
  if (test::S3Server::Skip()) return;
  Fixture f(Server().options());
  REQUIRE(f.Put("x", "file").ok());
  const Status below = f.Put("x/y", "below");
  REQUIRE_FALSE(below.ok());
  // s3proxy has no words for it.
  if (kIsVersityGw) CHECK(below.error().code == Code::kInvalidArgument);
}
