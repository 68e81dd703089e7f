#include "grpc_status.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

namespace millrace::client {
namespace {

/// The server takes pings every five seconds.
constexpr int kKeepaliveMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;
constexpr int kMaxMessageBytes = 64 << 20;

Code CodeOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::UNIMPLEMENTED:
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return Code::kInvalidArgument;
    case grpc::StatusCode::NOT_FOUND:
      return Code::kNotFound;
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::ALREADY_EXISTS:
      return Code::kConflict;
    case grpc::StatusCode::FAILED_PRECONDITION:
      return Code::kFenced;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return Code::kResourceExhausted;
    case grpc::StatusCode::DATA_LOSS:
      return Code::kCorruption;
    case grpc::StatusCode::INTERNAL:
      return Code::kInternal;
    default:
      return Code::kUnavailable;
  }
}

bool Permanent(Code code) {
  return code != Code::kUnavailable && code != Code::kResourceExhausted && code != Code::kInternal;
}

std::string UpperName(Code code) {
  std::string name(CodeName(code));
  for (char& c : name) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

}  // namespace

Failure FailureOf(const grpc::Status& status, const std::string& endpoint) {
  const Code code = CodeOf(status.error_code());
  Failure failure{{code, status.error_message()}, UpperName(code), {}, Permanent(code)};
  bool told = false;
  google::rpc::Status details;
  if (!status.error_details().empty() && details.ParseFromString(status.error_details())) {
    for (const auto& detail : details.details()) {
      google::rpc::ErrorInfo info;
      google::rpc::RetryInfo retry;
      if (detail.UnpackTo(&info)) {
        failure.reason = info.reason();
        told = code != Code::kInternal;
        failure.nothing_done = told && info.reason() != "APPEND_FAILED";
      } else if (detail.UnpackTo(&retry)) {
        failure.retry_after = std::chrono::milliseconds(retry.retry_delay().seconds() * 1'000 +
                                                        retry.retry_delay().nanos() / 1'000'000);
      }
    }
  }
  failure.elsewhere = status.error_code() == grpc::StatusCode::UNIMPLEMENTED ||
                      code == Code::kFenced || failure.reason == "RECOVERING" ||
                      failure.reason == "STOPPING";
  if (!told && !failure.permanent)
    failure.error.message =
        "the server cannot be reached or went away; see that it runs and that the address is right"
        " server=" +
        endpoint + " detail=" + failure.error.message;
  return failure;
}

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
}

bool ValidUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  for (size_t i = 0; i < text.size();) {
    const unsigned first = byte(i);
    const size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (length == 1) {
      ++i;
      continue;
    }
    if (first < 0xc2 || first > 0xf4 || text.size() - i < length) return false;
    for (size_t k = 1; k < length; ++k)
      if ((byte(i + k) & 0xc0u) != 0x80u) return false;
    // Over-long forms, surrogates and what lies past U+10FFFF show in the second byte.
    const unsigned second = byte(i + 1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
      return false;
    i += length;
  }
  return true;
}

}  // namespace millrace::client
