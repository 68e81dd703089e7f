#include "millrace/admin/admin_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "millrace/base/host_port.h"
#include "millrace/base/version.h"

namespace millrace::admin {
namespace {

/// A connection holds a thread until its request is read, so there are more than there are
/// watchers, and a silent one is not waited for.
constexpr size_t kThreads = 32;
constexpr size_t kQueuedConnections = 64;
/// Connections that the kernel takes before the server does. The library asks for 5; a client
/// beyond them tries again after a second.
constexpr int kBacklog = 128;
constexpr int kReadTimeoutSeconds = 1;
constexpr int kWriteTimeoutSeconds = 5;
/// Requests have no body; this bounds what a wrong one makes the server read.
constexpr size_t kMaxBodyBytes = 64 << 10;
constexpr auto kStartDeadline = std::chrono::seconds(10);

constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kJson = "application/json";
constexpr const char* kPrometheus = "text/plain; version=0.0.4; charset=utf-8";

std::string JsonText(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += ' ';
    } else {
      out += c;
    }
  }
  return out + '"';
}

void ServeReadiness(const Callbacks& callbacks, httplib::Response* response) {
  bool ready = true;
  std::string checks;
  for (const ReadinessCheck& check : callbacks.readiness()) {
    ready = ready && check.ok;
    checks += checks.empty() ? "" : ", ";
    checks += "{\"name\": " + JsonText(check.name) + ", \"ok\": " + (check.ok ? "true" : "false") +
              ", \"message\": " + JsonText(check.message) + "}";
  }
  response->status = ready ? 200 : 503;
  response->set_content(std::string("{\"ready\": ") + (ready ? "true" : "false") +
                            ", \"checks\": [" + checks + "]}\n",
                        kJson);
}

void ServeException(httplib::Response* response, std::exception_ptr thrown) {
  std::string what = "unknown exception";
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    what = e.what();
  } catch (...) {  // NOLINT(bugprone-empty-catch): `what` says all that is known
  }
  response->status = 500;
  response->set_content("internal error: " + what + "\n", kText);
}

/// What `enqueue` returns: nothing in cpp-httplib 0.11, whether the job was taken in 0.18.
using Enqueued = decltype(std::declval<httplib::TaskQueue&>().enqueue(nullptr));

/// Threads that serve connections. While the queue is full no connection is taken from the kernel,
/// whose own queue is short.
class Pool final : public httplib::TaskQueue {
 public:
  Pool() {
    try {
      for (size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { Work(); });
    } catch (...) {
      shutdown();
      throw;
    }
  }

  Enqueued enqueue(std::function<void()> fn) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return jobs_.size() < kQueuedConnections; });
    jobs_.push_back(std::move(fn));
    changed_.notify_all();
    return Enqueued(true);
  }
  /// What is queued is still run, which closes its socket.
  void shutdown() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    for (std::thread& t : threads_) t.join();
  }

 private:
  void Work() {
    for (;;) {
      std::function<void()> job;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
        changed_.notify_all();
      }
      job();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

struct AdminServer::Server {
  httplib::Server http;
  Callbacks callbacks;
  std::thread thread;
  int listening = -1;

  explicit Server(Callbacks c) : callbacks(std::move(c)) {
    http.new_task_queue = [] { return new Pool(); };
    // The default would set SO_REUSEPORT, with which a port in use goes unnoticed.
    http.set_socket_options([this](int socket) {
      listening = socket;
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    // An idle connection would hold a thread. The timeout is that of its first byte too.
    http.set_keep_alive_max_count(1);
    http.set_keep_alive_timeout(kReadTimeoutSeconds);
    http.set_read_timeout(kReadTimeoutSeconds);
    http.set_write_timeout(kWriteTimeoutSeconds);
    http.set_payload_max_length(kMaxBodyBytes);
    http.set_exception_handler(
        [](const httplib::Request&, httplib::Response& response, std::exception_ptr thrown) {
          ServeException(&response, std::move(thrown));
        });
    http.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
      if (response.body.empty())
        response.set_content(
            "no such page: " + request.path + "; there are /metrics /livez /readyz /version\n",
            kText);
    });
    http.Get("/", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("/metrics\n/livez\n/readyz\n/version\n", kText);
    });
    http.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(callbacks.metrics(), kPrometheus);
    });
    http.Get("/livez", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("ok\n", kText);
    });
    http.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      ServeReadiness(callbacks, &response);
    });
    http.Get("/version", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("{\"version\": " + JsonText(Version()) + "}\n", kJson);
    });
  }

  ~Server() {
    http.stop();
    if (thread.joinable()) thread.join();
  }

  /// The server ignores Stop() before its loop runs, so nobody gets it earlier.
  bool WaitUntilRunning() const {
    const auto deadline = std::chrono::steady_clock::now() + kStartDeadline;
    while (!http.is_running()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
};

AdminServer::AdminServer(std::unique_ptr<Server> server) : server_(std::move(server)) {}
AdminServer::~AdminServer() = default;

Result<std::unique_ptr<AdminServer>> AdminServer::Start(const std::string& address,
                                                        Callbacks callbacks) {
  MILLRACE_ASSIGN(HostPort at, ParseHostPort(address));
  std::unique_ptr<AdminServer> admin(
      new AdminServer(std::make_unique<Server>(std::move(callbacks))));
  httplib::Server& http = admin->server_->http;
  errno = 0;
  int port = at.port;
  if (port == 0) {
    port = http.bind_to_any_port(at.host);
  } else if (!http.bind_to_port(at.host, port)) {
    port = -1;
  }
  if (port < 0) {
    const int reason = errno;
    if (reason == EADDRINUSE)
      return Conflict(
          "the port is in use by another process; stop that one or choose another port (0: any "
          "free one) admin=" +
          address);
    return Unavailable("cannot listen for HTTP: " +
                       std::string(reason != 0 ? std::strerror(reason) : "no such host") +
                       "; choose an address of this machine admin=" + address);
  }
  if (listen(admin->server_->listening, kBacklog) != 0)
    return Unavailable("cannot listen for HTTP: " + std::string(std::strerror(errno)) +
                       " admin=" + address);
  at.port = static_cast<uint16_t>(port);
  admin->address_ = at.ToString();
  admin->server_->thread = std::thread([&http] { http.listen_after_bind(); });
  if (!admin->server_->WaitUntilRunning())
    return Unavailable("the HTTP server did not start within 10 s admin=" + address);
  return admin;
}

}  // namespace millrace::admin
