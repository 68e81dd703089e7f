#include "millrace/rpc/server.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "millrace/base/log.h"
#include "services.h"

namespace millrace::rpc {
namespace {

/// Larger messages end the call in gRPC; ours are refused from 8 MiB on, with a reason.
constexpr int kMaxMessageBytes = 32 << 20;
constexpr int kKeepaliveMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
/// Clients may ping so often without being sent away.
constexpr int kMinClientPingMs = 5'000;
constexpr int kMaxStreamsPerConnection = 1'000;

/// gRPC says nothing on a thread that starts a server: why one cannot start is the caller's to say.
thread_local bool starting = false;

/// What gRPC says goes where everything goes; its own format would break log readers.
void ForwardGrpcLog(gpr_log_func_args* args) {
  static LogRateLimit limit(1);
  if (args->severity == GPR_LOG_SEVERITY_ERROR && !starting)
    limit.Warn("gRPC reports a problem", {{"detail", args->message}});
}

struct HostPort {
  std::string host;
  std::string port;
};

Result<HostPort> Split(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == listen.size())
    return InvalidArgument("the listen address is not HOST:PORT listen=" + listen);
  return HostPort{listen.substr(0, colon), listen.substr(colon + 1)};
}

/// gRPC only says that it could not listen. The same attempt by hand tells why.
std::string WhyNotListening(const HostPort& at) {
  std::string host = at.host;
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), at.port.c_str(), &hints, &found); error != 0)
    return gai_strerror(error);
  std::string why = "it could be bound a moment later; try again";
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    const int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd < 0) continue;
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const bool bound = bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 1) == 0;
    const int error = errno;
    close(fd);
    if (bound) continue;
    why = std::strerror(error);
    if (error == EADDRINUSE) why = "another process listens there";
    break;
  }
  freeaddrinfo(found);
  return why;
}

void SetChannelArguments(const ServerOptions& options, grpc::ServerBuilder* builder) {
  const auto ms = [](std::chrono::seconds s) { return static_cast<int>(s.count() * 1'000); };
  // Two processes on one port would each get some of the connections.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kMinClientPingMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, ms(options.max_connection_age));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                              ms(options.max_connection_grace));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder->SetResourceQuota(grpc::ResourceQuota("millrace").Resize(options.memory_bytes));
}

}  // namespace

struct Server::State {
  Services backends;
  Serving serving{nullptr};
  std::vector<std::unique_ptr<DrainableService>> services;
  std::unique_ptr<grpc::Server> server;
  std::string address;
  int port = 0;
  bool stopped = false;
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() { Stop(std::chrono::milliseconds(100)); }

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options, Services services) {
  MILLRACE_ASSIGN(std::unique_ptr<Server> server, Start(std::move(options)));
  server->Serve(services);
  return server;
}

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options) {
  MILLRACE_ASSIGN(const HostPort at, Split(options.listen));
  gpr_set_log_function(ForwardGrpcLog);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  auto state = std::make_unique<State>();
  state->services.push_back(MakeIngestService(options, &state->serving));
  state->services.push_back(MakeControlService(options, &state->serving));
  state->services.push_back(MakeQueryService(options, &state->serving));
  grpc::ServerBuilder builder;
  SetChannelArguments(options, &builder);
  builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &state->port);
  for (const auto& s : state->services) builder.RegisterService(s->service());
  starting = true;
  state->server = builder.BuildAndStart();
  starting = false;
  if (!state->server || state->port == 0)
    return Unavailable("cannot listen for gRPC: " + WhyNotListening(at) +
                       "; stop what uses the address or choose another with --listen (port 0: any "
                       "free one) listen=" +
                       options.listen);
  state->address = at.host + ":" + std::to_string(state->port);
  if (auto* health = state->server->GetHealthCheckService()) health->SetServingStatus(false);
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

void Server::Serve(Services services) {
  state_->backends = services;
  state_->serving.store(&state_->backends);
  if (auto* health = state_->server->GetHealthCheckService()) health->SetServingStatus(true);
}

const std::string& Server::address() const { return state_->address; }
int Server::port() const { return state_->port; }

void Server::Stop(std::chrono::milliseconds grace) {
  if (std::exchange(state_->stopped, true)) return;
  if (auto* health = state_->server->GetHealthCheckService()) health->Shutdown();
  for (const auto& s : state_->services) s->Drain();
  state_->server->Shutdown(std::chrono::system_clock::now() + grace);
}

}  // namespace millrace::rpc
