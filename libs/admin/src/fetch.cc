#include "millrace/admin/fetch.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "millrace/base/facts.h"
#include "millrace/base/host_port.h"

namespace millrace::admin {
namespace {

constexpr size_t kMostBytes = 1 << 20;

struct Socket {
  int fd = -1;
  ~Socket() {
    if (fd >= 0) ::close(fd);
  }
};

Status Connect(const HostPort& to, std::chrono::milliseconds patience, Socket* socket) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int looked =
      ::getaddrinfo(to.host.c_str(), std::to_string(to.port).c_str(), &hints, &found);
  if (looked != 0) return Unavailable(::gai_strerror(looked));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience);
  const timeval wait{
      seconds.count(),
      std::chrono::duration_cast<std::chrono::microseconds>(patience - seconds).count()};
  // Linux takes the time to send for that to connect, too.
  socket->fd = ::socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol);
  if (socket->fd < 0 ||
      ::setsockopt(socket->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0 ||
      ::setsockopt(socket->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) != 0 ||
      ::connect(socket->fd, found->ai_addr, found->ai_addrlen) != 0)
    return Unavailable(std::strerror(errno == EINPROGRESS ? ETIMEDOUT : errno));
  return {};
}

Result<std::string> Exchange(int fd, const std::string& request) {
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size()))
    return Unavailable(std::strerror(errno));
  std::string answer;
  std::array<char, 16'384> piece;
  while (answer.size() < kMostBytes) {
    const ssize_t got = ::recv(fd, piece.data(), piece.size(), 0);
    if (got < 0) return Unavailable(std::strerror(errno == EAGAIN ? ETIMEDOUT : errno));
    if (got == 0) break;
    answer.append(piece.data(), static_cast<size_t>(got));
  }
  return answer;
}

Result<Page> Parse(const std::string& answer) {
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  const size_t body = answer.find("\r\n\r\n");
  Page page;
  if (!answer.starts_with(kVersion) || body == std::string::npos)
    return Unavailable("it does not speak HTTP");
  const char* const digits = answer.data() + kVersion.size();
  if (std::from_chars(digits, digits + 3, page.status).ec != std::errc())
    return Unavailable("it does not speak HTTP");
  page.body = answer.substr(body + 4);
  return page;
}

}  // namespace

Result<Page> Fetch(const std::string& address, const std::string& path,
                   std::chrono::milliseconds patience) {
  MILLRACE_ASSIGN(const HostPort to, ParseHostPort(address));
  const auto fetch = [&]() -> Result<Page> {
    Socket socket;
    MILLRACE_TRY(Connect(to, patience, &socket));
    MILLRACE_ASSIGN(const std::string answer,
                    Exchange(socket.fd, "GET " + path + " HTTP/1.1\r\nHost: " + address +
                                            "\r\nConnection: close\r\n\r\n"));
    return Parse(answer);
  };
  Result<Page> page = fetch();
  if (!page.ok())
    return Unavailable("no process of Millrace answers there",
                       {{"address", address}, {"error", page.error().message}});
  return page;
}

}  // namespace millrace::admin
