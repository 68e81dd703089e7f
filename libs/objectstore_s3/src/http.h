#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.h"

namespace millrace::objectstore_s3 {

/// One exchange with a server. Bodies are bounded by who asks: a part of an object, or a page.
struct HttpRequest {
  std::string method;
  std::string url;
  std::vector<std::string> headers;  ///< "name: value"
  std::string_view body;
  /// Of the whole exchange, connecting too. Each MiB that was moved adds a second to it.
  std::chrono::milliseconds timeout{0};
  size_t most = 0;  ///< bytes of an answer
};

struct HttpResponse {
  long status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
};

/// A client that keeps its connections. Threads: one.
class Http {
 public:
  /// `ca_file` empty: the system's. `stopping` ends an exchange soon.
  Http(std::string ca_file, const std::atomic<bool>* stopping);
  ~Http();

  /// Any answer of a server is a value. kUnavailable: none came. kInvalidArgument: the server
  /// cannot be trusted, or the file of certificates cannot be read.
  /// It tells by when it will have ended, again when that is later.
  Result<HttpResponse> Exchange(const HttpRequest& request,
                                const std::function<void(std::chrono::milliseconds)>& ends_within);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace millrace::objectstore_s3
