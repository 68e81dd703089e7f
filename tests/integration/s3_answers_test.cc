#include <set>

#include "millrace/objectstore_s3/s3_object_store.h"
#include "support/catch.h"
#include "support/scripted_http.h"
#include "support/test_executor.h"

using namespace millrace;
using namespace millrace::objectstore_s3;

namespace {

constexpr size_t kPiece = 8 << 20;

std::string ErrorText(const std::string& code) {
  return "<Error><Code>" + code + "</Code><Message>said</Message></Error>";
}

std::string ListText(const std::vector<std::string>& keys, bool more = false) {
  std::string text = "<ListBucketResult><IsTruncated>";
  text += more ? "true" : "false";
  text += "</IsTruncated>";
  for (const std::string& key : keys)
    text += "<Contents><Key>" + key +
            "</Key><LastModified>2001-01-01T00:00:00.000Z</LastModified><Size>1</Size></Contents>";
  return text + "</ListBucketResult>";
}

/// A client of a server that says what the test wants.
struct World {
  World() : World([](Options&) {}) {}
  template <typename Change>
  explicit World(Change change) {
    Options options;
    options.endpoint = "http://127.0.0.1:" + std::to_string(server.port());
    options.bucket = "bucket";
    options.prefix = "our/";
    options.credentials.from = Credentials::From::kValues;
    options.credentials.access_key = "access";
    options.credentials.secret_key = "secret";
    options.threads = 2;
    change(options);
    store = S3ObjectStore::Open(options).value();
  }

  auto Run(auto task) { return executor.RunUntilDone(std::move(task)); }
  Status Put(std::string bytes = "x") {
    return Run(store->Put("a/b", Buffer::Own(std::move(bytes))));
  }
  Code CodeOfGet() { return Run(store->Get("a/b")).error().code; }

