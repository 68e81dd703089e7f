#include "http_listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "millrace/base/facts.h"

namespace millrace::admin {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMaxConnections = 512;
/// Connections that the kernel takes before the server does.
constexpr int kBacklog = 512;
/// Threads that make answers. Watchers are few; this lets a page that is slow leave others alone.
constexpr int kWorkers = 4;
constexpr size_t kMaxHeaderBytes = 16 << 10;
constexpr auto kRequestTime = std::chrono::seconds(1);
constexpr auto kAnswerTime = std::chrono::seconds(5);
/// Between the answer and the end of what the peer sends: to close before would take the answer
/// back.
constexpr auto kClosingTime = std::chrono::seconds(1);
/// How long no connection is taken when the process has no file descriptor left for one.
constexpr auto kNoDescriptorPause = std::chrono::milliseconds(100);

constexpr const char* kText = "text/plain; charset=utf-8";

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Request {
  std::string method;
  std::string path;
};

/// The first line of a request, `METHOD TARGET HTTP/1.x`. No method: it is not one.
Request ParseRequest(const std::string& head) {
  const std::string line = head.substr(0, head.find_first_of("\r\n"));
  const size_t first = line.find(' ');
  const size_t second = line.find(' ', first + 1);
  if (first == line.npos || second == line.npos || line.compare(second + 1, 7, "HTTP/1.") != 0) {
    return {};
  }
  const std::string target = line.substr(first + 1, second - first - 1);
  return {line.substr(0, first), target.substr(0, target.find('?'))};
}

const char* PhraseOf(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    default:
      return "Service Unavailable";
  }
}

std::string Encode(const Reply& reply, bool with_body) {
  std::string out = "HTTP/1.1 " + std::to_string(reply.status) + " " + PhraseOf(reply.status) +
                    "\r\nContent-Type: " + reply.content_type +
                    "\r\nContent-Length: " + std::to_string(reply.body.size()) +
                    (reply.status == 405 ? "\r\nAllow: GET, HEAD" : "") +
                    "\r\nConnection: close\r\n\r\n";
  if (with_body) out += reply.body;
  return out;
}

Reply AnswerTo(const Request& request, const HttpListener::Handler& handler) {
  if (request.method.empty()) return {400, kText, "not an HTTP/1.1 request\n"};
  if (request.method != "GET" && request.method != "HEAD")
    return {405, kText, "this port is read only: use GET method=" + request.method + "\n"};
  return handler(request.path);
}

struct Connection {
  enum class State { kReading, kServed, kWriting, kClosing };

  Descriptor socket;
  State state = State::kReading;
  Clock::time_point due;
  std::string in;
  std::string out;
  size_t written = 0;
};

}  // namespace

/// The thread of the sockets, and those that make answers.
class HttpListener::Loop {
 public:
  Loop(Descriptor listening, Descriptor wake, Handler handler)
      : listening_(std::move(listening)), wake_(std::move(wake)), handler_(std::move(handler)) {
    // The system may refuse a thread. Those that run would end the process if nobody waited for
    // them.
    try {
      for (int i = 0; i < kWorkers; ++i) workers_.emplace_back([this] { Work(); });
      sockets_ = std::thread([this] { Run(); });
    } catch (...) {
      End();
      throw;
    }
  }
  ~Loop() { End(); }

 private:
  using State = Connection::State;
  struct Job {
    uint64_t connection;
    Request request;
  };

  void End() {
    Locked([this] { stopping_ = true; });
    if (sockets_.joinable()) sockets_.join();
    Locked([this] { no_more_ = true; });
    for (std::thread& worker : workers_) worker.join();
  }

