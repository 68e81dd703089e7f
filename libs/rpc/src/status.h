#pragma once

#include <grpcpp/support/status.h>

#include "millrace/base/result.h"
#include "millrace/ingest/publish.h"

namespace millrace::rpc {

/// kConflict: ABORTED; kFenced: FAILED_PRECONDITION; kCorruption: DATA_LOSS; the others by name.
grpc::StatusCode GrpcCode(Code code);

/// With google.rpc details: ErrorInfo always, BadRequest for a field, RetryInfo for a delay. A long
/// message is cut, in the details sooner, so that gRPC carries the status.
grpc::Status ToStatus(const ingest::RequestError& error);
grpc::Status ToStatus(const Error& error);

/// For calls that were not begun because the process ends.
grpc::Status StoppingStatus();
/// For calls that cannot be passed on: the process recovers, or it never has the service.
grpc::Status NotServingStatus(bool recovering);
/// For calls whose task was destroyed on the way. No details: those say that nothing was done.
grpc::Status LostStatus();

}  // namespace millrace::rpc
