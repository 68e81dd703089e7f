#include "millrace/admin/admin_server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

#include "millrace/admin/fetch.h"
#include "millrace/base/host_port.h"
#include "millrace/base/version.h"
#include "support/catch.h"

namespace millrace::admin {
namespace {

int Connect(const std::string& address) {
  const HostPort at = *ParseHostPort(address);
  const int s = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(at.port);
  REQUIRE(inet_pton(AF_INET, at.host.c_str(), &to.sin_addr) == 1);
  REQUIRE(connect(s, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  return s;
}

void Send(int s, const std::string& bytes) {
  REQUIRE(send(s, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
}

/// The whole answer to one request, as bytes; what there is of it when nothing comes for ten
/// seconds.
std::string Ask(const std::string& address, const std::string& request) {
  const int s = Connect(address);
  const timeval patience{10, 0};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  REQUIRE(write(s, request.data(), request.size()) == static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(s, buffer, sizeof buffer)) > 0;)
    answer.append(buffer, static_cast<size_t>(n));
  close(s);
  return answer;
}

std::string Get(const std::string& address, const std::string& path) {
  return Ask(address,
             "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nConnection: close\r\n\r\n");
}

std::unique_ptr<AdminServer> Serve(Callbacks callbacks) {
  auto server = AdminServer::Start("127.0.0.1:0", std::move(callbacks));
  REQUIRE(server.ok());
  return std::move(server).value();
}

Callbacks Healthy() {
  return {[] { return std::string("millrace_up 1\n"); },
          [] { return std::vector<ReadinessCheck>{{"log", true, ""}}; }};
}

TEST_CASE("the pages answer at the port the kernel picked") {
  const auto server = Serve(Healthy());
  CHECK(ParseHostPort(server->address())->port != 0);
  const std::string metrics = Get(server->address(), "/metrics");
  CHECK(metrics.find("HTTP/1.1 200") == 0);
  CHECK(metrics.find("version=0.0.4") != std::string::npos);
  CHECK(metrics.find("\r\n\r\nmillrace_up 1\n") != std::string::npos);
  CHECK(Get(server->address(), "/livez").find("HTTP/1.1 200") == 0);
  CHECK(Get(server->address(), "/version").find(std::string(Version())) != std::string::npos);
  CHECK(Get(server->address(), "/").find("/readyz") != std::string::npos);
}

TEST_CASE("an unknown page is 404 and names those there are") {
  const auto server = Serve(Healthy());
  const std::string answer = Get(server->address(), "/health");
  CHECK(answer.find("HTTP/1.1 404") == 0);
  CHECK(answer.find("no such page: /health; there are /metrics") != std::string::npos);
}

TEST_CASE("readiness is 200 when every check holds and 503 naming those that do not") {
  std::vector<ReadinessCheck> checks{{"log", true, ""}, {"serving", true, ""}};
  const auto server = Serve({[] { return std::string(); }, [&] { return checks; }});
  CHECK(Get(server->address(), "/readyz").find("HTTP/1.1 200") == 0);
  checks[1] = {"serving", false, "no answer from \"serving.db\""};
  const std::string answer = Get(server->address(), "/readyz");
  CHECK(answer.find("HTTP/1.1 503") == 0);
  CHECK(answer.find(
            R"({"name": "serving", "ok": false, "message": "no answer from \"serving.db\""})") !=
        std::string::npos);
}

TEST_CASE("connections that send nothing do not keep the pages from others") {
  const auto server = Serve(Healthy());
  std::vector<int> silent;
  SECTION("a few: a page comes while they are open") {
    for (int i = 0; i < 12; ++i) silent.push_back(Connect(server->address()));
    CHECK(Get(server->address(), "/livez").find("HTTP/1.1 200") == 0);
    char byte = 0;
    for (const int s : silent) CHECK(recv(s, &byte, 1, MSG_DONTWAIT) == -1);
  }
  SECTION("many: a page comes when they had their second") {
    for (int i = 0; i < 60; ++i) silent.push_back(Connect(server->address()));
    CHECK(Get(server->address(), "/livez").find("HTTP/1.1 200") == 0);
  }
  for (const int s : silent) close(s);
}

TEST_CASE("a flood of slow connections does not keep the pages from others") {
  const auto server = Serve(Healthy());
  std::vector<int> slow;
  // The page does not wait for those before it: the last of them are still open when it is there.
  const auto page_comes_first = [&] {
    CHECK(Get(server->address(), "/readyz").find("HTTP/1.1 200") == 0);
    char byte = 0;
    for (size_t i = slow.size() - 12; i < slow.size(); ++i)
      CHECK(recv(slow[i], &byte, 1, MSG_DONTWAIT) == -1);
  };
  for (int i = 0; i < 400; ++i) {
    slow.push_back(Connect(server->address()));
    Send(slow.back(), "GET /metrics HTTP");
  }
  page_comes_first();
  // More than the server keeps: the oldest make room.
  for (int i = 0; i < 300; ++i) slow.push_back(Connect(server->address()));
  page_comes_first();
  for (const int s : slow) close(s);
}

TEST_CASE("watchers that do not take a large answer do not keep the pages from others") {
  const auto server = Serve(
      {[] { return std::string(8 << 20, 'm'); }, [] { return std::vector<ReadinessCheck>(); }});
  std::vector<int> silent;
  for (int i = 0; i < 40; ++i) {
    silent.push_back(Connect(server->address()));
    Send(silent.back(), "GET /metrics HTTP/1.1\r\n\r\n");
  }
  CHECK(Get(server->address(), "/livez").find("HTTP/1.1 200") == 0);
  CHECK(Get(server->address(), "/metrics").size() > (8 << 20));
  for (const int s : silent) close(s);
}

TEST_CASE("methods that would change something are 405 on every page, HEAD is GET without a body") {
  const auto server = Serve(Healthy());
  for (const std::string method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
    const std::string answer = Ask(server->address(), method +
                                                          " /metrics HTTP/1.1\r\nContent-Length: "
                                                          "4\r\n\r\nbody");
    INFO(method);
    CHECK(answer.find("HTTP/1.1 405") == 0);
    CHECK(answer.find("\r\nAllow: GET, HEAD\r\n") != std::string::npos);
  }
  const std::string head = Ask(server->address(), "HEAD /metrics?x=1 HTTP/1.1\r\n\r\n");
  CHECK(head.find("HTTP/1.1 200") == 0);
  CHECK(head.find("Content-Length: 14\r\n") != std::string::npos);
  CHECK(head.ends_with("\r\n\r\n"));
  CHECK(Ask(server->address(), "nonsense\r\n\r\n").find("HTTP/1.1 400") == 0);
  CHECK(Ask(server->address(), "GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x'))
            .find("HTTP/1.1 431") == 0);
}

TEST_CASE("a callback that throws gives 500 and the server goes on") {
  bool broken = true;
  const auto server = Serve({[&]() -> std::string {
                               if (broken) throw std::runtime_error("no registry");
                               return "up 1\n";
                             },
                             [] { return std::vector<ReadinessCheck>(); }});
  const std::string answer = Get(server->address(), "/metrics");
  CHECK(answer.find("HTTP/1.1 500") == 0);
  CHECK(answer.find("no registry") != std::string::npos);
  broken = false;
  CHECK(Get(server->address(), "/metrics").find("HTTP/1.1 200") == 0);
}

TEST_CASE("a port in use is a conflict that names the address and the way out") {
  const auto first = Serve(Healthy());
  const auto second = AdminServer::Start(first->address(), Healthy());
  REQUIRE(!second.ok());
  CHECK(second.error().code == Code::kConflict);
  CHECK(second.error().message.find("port is in use") != std::string::npos);
  CHECK(second.error().message.find(first->address()) != std::string::npos);
}

TEST_CASE("the port is free again when the server is gone") {
  auto first = Serve(Healthy());
  const std::string address = first->address();
  first.reset();
  CHECK(AdminServer::Start(address, Healthy()).ok());
}

TEST_CASE("an address that is none, or not of this machine, is refused") {
  const auto none = AdminServer::Start("nonsense", Healthy());
  REQUIRE(!none.ok());
  CHECK(none.error().code == Code::kInvalidArgument);
  const auto foreign = AdminServer::Start("192.0.2.1:0", Healthy());
  REQUIRE(!foreign.ok());
  CHECK(foreign.error().code == Code::kUnavailable);
}

TEST_CASE("a page is fetched whole, or it is told that nobody answers") {
  Callbacks callbacks = Healthy();
  callbacks.metrics = [] { return std::string(100'000, 'm'); };
  callbacks.readiness = [] { return std::vector<ReadinessCheck>{{"log", false, "away"}}; };
  auto server = AdminServer::Start("127.0.0.1:0", callbacks).value();
  const std::string address = server->address();
  const std::chrono::seconds patience(10);
  const auto metrics = Fetch(address, "/metrics", patience);
  REQUIRE(metrics.ok());
  CHECK(metrics->status == 200);
  CHECK(metrics->body == std::string(100'000, 'm'));
  const auto ready = Fetch(address, "/readyz", patience);
  REQUIRE(ready.ok());
  CHECK(ready->status == 503);
  CHECK(ready->body.find("away") != std::string::npos);
  CHECK(Fetch(address, "/nothing", patience)->status == 404);

  server.reset();
  const auto gone = Fetch(address, "/livez", patience);
  CHECK(gone.error().code == Code::kUnavailable);
  CHECK(gone.error().message.find(address) != std::string::npos);
  CHECK(Fetch("nonsense", "/livez", patience).error().code == Code::kInvalidArgument);

  // One that takes the call and says nothing.
  const int silent = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  REQUIRE(bind(silent, reinterpret_cast<sockaddr*>(&at), size) == 0);
  REQUIRE(listen(silent, 1) == 0);
  REQUIRE(getsockname(silent, reinterpret_cast<sockaddr*>(&at), &size) == 0);
  const auto nothing = Fetch("127.0.0.1:" + std::to_string(ntohs(at.sin_port)), "/livez",
                             std::chrono::milliseconds(50));
  CHECK(nothing.error().code == Code::kUnavailable);
  close(silent);
}

}  // namespace
}  // namespace millrace::admin
