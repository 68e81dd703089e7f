#include "millrace/base/host_port.h"
#include "support/catch.h"

namespace millrace {
namespace {

TEST_CASE("addresses of hosts and of IPv6 read back as written") {
  const std::string text = GENERATE("127.0.0.1:7171", "localhost:0", "[::1]:65535");
  const auto parsed = ParseHostPort(text);
  REQUIRE(parsed.ok());
  CHECK(parsed->ToString() == text);
}

TEST_CASE("what is no HOST:PORT is refused with an example") {
  const std::string text = GENERATE("", "7171", "host", "host:", ":7171", "host:65536", "host:-1",
                                    "host:7x", "::1:7171", "[]:1");
  const auto parsed = ParseHostPort(text);
  REQUIRE(!parsed.ok());
  CHECK(parsed.error().code == Code::kInvalidArgument);
  CHECK(parsed.error().message.find("127.0.0.1:7171") != std::string::npos);
}

}  // namespace
}  // namespace millrace
