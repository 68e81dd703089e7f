#pragma once

#include <grpcpp/impl/codegen/service_type.h>

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

std::unique_ptr<DrainableService> MakeIngestService(const ServerOptions& options,
                                                    Executor* executor, ingest::Gateway* gateway);
std::unique_ptr<DrainableService> MakeControlService(const ServerOptions& options,
                                                     Executor* executor,
                                                     runtime::Operations* operations);
std::unique_ptr<DrainableService> MakeQueryService(const ServerOptions& options, Executor* executor,
                                                   runtime::Operations* operations);

}  // namespace millrace::rpc
