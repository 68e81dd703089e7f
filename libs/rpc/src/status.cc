#include "status.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

#include <cctype>

namespace millrace::rpc {
namespace {

/// gRPC ends a call whose metadata is past 8 KiB with a status of its own. The message travels once
/// as it is and once in the details, which are base64; some clients take only equal texts for one
/// status.
constexpr size_t kMaxMessageBytes = 2'800;
/// What a field's violation says, also in the details.
constexpr size_t kMaxFieldBytes = 512;

/// A byte of a message in gRPC's percent-encoding.
size_t EncodedBytes(char c) { return c >= 0x20 && c <= 0x7e && c != '%' ? 1 : 3; }

/// As much of a text as fits into `bytes` when it is encoded; what is cut ends with " ...".
std::string Shortened(const std::string& text, size_t bytes) {
  constexpr std::string_view kCut = " ...";
  size_t encoded = 0;
  size_t fits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    // Between characters only: the rest of one begins with the bits 10.
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xc0u) != 0x80u;
    if (begins && encoded + kCut.size() <= bytes) fits = i;
    encoded += EncodedBytes(text[i]);
    if (encoded > bytes) return text.substr(0, fits).append(kCut);
  }
  return text;
}

}  // namespace

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
  const std::string message = Shortened(error.message, kMaxMessageBytes);
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(error.reason);
  info.set_domain("millrace");
  status.add_details()->PackFrom(info);
  if (!error.field.empty() && error.code == Code::kInvalidArgument) {
    google::rpc::BadRequest bad;
    auto* violation = bad.add_field_violations();
    violation->set_field(error.field);
    violation->set_description(Shortened(error.message, kMaxFieldBytes));
    status.add_details()->PackFrom(bad);
  }
  if (error.retry_after.count() > 0) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(error.retry_after.count() / 1'000);
    retry.mutable_retry_delay()->set_nanos(
        static_cast<int32_t>(error.retry_after.count() % 1'000 * 1'000'000));
    status.add_details()->PackFrom(retry);
  }
  return {code, message, status.SerializeAsString()};
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
