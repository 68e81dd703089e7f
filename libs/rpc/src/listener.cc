#include "listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "millrace/base/descriptors.h"
#include "millrace/base/log.h"

namespace millrace::rpc {
namespace {

/// How long connections wait in the kernel's queue while none can be taken.
constexpr int kPauseMs = 100;

void SetOption(int socket, int level, int name, int value) {
  setsockopt(socket, level, name, &value, sizeof value);
}

/// A socket that listens at `address`, or -1 and errno.
int ListenAt(const addrinfo& address) {
  const int s = socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                       address.ai_protocol);
  if (s < 0) return -1;
  SetOption(s, SOL_SOCKET, SO_REUSEADDR, 1);
  // Connections inherit it.
  SetOption(s, IPPROTO_TCP, TCP_NODELAY, 1);
  // [::] takes IPv4 too.
  if (address.ai_family == AF_INET6) SetOption(s, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (bind(s, address.ai_addr, address.ai_addrlen) == 0 && listen(s, SOMAXCONN) == 0) return s;
  const int error = errno;
  close(s);
  errno = error;
  return -1;
}

in_port_t* PortOf(sockaddr* address) {
  if (address->sa_family == AF_INET6) return &reinterpret_cast<sockaddr_in6*>(address)->sin6_port;
  return &reinterpret_cast<sockaddr_in*>(address)->sin_port;
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::Bind(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0)
    return Unavailable(gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  std::unique_ptr<Listener> listener(new Listener());
  std::string why;
  for (addrinfo* a = found; a != nullptr; a = a->ai_next) {
    // A name may stand for several addresses: all get the port that the first one got.
    if (listener->port_ != 0) *PortOf(a->ai_addr) = htons(static_cast<uint16_t>(listener->port_));
    const int s = ListenAt(*a);
    if (s < 0) {
      why = errno == EADDRINUSE ? "another process listens there" : std::strerror(errno);
      // Half of an address would get half of the callers.
      if (errno == EADDRINUSE) return Unavailable(why);
      continue;
    }
    listener->sockets_.push_back(s);
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    auto* const address = reinterpret_cast<sockaddr*>(&bound);
    if (getsockname(s, address, &size) == 0) listener->port_ = ntohs(*PortOf(address));
  }
  if (listener->sockets_.empty()) return Unavailable(why);
  listener->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (listener->wake_ < 0) return Unavailable(std::strerror(errno));
  return listener;
}

Listener::~Listener() {
  Stop();
  if (wake_ >= 0) close(wake_);
}

void Listener::Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> taker,
                     Counter* refused) {
  taker_ = std::move(taker);
  refused_ = refused;
  thread_ = std::thread([this] { Run(); });
}

void Listener::Stop() {
  if (thread_.joinable()) {
    eventfd_write(wake_, 1);
    thread_.join();
  }
  for (const int s : sockets_) close(s);
  sockets_.clear();
}

void Listener::Run() {
  bool pause = false;
  for (;;) {
    std::vector<pollfd> polled = {{wake_, POLLIN, 0}};
    if (!pause)
      for (const int s : sockets_) polled.push_back({s, POLLIN, 0});
    poll(polled.data(), polled.size(), pause ? kPauseMs : -1);
    if (polled[0].revents != 0) return;
    pause = false;
    for (size_t i = 1; i < polled.size(); ++i)
      if (polled[i].revents != 0 && !Take(polled[i].fd)) pause = true;
  }
}

void Listener::Refused() {
  if (refused_ != nullptr) refused_->Add();
  const std::lock_guard lock(mutex_);
  if (refused_since_) return;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  refused_since_ = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

std::string Listener::Trouble() {
  const std::lock_guard lock(mutex_);
  if (!refused_since_) return {};
  const Status room = descriptors::RoomForConnection();
  if (!room.ok())
    return "connections are refused since " + FormatTimestamp(*refused_since_) + ": " +
           room.error().message;
  refused_since_.reset();
  return {};
}

bool Listener::Take(int socket) {
  static LogRateLimit limit(10);
  const int fd = accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    // Anything else was the caller's doing, and its connection is gone.
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return true;
    Refused();
    limit.Warn("a connection waits, it cannot be taken", {{"error", std::strerror(errno)}});
    return false;
  }
  const int most = descriptors::Limit();
  if (fd >= descriptors::EndOfConnections(most)) {
    close(fd);
    Refused();
    limit.Warn("a connection was closed: too many are open, raise the limit (ulimit -n)",
               {{"open", fd}, {"limit", most}, {"kept_for_files", descriptors::kForFiles}});
    return true;
  }
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
  connection.listener_fd = socket;
  connection.fd = fd;
  taker_->HandleNewConnection(&connection);
  return true;
}

}  // namespace millrace::rpc
