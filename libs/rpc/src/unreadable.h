#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_interceptor.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <vector>

namespace millrace::rpc {

/// What a call gets whose message is not of its type. Nothing of it was done.
grpc::Status UnreadableStatus();

/// They give it to unary calls and to those that stream answers, which gRPC ends with an empty
/// UNIMPLEMENTED. A call that streams requests cannot be told from one that ended, so it must read
/// bytes and parse them itself.
std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
UnreadableInterceptors();

}  // namespace millrace::rpc
