#include "status.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

#include <cctype>

namespace millrace::rpc {

grpc::StatusCode GrpcCode(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case Code::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case Code::kConflict:
      return grpc::StatusCode::ABORTED;
    case Code::kFenced:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case Code::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case Code::kResourceExhausted:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Code::kCorruption:
      return grpc::StatusCode::DATA_LOSS;
    case Code::kInternal:
      return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::UNKNOWN;
}

grpc::Status ToStatus(const ingest::RequestError& error) {
  const grpc::StatusCode code = GrpcCode(error.code);
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(error.message);
  google::rpc::ErrorInfo info;
  info.set_reason(error.reason);
  info.set_domain("millrace");
  status.add_details()->PackFrom(info);
  if (!error.field.empty() && error.code == Code::kInvalidArgument) {
    google::rpc::BadRequest bad;
    auto* violation = bad.add_field_violations();
    violation->set_field(error.field);
    violation->set_description(error.message);
    status.add_details()->PackFrom(bad);
  }
  if (error.retry_after.count() > 0) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(error.retry_after.count() / 1'000);
    retry.mutable_retry_delay()->set_nanos(
        static_cast<int32_t>(error.retry_after.count() % 1'000 * 1'000'000));
    status.add_details()->PackFrom(retry);
  }
  return {code, error.message, status.SerializeAsString()};
}

grpc::Status ToStatus(const Error& error) {
  std::string reason(CodeName(error.code));
  for (char& c : reason) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return ToStatus(ingest::RequestError{error.code, std::move(reason), error.message, "", {}});
}

grpc::Status StoppingStatus() {
  return ToStatus(ingest::RequestError{
      Code::kUnavailable, "STOPPING", "the server is stopping; go on with another one", "", {}});
}

grpc::Status NotServingStatus(bool recovering) {
  if (!recovering)
    return {grpc::StatusCode::UNIMPLEMENTED, "this server does not have the service; ask another"};
  return ToStatus(ingest::RequestError{Code::kUnavailable,
                                       "RECOVERING",
                                       "the server is recovering what it holds; ask again in a "
                                       "moment, /readyz tells when it is ready",
                                       "",
                                       {}});
}

grpc::Status LostStatus() {
  return {grpc::StatusCode::UNAVAILABLE,
          "the server stopped before the outcome was known; ask again"};
}

}  // namespace millrace::rpc
