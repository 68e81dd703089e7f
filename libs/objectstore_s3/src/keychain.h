#pragma once

#include <chrono>
#include <mutex>
#include <optional>

#include "millrace/objectstore_s3/options.h"
#include "signature.h"

namespace millrace::objectstore_s3 {

/// Where the keys of requests come from. What is read or asked for is kept for a minute, so that
/// keys may be changed while the process runs. Threads: any; may block.
class Keychain {
 public:
  explicit Keychain(Credentials credentials) : credentials_(std::move(credentials)) {}

  /// kInvalidArgument: there are none, or a file cannot be read.
  Result<Keys> Get();
  /// The store refused them: the next Get looks again.
  void Forget();

 private:
  Result<Keys> Read() const;

  const Credentials credentials_;
  std::mutex mutex_;
  std::optional<Keys> keys_;
  std::chrono::steady_clock::time_point read_;
};

}  // namespace millrace::objectstore_s3
