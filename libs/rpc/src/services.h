#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <atomic>
#include <memory>

#include "millrace/rpc/server.h"

namespace millrace::rpc {

/// A gRPC service of ours. Drain: no new work; what is under way ends on its own.
class DrainableService {
 public:
  virtual ~DrainableService() = default;
  virtual grpc::Service* service() = 0;
  virtual void Drain() {}
};

/// What calls are passed on to; null until the server serves.
using Serving = std::atomic<const Services*>;

/// `serving` outlives the service.
std::unique_ptr<DrainableService> MakeIngestService(const ServerOptions& options,
                                                    const Serving* serving);
std::unique_ptr<DrainableService> MakeControlService(const ServerOptions& options,
                                                     const Serving* serving);
std::unique_ptr<DrainableService> MakeQueryService(const ServerOptions& options,
                                                   const Serving* serving);
std::unique_ptr<DrainableService> MakeLinkService(const Serving* serving);

}  // namespace millrace::rpc