  test::ScriptedHttp server;
  test::TestExecutor executor{std::chrono::seconds(60)};
  std::unique_ptr<S3ObjectStore> store;
};

bool Holds(const test::ScriptedHttp::Request& request, const std::string& text) {
  return request.head.find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("an object is absent only if the store says NoSuchKey and lists the bucket without it") {
  World w;
  w.server.Answer(404, ErrorText("NoSuchKey"));
  w.server.Answer(200, ListText({}));
  CHECK(w.CodeOfGet() == Code::kNotFound);
  const auto requests = w.server.TakeRequests();
  REQUIRE(requests.size() == 2);
  CHECK(Holds(requests[0], "GET /bucket/our/a/b HTTP/1.1\r\n"));
  CHECK(Holds(requests[1], "GET /bucket/?list-type=2&max-keys=1&prefix=our%2Fa%2Fb HTTP/1.1\r\n"));

  // Longer keys that begin so do not matter, but the key itself does.
  w.server.Answer(404, ErrorText("NoSuchKey"));
  w.server.Answer(200, ListText({"our/a/b-c"}));
  CHECK(w.CodeOfGet() == Code::kNotFound);
  w.server.Answer(404, ErrorText("NoSuchKey"));
  w.server.Answer(200, ListText({"our/a/b"}));
  CHECK(w.CodeOfGet() == Code::kUnavailable);
  for (const char* code : {"AccessDenied", "NoSuchBucket", "NoSuchKey", "InternalError"}) {
    INFO(code);
    w.server.Answer(404, ErrorText("NoSuchKey"));
    w.server.Answer(404, ErrorText(code));
    CHECK(w.CodeOfGet() == Code::kUnavailable);
    w.server.Answer(404, ErrorText("NoSuchKey"));
    w.server.Answer(404, ErrorText(code));
    CHECK(w.Run(w.store->Delete("a/b")).error().code == Code::kUnavailable);
  }
  // A store behind a proxy, or one that does not know who asks.
  for (const std::string& body : {std::string(), std::string("<html>not found</html>"),
                                  ErrorText("NoSuchBucket"), ErrorText("XAdminUserNotFound")}) {
    INFO(body);
    w.server.Answer(404, body);
    CHECK(w.CodeOfGet() == Code::kUnavailable);
    w.server.Answer(404, body);
    CHECK(w.Run(w.store->Stat("a/b")).error().code == Code::kUnavailable);
    w.server.Answer(404, body);
    CHECK(w.Run(w.store->Delete("a/b")).error().code == Code::kUnavailable);
  }
}

TEST_CASE(
    "what may pass is tried twice, what will not once, and a store in trouble is left alone") {
  World w;
  for (const int status : {500, 503, 429}) {
    w.server.Answer(status, ErrorText("SlowDown"));
    w.server.Answer(200, "");
    CHECK(w.Put().ok());
    CHECK(w.server.TakeRequests().size() == 2);
  }
  w.server.Answer(403, ErrorText("AccessDenied"));
  CHECK(w.Put().error().code == Code::kUnavailable);
  CHECK(w.server.TakeRequests().size() == 1);
  // It has used three of ten, and got a tenth of one back for the refusal.
  size_t requests = 0;
  for (int i = 0; i < 20; ++i) {
    CHECK(w.Put().error().code == Code::kUnavailable);
    requests += w.server.TakeRequests().size();
  }
  CHECK(requests == 27);
}

TEST_CASE("a large object is read in pieces of one version") {
  World w;
  const std::string range = "Content-Range: bytes 0-8388607/8388610\r\nETag: \"one\"\r\n";
  w.server.Answer(206, std::string(kPiece, 'x'), range);
  w.server.Answer(206, "end", "Content-Range: bytes 8388608-8388610/8388611\r\nETag: \"one\"\r\n");
  CHECK(w.CodeOfGet() == Code::kUnavailable);  // it is longer than the first piece said
  auto requests = w.server.TakeRequests();
  REQUIRE(requests.size() == 2);
  CHECK(Holds(requests[0], "range: bytes=0-8388607\r\n"));
  CHECK_FALSE(Holds(requests[0], "if-match"));
  CHECK(Holds(requests[1], "range: bytes=8388608-16777215\r\n"));
  CHECK(Holds(requests[1], "if-match: \"one\"\r\n"));

  w.server.Answer(206, std::string(kPiece, 'x'), range);
  w.server.Answer(412, ErrorText("PreconditionFailed"));
  CHECK(w.CodeOfGet() == Code::kUnavailable);
  w.server.Answer(206, std::string(kPiece, 'x'), range);
  w.server.Answer(206, "en", "Content-Range: bytes 8388608-8388609/8388610\r\nETag: \"one\"\r\n");
  CHECK(w.Run(w.store->Get("a/b")).value().bytes == std::string(kPiece, 'x') + "en");

  // A store that does not know the condition.
  w.server.Answer(206, std::string(kPiece, 'x'), range);
  w.server.Answer(206, "en", "Content-Range: bytes 8388608-8388609/8388610\r\nETag: \"two\"\r\n");
  CHECK(w.CodeOfGet() == Code::kUnavailable);
  // Less than there is, more than was asked for, or another place than that.
  w.server.Answer(206, "x", range);
  CHECK(w.CodeOfGet() == Code::kUnavailable);
  w.server.Answer(206, std::string(kPiece, 'x'), "ETag: \"one\"\r\n");
  CHECK(w.CodeOfGet() == Code::kUnavailable);
  w.server.Answer(206, "x", "Content-Range: bytes 5-5/1\r\nETag: \"one\"\r\n");
  CHECK(w.CodeOfGet() == Code::kUnavailable);
  w.server.Answer(200, std::string(kPiece + 1, 'x'));
  w.server.Answer(200, std::string(kPiece + 1, 'x'));
  CHECK(w.CodeOfGet() == Code::kUnavailable);
}

TEST_CASE("an upload that is not completed is given up, also if the store said 200 first") {
  World w;
  const std::string bytes(kPiece + 5, 'x');
  w.server.Answer(200, "<R><UploadId>up&amp;1</UploadId></R>");
  w.server.Answer(200, "", "ETag: \"one\"\r\n");
  w.server.Answer(200, "", "ETag: \"two\"\r\n");
  const bool error_inside = GENERATE(false, true);
  w.server.Answer(200, error_inside ? ErrorText("InvalidPart") : "<Other/>");
  w.server.Answer(204, "");
  CHECK(w.Put(bytes).error().code == Code::kUnavailable);
  const auto requests = w.server.TakeRequests();
  REQUIRE(requests.size() == 5);
  CHECK(Holds(requests[0], "POST /bucket/our/a/b?uploads= HTTP/1.1\r\n"));
  CHECK(Holds(requests[1], "PUT /bucket/our/a/b?partNumber=1&uploadId=up%261 HTTP/1.1\r\n"));
  CHECK(requests[1].body.size() == kPiece);
  CHECK(requests[2].body == "xxxxx");
  CHECK(requests[3].body.find("<Part><PartNumber>2</PartNumber><ETag>\"two\"</ETag></Part>") !=
        std::string::npos);
  CHECK(Holds(requests[4], "DELETE /bucket/our/a/b?uploadId=up%261 HTTP/1.1\r\n"));
}

TEST_CASE("a list that is not what was asked for is no list") {
  World w;
  const auto code = [&](const std::string& list) {
    w.server.Answer(200, list);
    const auto found = w.Run(w.store->List("a/", "", 10));
    return found.ok() ? "ok" : std::string(CodeName(found.error().code));
  };
  CHECK(code(ListText({"our/a/b", "our/a/c"})) == "ok");
  CHECK(code(ListText({"our/a/c", "our/a/b"})) == "unavailable");
  CHECK(code(ListText({"our/b"})) == "unavailable");
  CHECK(code(ListText({"a/b"})) == "unavailable");
  CHECK(code(ListText({}, true)) == "unavailable");
  CHECK(code("<ListAllMyBucketsResult/>") == "unavailable");
  CHECK(code("<ListBucketResult><Contents><Key>our/a/b</Key></Contents></ListBucketResult>") ==
        "unavailable");
  CHECK(code(ListText({"our/a/b"}).substr(0, 150)) == "unavailable");
  CHECK(code("") == "unavailable");
  w.server.TakeRequests();
  w.server.Answer(200, ListText({"our/a/.x", "our/a/b", "our/a/marker/"}, true));
  w.server.Answer(200, ListText({"our/a/c"}));
  const auto found = w.Run(w.store->List("a/", "", 10)).value();
  REQUIRE(found.size() == 2);
  CHECK(found[1].key == "a/c");
  CHECK(Holds(w.server.TakeRequests().at(1), "start-after=our%2Fa%2Fmarker%2F"));
}

TEST_CASE("a folder in which only a marker is left is none, and the next one is jumped to") {
  World w;
  w.server.Answer(200, ListText({"our/a/", "our/a/x/", "our/a/y/1", "our/a/y/2"}, true));
  w.server.Answer(200, ListText({"our/a/z/1"}));
  CHECK(w.Run(w.store->ListFolders("a/", "", 10)).value() ==
        std::vector<std::string>{"a/y/", "a/z/"});
  const auto requests = w.server.TakeRequests();
  REQUIRE(requests.size() == 2);
  CHECK(Holds(requests[1], "start-after=our%2Fa%2Fy0"));
}

TEST_CASE("a put asks for the encryption and the checksum that are configured") {
  const auto head = [](auto change) {
    World w(change);
    w.server.Answer(200, "");
    REQUIRE(w.Put("123456789").ok());
    return w.server.TakeRequests().at(0).head;
  };
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  const std::string plain = head([](Options&) {});
  CHECK_FALSE(has(plain, "x-amz-server-side-encryption"));
  CHECK_FALSE(has(plain, "checksum"));
  CHECK_FALSE(has(plain, "x-amz-security-token"));
  CHECK(has(plain,
            "x-amz-content-sha256: "
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225\r\n"));
  CHECK(has(plain, "content-type: application/octet-stream\r\n"));
  CHECK_FALSE(has(plain, "secret"));
  CHECK(has(head([](Options& o) { o.checksum = Checksum::kWhenSupported; }),
            "x-amz-checksum-crc32c: 4waSgw==\r\n"));
  CHECK(has(head([](Options& o) { o.encryption.by = Encryption::By::kStoreKey; }),
            "x-amz-server-side-encryption: AES256\r\n"));
  const std::string kms =
      head([](Options& o) { o.encryption = {Encryption::By::kKmsKey, "key-1", ""}; });
  CHECK(has(kms, "x-amz-server-side-encryption: aws:kms\r\n"));
  CHECK(has(kms, "x-amz-server-side-encryption-aws-kms-key-id: key-1\r\n"));
  CHECK(has(kms,
            "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;"
            "x-amz-server-side-encryption;x-amz-server-side-encryption-aws-kms-key-id,"));
  CHECK(has(head([](Options& o) { o.credentials.session_token = "temporary"; }),
            "x-amz-security-token: temporary\r\n"));
}
