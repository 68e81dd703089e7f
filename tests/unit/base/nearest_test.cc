#include "millrace/base/nearest.h"
#include "support/catch.h"

namespace millrace {
namespace {

TEST_CASE("the nearest name is at most two edits away, a swap of neighbours being one") {
  const std::vector<std::string> there{"orders", "flights", "v"};
  CHECK(Nearest("ordres", there) == "orders");
  CHECK(Nearest("ORDERS", there) == "orders");
  CHECK(Nearest("fligt", there) == "flights");
  CHECK(Nearest("flig", there).empty());
  CHECK(Nearest("flig", there, 3) == "flights");
  CHECK(Nearest("orders", {}).empty());
}

TEST_CASE("a name of which every letter would have to change is not meant") {
  CHECK(Nearest("ab", {"xy"}).empty());
  CHECK(Nearest("a", {"b"}).empty());
  CHECK(Nearest("", {"b"}).empty());
}

TEST_CASE("what does not exist is told in one form, with the verb that lists it") {
  const Error near = NoSuch("stream", "ordres", {"flights", "orders"});
  CHECK(near.code == Code::kNotFound);
  CHECK(near.message ==
        "no such stream; did you mean \"orders\"? `millrace stream list` shows what there is "
        "stream=ordres");
  CHECK(NoSuch("pipeline", "x", {"orders"}).message ==
        "no such pipeline; `millrace pipeline list` shows what there is pipeline=x");
}

}  // namespace
}  // namespace millrace