  template <typename F>
  void Locked(F change) {
    {
      std::lock_guard lock(mutex_);
      change();
    }
    changed_.notify_all();
    Wake();
  }
  void Wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(wake_.get(), &one, sizeof one);
  }

  void Work() {
    for (;;) {
      Job job;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return no_more_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      std::string answer = Encode(AnswerTo(job.request, handler_), job.request.method != "HEAD");
      Locked([&] { answers_.emplace_back(job.connection, std::move(answer)); });
    }
  }

  void Run() {
    for (;;) {
      bool stopping = false;
      std::vector<std::pair<uint64_t, std::string>> answers;
      {
        std::lock_guard lock(mutex_);
        stopping = stopping_;
        answers.swap(answers_);
      }
      for (auto& [id, answer] : answers) BeginAnswer(id, std::move(answer));
      DropOverdue();
      if (stopping) {
        std::erase_if(connections_, [](const auto& c) {
          return c.second.state == State::kReading || c.second.state == State::kClosing;
        });
        if (connections_.empty()) return;
      }
      Poll(!stopping);
    }
  }

  void BeginAnswer(uint64_t id, std::string answer) {
    Connection& c = connections_.at(id);
    c.state = State::kWriting;
    c.due = Clock::now() + kAnswerTime;
    c.out = std::move(answer);
    if (!Advance(id, c)) connections_.erase(id);
  }

  void DropOverdue() {
    const auto now = Clock::now();
    std::erase_if(connections_, [&](const auto& c) {
      return c.second.state != State::kServed && c.second.due <= now;
    });
  }

  void Poll(bool accepting) {
    std::vector<pollfd> polled = {{wake_.get(), POLLIN, 0}};
    const auto now = Clock::now();
    auto until = now + std::chrono::hours(1);
    if (accepting && no_accept_until_ > now) {
      until = no_accept_until_;
      accepting = false;
    }
    accepting = accepting && MakeRoom();
    if (accepting) polled.push_back({listening_.get(), POLLIN, 0});
    const size_t first = polled.size();
    std::vector<uint64_t> ids;
    for (const auto& [id, c] : connections_) {
      if (c.state == State::kServed) continue;
      ids.push_back(id);
      polled.push_back(
          {c.socket.get(), static_cast<short>(c.state == State::kWriting ? POLLOUT : POLLIN), 0});
      until = std::min(until, c.due);
    }
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(until - now);
    poll(polled.data(), polled.size(), static_cast<int>(std::max<int64_t>(wait.count(), 0)));
    uint64_t woken = 0;
    if (polled[0].revents != 0) [[maybe_unused]]
      const ssize_t n = read(wake_.get(), &woken, sizeof woken);
    for (size_t i = 0; i < ids.size(); ++i) {
      if (polled[first + i].revents != 0 && !Advance(ids[i], connections_.at(ids[i])))
        connections_.erase(ids[i]);
    }
    if (accepting && polled[1].revents != 0) Accept();
  }

  /// True: one more connection may come. The oldest that has nobody working for it goes for it.
  bool MakeRoom() {
    if (connections_.size() < kMaxConnections) return true;
    for (const State state : {State::kClosing, State::kReading, State::kWriting}) {
      const auto at = std::find_if(connections_.begin(), connections_.end(),
                                   [&](const auto& c) { return c.second.state == state; });
      if (at == connections_.end()) continue;
      connections_.erase(at);
      return true;
    }
    return false;
  }

  void Accept() {
    const int fd = accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        no_accept_until_ = Clock::now() + kNoDescriptorPause;
      return;
    }
    connections_.emplace(
        next_id_++,
        Connection{Descriptor(fd), State::kReading, Clock::now() + kRequestTime, {}, {}, 0});
  }

  /// What can be done without waiting. False: the connection is over.
  bool Advance(uint64_t id, Connection& c) {
    if (c.state == State::kReading) return Read(id, c);
    if (c.state == State::kWriting) return Write(c);
    char ignored[4096];
    for (;;) {
      const ssize_t n = recv(c.socket.get(), ignored, sizeof ignored, 0);
      if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
  }

  bool Read(uint64_t id, Connection& c) {
    char buffer[4096];
    const ssize_t n = recv(c.socket.get(), buffer, sizeof buffer, 0);
    if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EINTR);
    c.in.append(buffer, static_cast<size_t>(n));
    if (c.in.size() > kMaxHeaderBytes) {
      c.state = State::kWriting;
      c.due = Clock::now() + kAnswerTime;
      c.out = Encode({431, kText, "the request is too large\n"}, true);
      return Write(c);
    }
    if (c.in.find("\r\n\r\n") == c.in.npos && c.in.find("\n\n") == c.in.npos) return true;
    c.state = State::kServed;
    Locked([&] { jobs_.push_back({id, ParseRequest(c.in)}); });
    return true;
  }

  bool Write(Connection& c) {
    while (c.written < c.out.size()) {
      const ssize_t n =
          send(c.socket.get(), c.out.data() + c.written, c.out.size() - c.written, MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN || errno == EINTR;
      c.written += static_cast<size_t>(n);
    }
    shutdown(c.socket.get(), SHUT_WR);
    c.state = State::kClosing;
    c.due = Clock::now() + kClosingTime;
    return true;
  }

  const Descriptor listening_;
  const Descriptor wake_;
  const Handler handler_;
  std::map<uint64_t, Connection> connections_;  ///< by age; the socket thread's own
  uint64_t next_id_ = 0;
  Clock::time_point no_accept_until_{};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;  ///< no more than there are connections
  std::vector<std::pair<uint64_t, std::string>> answers_;
  bool stopping_ = false;
  bool no_more_ = false;
  std::vector<std::thread> workers_;
  std::thread sockets_;
};

