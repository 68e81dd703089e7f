#include "millrace/rpc/server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <vector>

#include "grpc/health/v1/health.pb.h"
#include "listener.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "services.h"
#include "unreadable.h"

namespace millrace::rpc {
namespace {

/// Larger messages end the call in gRPC; ours are refused from 8 MiB on, with a reason.
constexpr int kMaxMessageBytes = 32 << 20;
/// A client that does not poll while it handles what it has does not answer pings either. Together
/// these are longer than the pause that a reader is allowed (longest_write), which has a message.
constexpr int kKeepaliveMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 40'000;
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

/// A message that cannot be read gets a status, and its caller hears why.
void ForwardProtobufLog(google::protobuf::LogLevel level, const char*, int,
                        const std::string& message) {
  static LogRateLimit limit(1);
  if (level >= google::protobuf::LOGLEVEL_ERROR)
    limit.Warn("protobuf reports a problem", {{"detail", message}});
}

struct HostPort {
  std::string host;
  std::string port;
};

Result<HostPort> Split(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == listen.size())
    return InvalidArgument("the listen address is not HOST:PORT", {{"listen", listen}});
  return HostPort{listen.substr(0, colon), listen.substr(colon + 1)};
}

void SetChannelArguments(const ServerOptions& options, grpc::ServerBuilder* builder) {
  const auto ms = [](std::chrono::seconds s) { return static_cast<int>(s.count() * 1'000); };
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
  std::unique_ptr<Listener> listener;
  std::unique_ptr<grpc::Server> server;
  std::string address;
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
  google::protobuf::SetLogHandler(ForwardProtobufLog);
  grpc::EnableDefaultHealthCheckService(true);
  // Reflection describes what is linked in; nothing else here names the health service's messages.
  grpc::health::v1::HealthCheckRequest::descriptor();
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  auto state = std::make_unique<State>();
  const bool bracketed = at.host.size() > 2 && at.host.front() == '[';
  auto listener =
      Listener::Bind(bracketed ? at.host.substr(1, at.host.size() - 2) : at.host, at.port);
  if (!listener.ok())
    return Unavailable(
        "cannot listen for gRPC: " + listener.error().message +
            "; stop what uses the address or choose another with --listen (port 0: any free one)",
        {{"listen", options.listen}});
  state->listener = std::move(*listener);
  state->services.push_back(MakeIngestService(options, &state->serving));
  state->services.push_back(MakeControlService(options, &state->serving));
  state->services.push_back(MakeQueryService(options, &state->serving));
  state->services.push_back(MakeLinkService(&state->serving));
  grpc::ServerBuilder builder;
  SetChannelArguments(options, &builder);
  builder.experimental().SetInterceptorCreators(UnreadableInterceptors());
  auto taker = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
  for (const auto& s : state->services) builder.RegisterService(s->service());
  starting = true;
  state->server = builder.BuildAndStart();
  starting = false;
  if (!state->server)
    return Internal("gRPC does not start its server", {{"listen", options.listen}});
  state->address = at.host + ":" + std::to_string(state->listener->port());
  if (auto* health = state->server->GetHealthCheckService()) health->SetServingStatus(false);
  Counter* refused = nullptr;
  if (options.metrics != nullptr)
    refused = &options.metrics->GetCounter(
        "millrace_rpc_connections_refused_total",
        "Connections that the gRPC port closed, or left waiting, for want of descriptors.", {});
  state->listener->Start(std::move(taker), refused);
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

void Server::Serve(Services services) {
  state_->backends = services;
  state_->serving.store(&state_->backends);
  if (auto* health = state_->server->GetHealthCheckService()) health->SetServingStatus(true);
}

const std::string& Server::address() const { return state_->address; }
int Server::port() const { return state_->listener->port(); }
std::string Server::ConnectionTrouble() const { return state_->listener->Trouble(); }

void Server::Stop(std::chrono::milliseconds grace) {
  if (std::exchange(state_->stopped, true)) return;
  if (auto* health = state_->server->GetHealthCheckService()) health->Shutdown();
  state_->listener->Stop();
  for (const auto& s : state_->services) s->Drain();
  state_->server->Shutdown(std::chrono::system_clock::now() + grace);
}

}  // namespace millrace::rpc
