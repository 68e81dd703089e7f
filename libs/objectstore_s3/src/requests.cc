#include "requests.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <thread>

#include "millrace/base/check.h"
#include "millrace/base/sha256.h"
#include "server.h"
#include "xml.h"

namespace millrace::objectstore_s3 {
namespace {

constexpr int kTries = 2;
constexpr std::chrono::milliseconds kPause{100};
/// As RetryingObjectStore's: a store in trouble is asked no more than before.
constexpr double kBudget = 10;
constexpr double kGivenBack = 0.1;
/// For what the thread does beside the exchange.
constexpr std::chrono::milliseconds kSlack{1'000};
/// A page of a list: 1,000 keys of at most 1,024 bytes, and what stands around them.
constexpr size_t kMaxAnswer = 4 << 20;

constexpr std::string_view kSseCustomer = "x-amz-server-side-encryption-customer-";

std::string Md5(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  MILLRACE_CHECK(
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_md5(), nullptr) == 1, "MD5");
  return {reinterpret_cast<const char*>(digest.data()), size};
}

Micros Now() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool MayPass(const Answer& answer) {
  constexpr std::array<std::string_view, 4> kPassing = {"RequestTimeout", "ExpiredToken",
                                                        "OperationAborted", "SlowDown"};
  return answer.http.status >= 500 || answer.http.status == 429 ||
         std::find(kPassing.begin(), kPassing.end(), answer.code) != kPassing.end();
}

/// A store may say 200 first and find out then that it cannot complete an upload.
void ReadError(const Request& request, Answer* answer) {
  const bool well = answer->http.status >= 200 && answer->http.status < 300;
  if (well && request.method != "POST") return;
  const auto parsed = ParseXml(answer->http.body);
  if (parsed.ok() && parsed->name == "Error") {
    answer->code = parsed->Text("Code");
    answer->message = parsed->Text("Message");
  }
  if (answer->code.empty() && !well) answer->code = "HTTP" + std::to_string(answer->http.status);
}

struct Remedy {
  std::string_view code;
  std::string_view what;
  bool configuration = true;
};

constexpr std::array kRemedies = {
    Remedy{"NoSuchBucket", "the bucket does not exist: make it, or configure another"},
    Remedy{"InvalidBucketName", "the store takes no bucket of this name: configure another"},
    Remedy{"InvalidAccessKeyId", "the store does not know the access key: check the credentials"},
    Remedy{"XAdminUserNotFound", "the store does not know the access key: check the credentials"},
    Remedy{"SignatureDoesNotMatch", "the secret key is wrong: check the credentials"},
    Remedy{"AccessDenied",
           "these credentials may not do that: allow them to list the bucket and to get, put and "
           "delete its objects"},
    Remedy{"AllAccessDisabled", "the account is disabled"},
    Remedy{"InvalidToken", "the session token is wrong: check the credentials"},
    Remedy{"ExpiredToken", "the session token has expired: bring a newer one", false},
    Remedy{"PermanentRedirect", "the bucket lies in another region or under another endpoint"},
    Remedy{"AuthorizationHeaderMalformed", "the bucket lies in another region: configure that one"},
    Remedy{"RequestTimeTooSkewed", "the clocks of this machine and of the store differ: set them",
           false},
    Remedy{"NotImplemented",
           "the store does not know a header that was sent: configure checksum when_required, and "
           "no encryption"},
    Remedy{"SlowDown", "the store asks for fewer requests", false},
};

const Remedy* RemedyOf(std::string_view code) {
  for (const Remedy& r : kRemedies)
    if (r.code == code) return &r;
  return nullptr;
}

}  // namespace

std::string Base64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3), '\0');
  // One more is written, a zero, where a string has one.
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                  reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  return text;
}

Error Refused(std::string_view what, std::string_view key, const Answer& answer) {
  const Remedy* remedy = RemedyOf(answer.code);
  const std::string text =
      std::string(what) + ": " +
      std::string(remedy != nullptr ? remedy->what : "the object store refuses or fails");
  const auto region = answer.http.headers.find("x-amz-bucket-region");
  if (region != answer.http.headers.end() && answer.http.status / 100 == 3)
    return Unavailable(text, {{"key", key}, {"code", answer.code}, {"region", region->second}});
  return Unavailable(text, {{"key", key},
                            {"code", answer.code},
                            {"status", answer.http.status},
                            {"message", answer.message.substr(0, 256)}});
}

