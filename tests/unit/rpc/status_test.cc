#include "status.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

#include "support/catch.h"

namespace millrace::rpc {

TEST_CASE("a message of any length fits into what gRPC carries, in whole characters") {
  constexpr std::string_view kBegin = "the name is long name=";
  const std::string tail =
      GENERATE(as<std::string>(), "x", "\n", "%", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80");
  std::string message(kBegin);
  while (message.size() < 100'000) message += tail;
  const grpc::Status status = ToStatus(
      ingest::RequestError{Code::kInvalidArgument, "BATCH_TOO_LARGE", message, "events", {}});
  const auto check = [&](const std::string& text) {
    CHECK(text.substr(0, kBegin.size()) == kBegin);
    REQUIRE(text.size() > kBegin.size() + 4);
    CHECK(text.substr(text.size() - 4) == " ...");
    CHECK((text.size() - 4 - kBegin.size()) % tail.size() == 0);
  };
  check(status.error_message());
  size_t encoded = 0;
  for (const char c : status.error_message()) encoded += c >= ' ' && c <= '~' && c != '%' ? 1 : 3;
  CHECK(encoded + status.error_details().size() * 4 / 3 < 7'500);

  google::rpc::Status details;
  REQUIRE(details.ParseFromString(status.error_details()));
  CHECK(details.message() == status.error_message());
  REQUIRE(details.details_size() == 2);
  google::rpc::BadRequest bad;
  REQUIRE(details.details(1).UnpackTo(&bad));
  check(bad.field_violations(0).description());
}

TEST_CASE("a message that fits is carried as it is") {
  const std::string message(GENERATE(0u, 1u, 1'025u, 2'800u), 'x');
  const grpc::Status status = ToStatus(NotFound(message));
  CHECK(status.error_message() == message);
  google::rpc::Status details;
  REQUIRE(details.ParseFromString(status.error_details()));
  CHECK(details.message() == message);
}

}  // namespace millrace::rpc
