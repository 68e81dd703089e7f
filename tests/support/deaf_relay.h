#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace millrace::test {

/// Carries connections to a port of 127.0.0.1. From Lose(word) on, once: when a client has sent
/// `word`, the server's answer is waited for, thrown away, and that connection cut.
class DeafRelay {
 public:
  explicit DeafRelay(int server_port) : server_port_(server_port) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Address(0);
    socklen_t size = sizeof(address);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    if (bind(listener_, any, size) != 0 || listen(listener_, 8) != 0 ||
        getsockname(listener_, any, &size) != 0)
      throw std::runtime_error("no port for a relay");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~DeafRelay() {
    stopping_ = true;
    thread_.join();
    for (std::thread& carrier : carriers_) carrier.join();
    close(listener_);
  }
  DeafRelay(const DeafRelay&) = delete;

  int port() const { return port_; }
  /// While no client sends.
  void Lose(const std::string& word) {
    word_ = word;
    losing_ = true;
  }
  bool lost() const { return !losing_; }

 private:
  static sockaddr_in Address(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    return address;
  }

  bool Readable(int a, int b, bool* from_a) const {
    pollfd ends[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
    while (!stopping_) {
      if (poll(ends, b < 0 ? 1 : 2, 50) <= 0) continue;
      *from_a = ends[0].revents != 0;
      return true;
    }
    return false;
  }

  void Serve() {
    bool unused = false;
    while (Readable(listener_, -1, &unused)) {
      const int client = accept(listener_, nullptr, nullptr);
      const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in address = Address(server_port_);
      carriers_.emplace_back([this, client, server, address] {
        if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
          Carry(client, server);
        close(client);
        close(server);
      });
    }
  }

  void Carry(int client, int server) {
    char bytes[65'536];
    bool from_client = false, deaf = false;
    while (Readable(client, server, &from_client)) {
      const ssize_t n = recv(from_client ? client : server, bytes, sizeof(bytes), 0);
      if (n <= 0) return;
      const std::string text(bytes, static_cast<size_t>(n));
      if (from_client && losing_ && text.find(word_) != std::string::npos) deaf = true;
      if (!from_client && deaf) {
        losing_ = false;
        return;
      }
      if (send(from_client ? server : client, bytes, text.size(), MSG_NOSIGNAL) != n) return;
    }
  }

  const int server_port_;
  int listener_ = -1;
  int port_ = 0;
  std::string word_;
  std::atomic<bool> losing_ = false;
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> carriers_;
  std::thread thread_;
};

}  // namespace millrace::test
