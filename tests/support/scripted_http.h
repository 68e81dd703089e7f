#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace millrace::test {

/// An HTTP server on a port of 127.0.0.1 that gives each request the next of the answers that the
/// test wrote, and 500 where there is none. One request a connection.
class ScriptedHttp {
 public:
  struct Request {
    std::string head;  ///< its line and headers
    std::string body;
  };

  ScriptedHttp() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    if (bind(listener_, any, size) != 0 || listen(listener_, 8) != 0 ||
        getsockname(listener_, any, &size) != 0)
      throw std::runtime_error("no port for a server");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~ScriptedHttp() {
    stopping_ = true;
    thread_.join();
    close(listener_);
  }
  ScriptedHttp(const ScriptedHttp&) = delete;

  int port() const { return port_; }
  /// `headers`: "name: value\r\n" each.
  void Answer(int status, const std::string& body, const std::string& headers = "") {
    std::lock_guard lock(mutex_);
    answers_.push_back(Text(status, body, headers));
  }
  /// Those since the last call.
  std::vector<Request> TakeRequests() {
    std::lock_guard lock(mutex_);
    return std::exchange(requests_, {});
  }

 private:
  static std::string Text(int status, const std::string& body, const std::string& headers) {
    return "HTTP/1.1 " + std::to_string(status) + " Said\r\nConnection: close\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  void Serve() {
    while (!stopping_) {
      pollfd ready{listener_, POLLIN, 0};
      if (poll(&ready, 1, 50) <= 0) continue;
      const int client = accept(listener_, nullptr, nullptr);
      Exchange(client);
      close(client);
    }
  }

  void Exchange(int client) {
    std::string text;
    size_t head = text.npos, wanted = 0;
    while (head == text.npos || text.size() < head + 4 + wanted) {
      char bytes[65'536];
      const ssize_t n = recv(client, bytes, sizeof(bytes), 0);
      if (n <= 0) return;
      text.append(bytes, static_cast<size_t>(n));
      if (head != text.npos || (head = text.find("\r\n\r\n")) == text.npos) continue;
      const size_t length = text.find("Content-Length: ");
      if (length < head) wanted = std::stoul(text.substr(length + 16));
    }
    std::string answer = Text(500, "", "");
    {
      std::lock_guard lock(mutex_);
      requests_.push_back({text.substr(0, head + 2), text.substr(head + 4)});
      if (!answers_.empty()) {
        answer = std::move(answers_.front());
        answers_.pop_front();
      }
    }
    for (size_t sent = 0; sent < answer.size();) {
      const ssize_t n = send(client, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<size_t>(n);
    }
  }

  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::deque<std::string> answers_;
  std::vector<Request> requests_;
  std::thread thread_;
};

}  // namespace millrace::test
