#pragma once

#include <chrono>
#include <string>

#include "millrace/base/result.h"

namespace millrace::admin {

struct Page {
  int status = 0;  ///< of HTTP
  std::string body;
};

/// Asks an AdminServer for a page, such as "/readyz". Blocks, at most about twice `patience`.
/// kInvalidArgument: `address` is not HOST:PORT. kUnavailable: nobody answers there, or something
/// else than an AdminServer. At most 1 MiB of a page is read.
Result<Page> Fetch(const std::string& address, const std::string& path,
                   std::chrono::milliseconds patience);

}  // namespace millrace::admin