bool IsMisconfigured(const Answer& answer) {
  const Remedy* remedy = RemedyOf(answer.code);
  return remedy != nullptr && remedy->configuration;
}

Requests::Requests(Options options, const std::string& customer_key)
    : options_(std::move(options)),
      checksums_(options_.checksum == Checksum::kWhenSupported ||
                 (options_.checksum == Checksum::kAuto && IsAws(options_))),
      keychain_(options_.credentials),
      budget_(kBudget, kGivenBack) {
  const Server server = ServerOf(options_);
  base_ = server.scheme + "://" + server.host;
  host_ = server.host;
  if (server.bucket_in_path) path_base_ = "/" + options_.bucket;

  const Encryption& encryption = options_.encryption;
  if (encryption.by == Encryption::By::kStoreKey)
    new_object_["x-amz-server-side-encryption"] = "AES256";
  if (encryption.by == Encryption::By::kKmsKey) {
    new_object_["x-amz-server-side-encryption"] = "aws:kms";
    if (!encryption.kms_key_id.empty())
      new_object_["x-amz-server-side-encryption-aws-kms-key-id"] = encryption.kms_key_id;
  }
  if (!customer_key.empty()) {
    const std::string name(kSseCustomer);
    bytes_[name + "algorithm"] = "AES256";
    bytes_[name + "key"] = Base64(customer_key);
    bytes_[name + "key-md5"] = Base64(Md5(customer_key));
    new_object_.insert(bytes_.begin(), bytes_.end());
  }
}

HttpRequest Requests::Signature(const Request& request, const Keys& keys,
                                const std::string& body_sha256) {
  const Micros now = Now();
  Signed to_sign{request.method, path_base_ + "/" + PercentEncoded(request.key, true),
                 request.query, request.headers, body_sha256};
  to_sign.headers["host"] = host_;
  to_sign.headers["x-amz-content-sha256"] = body_sha256;
  to_sign.headers["x-amz-date"] = BasicTimestamp(now);
  if (!keys.session_token.empty()) to_sign.headers["x-amz-security-token"] = keys.session_token;

  HttpRequest http;
  http.method = request.method;
  http.url = base_ + to_sign.path;
  if (!request.query.empty()) http.url += "?" + QueryText(request.query);
  for (const auto& [name, value] : to_sign.headers) http.headers.push_back(name + ": " + value);
  http.headers.push_back("authorization: " + Authorization(to_sign, keys, RegionOf(options_), now));
  http.body = request.body;
  http.most = std::max(kMaxAnswer, request.most);
  http.timeout = options_.try_timeout + request.longer;
  return http;
}

Result<Answer> Requests::SendOnce(const Calls::Work& work, const Request& request) {
  work.Expect(Calls::kMaxWait);  // to find keys may ask another server
  MILLRACE_ASSIGN(const Keys keys, keychain_.Get());
  Sha256 sum;
  sum.Add(request.body);
  const HttpRequest http = Signature(request, keys, sum.HexDigest());
  Answer answer;
  MILLRACE_ASSIGN(answer.http,
                  work.http().Exchange(http, [&](std::chrono::milliseconds ends_within) {
                    work.Expect(ends_within + kSlack);
                  }));
  ReadError(request, &answer);
  if (answer.code == "ExpiredToken" || answer.code == "InvalidAccessKeyId" ||
      answer.code == "InvalidToken")
    keychain_.Forget();
  return answer;
}

Result<Answer> Requests::Send(const Calls::Work& work, const Request& request) {
  for (int tried = 1;; ++tried) {
    auto answer = SendOnce(work, request);
    const bool failed = answer.ok() ? MayPass(*answer) : answer.error().code == Code::kUnavailable;
    if (!failed && tried == 1) budget_.GiveBack();
    if (!failed || tried == kTries || !budget_.Take()) return answer;
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace millrace::objectstore_s3
