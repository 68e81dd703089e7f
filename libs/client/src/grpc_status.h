#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "millrace/base/result.h"

namespace millrace::client {

/// What the server says about a failed call.
struct Failure {
  Error error;
  std::string reason = {};  ///< of ErrorInfo, else the name of the code
  std::chrono::milliseconds retry_after{0};
  bool permanent = false;     ///< the same call fails the same way again
  bool nothing_done = false;  ///< the server's own word that what it did not answer was not done
  bool elsewhere = false;     ///< it did nothing, and another server may
};

Failure FailureOf(const grpc::Status& status, const std::string& endpoint);

/// A connection of its own, which notices a dead peer.
std::shared_ptr<grpc::Channel> OpenChannel(const std::string& endpoint);

bool ValidUtf8(std::string_view text);

}  // namespace millrace::client
