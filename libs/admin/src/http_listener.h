#pragma once

#include <functional>
#include <memory>
#include <string>

#include "millrace/base/host_port.h"
#include "millrace/base/result.h"

namespace millrace::admin {

struct Reply {
  int status = 200;
  std::string content_type;
  std::string body;
};

/// Answers GET and HEAD over HTTP/1.1, one request a connection; other methods get 405.
///
/// One thread looks after all sockets and waits for none, so a slow connection holds no thread. A
/// request must be there a second after its connection, and its answer be taken within five. Past
/// 512 connections the one that has waited longest for its request makes room for a new one.
class HttpListener {
 public:
  /// Called from four threads. `path` is without a query.
  using Handler = std::function<Reply(const std::string& path)>;

  /// Port 0: the kernel picks. kConflict: the port is in use. kUnavailable: it cannot be listened
  /// at for another reason.
  static Result<std::unique_ptr<HttpListener>> Open(const HostPort& at, Handler handler);
  /// Takes no more connections; requests under way end first.
  ~HttpListener();

  uint16_t port() const { return port_; }

 private:
  class Loop;
  HttpListener(std::unique_ptr<Loop> loop, uint16_t port);

  std::unique_ptr<Loop> loop_;
  uint16_t port_;
};

}  // namespace millrace::admin
