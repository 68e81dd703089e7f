#include "server.h"

#include <algorithm>
#include <optional>

#include "millrace/base/facts.h"
#include "millrace/objectstore/object_key.h"

namespace millrace::objectstore_s3 {
namespace {

using From = Credentials::From;
using By = Encryption::By;

constexpr std::string_view kHttps = "https://";
constexpr std::string_view kHttp = "http://";
constexpr int kMaxThreads = 256;
/// So that a key of the port still fits behind it (1,024 bytes in all).
constexpr size_t kMaxPrefix = 256;

Error Wrong(std::string_view what, std::string_view option) {
  return InvalidArgument(what, {{"option", option}});
}

bool IsTls(const Options& o) { return o.endpoint.empty() || o.endpoint.starts_with(kHttps); }

/// The endpoint without its scheme; nothing: it has none.
std::optional<std::string> HostOf(const Options& o) {
  for (const std::string_view scheme : {kHttps, kHttp})
    if (o.endpoint.starts_with(scheme)) return o.endpoint.substr(scheme.size());
  return std::nullopt;
}

Status CheckServer(const Options& o) {
  if (o.endpoint.empty()) {
    if (o.region.empty()) return Wrong("AWS needs a region: name that of the bucket", "region");
    return {};
  }
  const auto host = HostOf(o);
  if (!host)
    return Wrong("an endpoint begins with https:// or http://, as http://127.0.0.1:9000",
                 "endpoint");
  if (host->empty() || host->find_first_of("/?#@ \t") != std::string::npos)
    return Wrong("an endpoint is a scheme, a host and perhaps a port, and nothing behind them",
                 "endpoint");
  if (!o.ca_file.empty() && !IsTls(o))
    return Wrong("a file of CA certificates is given but the endpoint has no TLS: use https://",
                 "ca_file");
  return {};
}

/// The names that S3 gives buckets today; some stores are laxer.
Status CheckBucket(const std::string& bucket) {
  const auto letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  const bool well = bucket.size() >= 3 && bucket.size() <= 63 && letter_or_digit(bucket.front()) &&
                    letter_or_digit(bucket.back()) &&
                    std::all_of(bucket.begin(), bucket.end(),
                                [&](char c) { return letter_or_digit(c) || c == '-' || c == '.'; });
  if (well) return {};
  return InvalidArgument(
      bucket.empty() ? "a bucket is needed: name one"
                     : "not a bucket's name: 3 to 63 lower-case letters, digits, - and ., with a "
                       "letter or digit at both ends",
      {{"option", "bucket"}, {"bucket", bucket.substr(0, 100)}});
}

Status CheckCredentials(const Credentials& c) {
  const bool values = !c.access_key.empty() || !c.secret_key.empty() || !c.session_token.empty();
  const bool files =
      !c.access_key_file.empty() || !c.secret_key_file.empty() || !c.session_token_file.empty();
  if (values && c.from != From::kValues)
    return Wrong("keys are given but are to come from elsewhere: leave them out, or use them",
                 "credentials");
  if (files && c.from != From::kFiles)
    return Wrong(
        "files with keys are given but keys are to come from elsewhere: leave them out, "
        "or use them",
        "credentials");
  if (c.from == From::kValues && c.access_key.empty())
    return Wrong("an access key is needed", "access_key");
  if (c.from == From::kValues && c.secret_key.empty())
    return Wrong("a secret key is needed", "secret_key");
  if (c.from == From::kFiles && c.access_key_file.empty())
    return Wrong("a file with the access key is needed", "access_key_file");
  if (c.from == From::kFiles && c.secret_key_file.empty())
    return Wrong("a file with the secret key is needed", "secret_key_file");
  return {};
}

Status CheckEncryption(const Options& o) {
  const Encryption& e = o.encryption;
  if (!e.kms_key_id.empty() && e.by != By::kKmsKey)
    return Wrong("a KMS key is given but is not to be used: choose kms, or leave it out",
                 "kms_key_id");
  if (e.customer_key_file.empty() != (e.by != By::kCustomerKey))
    return Wrong("encryption with a key of your own and the file with that key belong together",
                 "customer_key_file");
  if (e.by == By::kCustomerKey && !IsTls(o))
    return Wrong("a key of your own goes with each request, so it needs TLS: use https://",
                 "endpoint");
  return {};
}

}  // namespace

std::string RegionOf(const Options& o) { return o.region.empty() ? "us-east-1" : o.region; }

bool IsAws(const Options& o) {
  if (o.endpoint.empty()) return true;
  std::string host = HostOf(o).value_or("");
  host = host.substr(0, host.find(':'));
  return host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
}

Server ServerOf(const Options& o) {
  Server server{IsTls(o) ? "https" : "http",
                HostOf(o).value_or("s3." + RegionOf(o) + ".amazonaws.com"), true};
  // A certificate for *.host does not hold for a name with two more parts.
  const bool dot = o.bucket.find('.') != std::string::npos;
  server.bucket_in_path = o.addressing == Addressing::kPath ||
                          (o.addressing == Addressing::kAuto && (!IsAws(o) || dot));
  if (!server.bucket_in_path) server.host = o.bucket + "." + server.host;
  return server;
}

Status Check(const Options& o) {
  MILLRACE_TRY(CheckServer(o));
  MILLRACE_TRY(CheckBucket(o.bucket));
  if (!CheckObjectFolder(o.prefix).ok() || o.prefix.size() > kMaxPrefix)
    return Wrong(
        "a prefix of keys is parts that end in / each, as millrace/prod/, at most 256 bytes",
        "prefix");
  MILLRACE_TRY(CheckCredentials(o.credentials));
  MILLRACE_TRY(CheckEncryption(o));
  if (o.threads < 1 || o.threads > kMaxThreads) return Wrong("1 to 256 threads", "threads");
  if (o.try_timeout < std::chrono::milliseconds(100) || o.try_timeout > std::chrono::seconds(60))
    return Wrong("a try takes 100 ms to 60 s", "try_timeout");
  return {};
}

}  // namespace millrace::objectstore_s3
