#include "millrace/objectstore_s3/options.h"

#include <cstdlib>
#include <fstream>
#include <functional>
#include <vector>

#include "keychain.h"
#include "server.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace millrace;
using namespace millrace::objectstore_s3;
using From = Credentials::From;
using By = Encryption::By;

namespace {

Options Good() {
  Options options;
  options.endpoint = "https://store.example:9000";
  options.bucket = "bucket-1";
  options.credentials.from = From::kValues;
  options.credentials.access_key = "access";
  options.credentials.secret_key = "secret";
  return options;
}

}  // namespace

TEST_CASE("options of S3 that cannot work are refused, and the message names one of them") {
  struct Case {
    std::string option;
    std::function<void(Options&)> change;
  };
  const std::vector<Case> cases = {
      {"endpoint", [](Options& o) { o.endpoint = "store.example:9000"; }},
      {"endpoint", [](Options& o) { o.endpoint = "ftp://store.example"; }},
      {"endpoint", [](Options& o) { o.endpoint = "https://"; }},
      {"endpoint", [](Options& o) { o.endpoint = "https://store.example/bucket"; }},
      {"endpoint", [](Options& o) { o.endpoint = "https://user@store.example"; }},
      {"region", [](Options& o) { o.endpoint = ""; }},
      {"ca_file",
       [](Options& o) {
         o.endpoint = "http://store.example";
         o.ca_file = "/ca.pem";
       }},
      {"bucket", [](Options& o) { o.bucket = ""; }},
      {"bucket", [](Options& o) { o.bucket = "Bucket"; }},
      {"bucket", [](Options& o) { o.bucket = "a/b"; }},
      {"bucket", [](Options& o) { o.bucket = "-bucket"; }},
      {"bucket", [](Options& o) { o.bucket = std::string(64, 'b'); }},
      {"prefix", [](Options& o) { o.prefix = "no-slash"; }},
      {"prefix", [](Options& o) { o.prefix = "/a/"; }},
      {"prefix", [](Options& o) { o.prefix = std::string(300, 'p') + "/"; }},
      {"access_key", [](Options& o) { o.credentials.access_key = ""; }},
      {"secret_key", [](Options& o) { o.credentials.secret_key = ""; }},
      {"credentials", [](Options& o) { o.credentials.from = From::kSdkChain; }},
      {"credentials", [](Options& o) { o.credentials.secret_key_file = "/f"; }},
      {"access_key_file",
       [](Options& o) {
         o.credentials = {};
         o.credentials.from = From::kFiles;
         o.credentials.secret_key_file = "/f";
       }},
      {"secret_key_file",
       [](Options& o) {
         o.credentials = {};
         o.credentials.from = From::kFiles;
         o.credentials.access_key_file = "/f";
       }},
      {"kms_key_id", [](Options& o) { o.encryption.kms_key_id = "k"; }},
      {"customer_key_file", [](Options& o) { o.encryption.by = By::kCustomerKey; }},
      {"customer_key_file", [](Options& o) { o.encryption.customer_key_file = "/k"; }},
      {"endpoint",
       [](Options& o) {
         o.endpoint = "http://store.example";
         o.encryption = {By::kCustomerKey, "", "/k"};
       }},
      {"threads", [](Options& o) { o.threads = 0; }},
      {"try_timeout", [](Options& o) { o.try_timeout = std::chrono::milliseconds(5); }},
  };
  REQUIRE(Check(Good()).ok());
  for (const Case& c : cases) {
    Options options = Good();
    c.change(options);
    const Status checked = Check(options);
    INFO(c.option);
    REQUIRE_FALSE(checked.ok());
    CHECK(checked.error().code == Code::kInvalidArgument);
    INFO(checked.error().message);
    CHECK(checked.error().message.find("option=" + c.option) != std::string::npos);
    CHECK(checked.error().message.find("secret=") == std::string::npos);
  }
}

TEST_CASE("a bucket is named in the path of an address, and on AWS in the host") {
  Options options = Good();
  const auto address = [&] {
    const Server server = ServerOf(options);
    return server.scheme + "://" + server.host +
           (server.bucket_in_path ? "/" + options.bucket : "");
  };
  CHECK(address() == "https://store.example:9000/bucket-1");
  options.addressing = Addressing::kVirtualHost;
  CHECK(address() == "https://bucket-1.store.example:9000");
  options.addressing = Addressing::kAuto;
  options.endpoint = "";
  options.region = "eu-central-1";
  CHECK(address() == "https://bucket-1.s3.eu-central-1.amazonaws.com");
  options.bucket = "a.bucket";
  CHECK(address() == "https://s3.eu-central-1.amazonaws.com/a.bucket");
  options.endpoint = "http://[::1]:9000";
  CHECK(address() == "http://[::1]:9000/a.bucket");
}

TEST_CASE("checksums that other stores refuse are sent to AWS only, unless told otherwise") {
  Options options = Good();
  CHECK_FALSE(IsAws(options));
  options.endpoint = "https://amazonaws.com.store.example";
  CHECK_FALSE(IsAws(options));
  options.endpoint = "https://s3.eu-central-1.amazonaws.com:443";
  CHECK(IsAws(options));
  options.endpoint = "";
  CHECK(IsAws(options));
}

TEST_CASE("keys come from files, which may change, or from the environment, or there are none") {
  const test::TempDir dir;
  Credentials credentials;
  credentials.from = From::kFiles;
  credentials.access_key_file = dir.Sub("access");
  credentials.secret_key_file = dir.Sub("secret");
  Keychain files(credentials);
  CHECK(files.Get().error().code == Code::kInvalidArgument);
  CHECK(files.Get().error().message.find(dir.Sub("access")) != std::string::npos);
  std::ofstream(dir.Sub("access")) << "one\n";
  std::ofstream(dir.Sub("secret")) << "two \r\n";
  CHECK(files.Get().value().access_key == "one");
  CHECK(files.Get().value().secret_key == "two");
  std::ofstream(dir.Sub("access")) << "three";
  CHECK(files.Get().value().access_key == "one");
  files.Forget();
  CHECK(files.Get().value().access_key == "three");

  credentials = {};
  credentials.from = From::kEnvironment;
  unsetenv("AWS_ACCESS_KEY_ID");
  CHECK(Keychain(credentials).Get().error().message.find("AWS_ACCESS_KEY_ID") != std::string::npos);
  setenv("AWS_ACCESS_KEY_ID", "a", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "b", 1);
  setenv("AWS_SESSION_TOKEN", "c", 1);
  CHECK(Keychain(credentials).Get().value().session_token == "c");
  // The SDK looks there too, and then into the files of its profiles.
  std::ofstream(dir.Sub("profiles"))
      << "[default]\naws_access_key_id = d\naws_secret_access_key = e\n";
  setenv("AWS_SHARED_CREDENTIALS_FILE", dir.Sub("profiles").c_str(), 1);
  credentials.from = From::kSdkChain;
  CHECK(Keychain(credentials).Get().value().secret_key == "b");
  for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})
    unsetenv(name);
  CHECK(Keychain(credentials).Get().value().access_key == "d");
}