namespace {

/// A socket that listens, or the error of the last address that was tried.
Result<Descriptor> Listen(const HostPort& at) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int unknown = getaddrinfo(at.host.c_str(), std::to_string(at.port).c_str(), &hints, &found);
  if (unknown != 0)
    return Unavailable("cannot listen for HTTP: " + std::string(gai_strerror(unknown)) +
                           "; choose an address of this machine",
                       {{"admin", at.ToString()}});
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  int reason = 0;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    Descriptor fd(
        socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol));
    const int yes = 1;
    // Not SO_REUSEPORT, with which a port in use goes unnoticed.
    if (fd.get() >= 0 && setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        bind(fd.get(), a->ai_addr, a->ai_addrlen) == 0 && listen(fd.get(), kBacklog) == 0) {
      return fd;
    }
    reason = errno;
  }
  if (reason == EADDRINUSE)
    return Conflict(
        "the port is in use by another process; stop that one or choose another port (0: any free "
        "one)",
        {{"admin", at.ToString()}});
  return Unavailable("cannot listen for HTTP: " + std::string(std::strerror(reason)) +
                         "; choose an address of this machine",
                     {{"admin", at.ToString()}});
}

Result<uint16_t> PortOf(int socket) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return Unavailable("cannot listen for HTTP: " + std::string(std::strerror(errno)));
  if (bound.ss_family == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
}

}  // namespace

Result<std::unique_ptr<HttpListener>> HttpListener::Open(const HostPort& at, Handler handler) {
  MILLRACE_ASSIGN(Descriptor listening, Listen(at));
  MILLRACE_ASSIGN(const uint16_t port, PortOf(listening.get()));
  Descriptor wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (wake.get() < 0)
    return Unavailable("cannot listen for HTTP: " + std::string(std::strerror(errno)));
  auto loop = std::make_unique<Loop>(std::move(listening), std::move(wake), std::move(handler));
  return std::unique_ptr<HttpListener>(new HttpListener(std::move(loop), port));
}

HttpListener::HttpListener(std::unique_ptr<Loop> loop, uint16_t port)
    : loop_(std::move(loop)), port_(port) {}
HttpListener::~HttpListener() = default;

}  // namespace millrace::admin
