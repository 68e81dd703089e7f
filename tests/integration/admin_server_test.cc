#include "millrace/admin/admin_server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <stdexcept>

#include "millrace/base/host_port.h"
#include "millrace/base/version.h"

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

/// The whole answer to one GET, as bytes; what there is of it when nothing comes for ten seconds.
std::string Get(const std::string& address, const std::string& path) {
  const int s = Connect(address);
  const timeval patience{10, 0};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nConnection: close\r\n\r\n";
  REQUIRE(write(s, request.data(), request.size()) == static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(s, buffer, sizeof buffer)) > 0;)
    answer.append(buffer, static_cast<size_t>(n));
  close(s);
  return answer;
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

}  // namespace
}  // namespace millrace::admin
