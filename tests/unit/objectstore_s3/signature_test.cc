#include "signature.h"

#include "support/catch.h"

using namespace millrace;
using namespace millrace::objectstore_s3;

namespace {

/// The keys, the day and the bucket of the examples in the Amazon S3 API Reference, "Authenticating
/// Requests: Using the Authorization Header".
const Keys kKeys{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const Micros kTime = ParseTimestamp("2013-05-24T00:00:00Z").value();

std::string SignatureOf(Signed request) {
  request.headers["host"] = "examplebucket.s3.amazonaws.com";
  request.headers["x-amz-date"] = BasicTimestamp(kTime);
  request.headers["x-amz-content-sha256"] = request.body_sha256;
  const std::string value = Authorization(request, kKeys, "us-east-1", kTime);
  return value.substr(value.rfind('=') + 1);
}

}  // namespace

TEST_CASE("requests are signed as the examples of S3's reference are") {
  CHECK(SignatureOf({"GET", "/test.txt", {}, {{"range", "bytes=0-9"}}, kEmpty}) ==
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  CHECK(SignatureOf({"PUT",
                     "/" + PercentEncoded("test$file.text", true),
                     {},
                     {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                      {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                     "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"}) ==
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  CHECK(SignatureOf({"GET", "/", {{"lifecycle", ""}}, {}, kEmpty}) ==
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  CHECK(SignatureOf({"GET", "/", {{"prefix", "J"}, {"max-keys", "2"}}, {}, kEmpty}) ==
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST_CASE(
    "what a signature says of itself names the day, the region and the headers that it covers") {
  Signed request{"GET", "/", {}, {{"host", "h"}, {"x-amz-date", "d"}}, kEmpty};
  const std::string value = Authorization(request, kKeys, "eu-west-1", kTime);
  CHECK(value.substr(0, value.rfind('=')) ==
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/eu-west-1/s3/aws4_request,"
        "SignedHeaders=host;x-amz-date,Signature");
}

TEST_CASE("every byte that an address may not hold is encoded, in upper case") {
  CHECK(PercentEncoded("a/b c+d=é~-._", true) == "a/b%20c%2Bd%3D%C3%A9~-._");
  CHECK(PercentEncoded("a/b", false) == "a%2Fb");
  CHECK(QueryText({{"prefix", "x&y"}, {"list-type", "2"}, {"uploads", ""}}) ==
        "list-type=2&prefix=x%26y&uploads=");
}
