#pragma once

#include <cstdlib>
#include <iostream>
#include <string>

#include "support/catch.h"

namespace millrace::test {

/// Whether the test must end because its server cannot be had; `why` is empty where it can. ctest
/// shows such a test as skipped. With MILLRACE_REQUIRE_SERVERS=1 it fails, but for a server that
/// the option of deploy/setup.sh --servers does not bring.
inline bool SkipWithout(const std::string& why, const std::string& option = "--servers") {
  if (why.empty()) return false;
  std::cout << "SKIPPED: 1 test case needs a server: run deploy/setup.sh " << option << ": " << why
            << std::endl;
  if (option != "--servers") return true;
  const char* required = std::getenv("MILLRACE_REQUIRE_SERVERS");
  if (required != nullptr && std::string(required) == "1") FAIL(why);
  return true;
}

}  // namespace millrace::test
