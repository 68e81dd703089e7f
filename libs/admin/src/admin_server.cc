#include "millrace/admin/admin_server.h"

#include <exception>
#include <utility>

#include "http_listener.h"
#include "millrace/base/host_port.h"
#include "millrace/base/version.h"

namespace millrace::admin {
namespace {

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

Reply Readiness(const Callbacks& callbacks) {
  bool ready = true;
  std::string checks;
  for (const ReadinessCheck& check : callbacks.readiness()) {
    ready = ready && check.ok;
    checks += checks.empty() ? "" : ", ";
    checks += "{\"name\": " + JsonText(check.name) + ", \"ok\": " + (check.ok ? "true" : "false") +
              ", \"message\": " + JsonText(check.message) + "}";
  }
  return {ready ? 200 : 503, kJson,
          std::string("{\"ready\": ") + (ready ? "true" : "false") + ", \"checks\": [" + checks +
              "]}\n"};
}

Reply Page(const std::string& path, const Callbacks& callbacks) {
  if (path == "/") return {200, kText, "/metrics\n/livez\n/readyz\n/version\n"};
  if (path == "/metrics") return {200, kPrometheus, callbacks.metrics()};
  if (path == "/livez") return {200, kText, "ok\n"};
  if (path == "/readyz") return Readiness(callbacks);
  if (path == "/version") return {200, kJson, "{\"version\": " + JsonText(Version()) + "}\n"};
  return {404, kText, "no such page: " + path + "; there are /metrics /livez /readyz /version\n"};
}

Reply PageOrError(const std::string& path, const Callbacks& callbacks) {
  try {
    return Page(path, callbacks);
  } catch (const std::exception& e) {
    return {500, kText, std::string("internal error: ") + e.what() + "\n"};
  }
}

}  // namespace

struct AdminServer::Server {
  std::unique_ptr<HttpListener> listener;
};

AdminServer::AdminServer(std::unique_ptr<Server> server) : server_(std::move(server)) {}
AdminServer::~AdminServer() = default;

Result<std::unique_ptr<AdminServer>> AdminServer::Start(const std::string& address,
                                                        Callbacks callbacks) {
  MILLRACE_ASSIGN(HostPort at, ParseHostPort(address));
  auto server = std::make_unique<Server>();
  MILLRACE_ASSIGN(
      server->listener,
      HttpListener::Open(at, [callbacks = std::move(callbacks)](const std::string& path) {
        return PageOrError(path, callbacks);
      }));
  at.port = server->listener->port();
  std::unique_ptr<AdminServer> admin(new AdminServer(std::move(server)));
  admin->address_ = at.ToString();
  return admin;
}

}  // namespace millrace::admin
