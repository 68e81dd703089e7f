#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "calls.h"
#include "http.h"
#include "keychain.h"
#include "millrace/objectstore/retry_budget.h"
#include "millrace/objectstore_s3/options.h"

namespace millrace::objectstore_s3 {

/// The most that one request carries of an object, in either direction.
inline constexpr size_t kPieceBytes = 8 << 20;

/// A request to the bucket.
struct Request {
  std::string method;
  std::string key;  ///< with the configured prefix; empty: the bucket itself
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string_view body;
  size_t most = 0;                      ///< bytes of an object in the answer
  std::chrono::milliseconds longer{0};  ///< what the store may need beside moving bytes
};

/// What the store said.
struct Answer {
  HttpResponse http;
  std::string code;     ///< of an error, as "NoSuchKey"; empty: it went well
  std::string message;  ///< of an error

  bool ok() const { return code.empty(); }
};

/// Signs requests, sends each at most twice, and reads what went wrong. Threads: any.
class Requests {
 public:
  /// The customer's key is 32 bytes, or empty where there is none.
  Requests(Options options, const std::string& customer_key);

  /// kInvalidArgument: the store cannot be asked with this configuration. kUnavailable: no answer.
  Result<Answer> Send(const Calls::Work& work, const Request& request);

  /// Headers of requests that begin an object, and of those that move the bytes of one.
  const std::map<std::string, std::string>& new_object_headers() const { return new_object_; }
  const std::map<std::string, std::string>& bytes_headers() const { return bytes_; }
  bool checksums() const { return checksums_; }

 private:
  Result<Answer> SendOnce(const Calls::Work& work, const Request& request);
  HttpRequest Signature(const Request& request, const Keys& keys, const std::string& body_sha256);

  const Options options_;
  const bool checksums_;
  std::string base_;       ///< https://host[:port]
  std::string host_;       ///< as the header has it
  std::string path_base_;  ///< "/bucket", or empty
  std::map<std::string, std::string> new_object_;
  std::map<std::string, std::string> bytes_;
  Keychain keychain_;
  RetryBudget budget_;
};

/// The store answers and refuses; kUnavailable, with what to do about it.
Error Refused(std::string_view what, std::string_view key, const Answer& answer);
/// Whether a refusal is of the configuration, so that the same request is refused again.
bool IsMisconfigured(const Answer& answer);

/// RFC 4648.
std::string Base64(std::string_view bytes);

}  // namespace millrace::objectstore_s3
