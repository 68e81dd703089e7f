#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.h"

namespace millrace {

/// Where a server listens. `host` has no brackets around an IPv6 address.
struct HostPort {
  std::string host;
  uint16_t port = 0;

  /// "127.0.0.1:7171", "[::1]:7171"
  std::string ToString() const;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

/// HOST:PORT, IPv6 addresses in brackets; port 0 lets the kernel pick. kInvalidArgument.
Result<HostPort> ParseHostPort(std::string_view text);
/// Several with commas between, and spaces if one likes, each as ToString() gives it.
/// kInvalidArgument: one of them is no address.
Result<std::vector<std::string>> ParseHostPorts(std::string_view text);

}  // namespace millrace
