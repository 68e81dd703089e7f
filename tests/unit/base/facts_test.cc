#include "millrace/base/facts.h"
#include "support/catch.h"

using namespace millrace;

TEST_CASE("facts stand behind the sentence, quoted where they could not be split again") {
  const Error error = Conflict("the topic exists with another number of partitions",
                               {{"topic", "orders"}, {"has", 4}, {"error", "no \"space\" left\n"}});
  CHECK(error.code == Code::kConflict);
  CHECK(error.message ==
        "the topic exists with another number of partitions: topic=orders has=4 "
        "error=\"no \\\"space\\\" left\\n\"");
  CHECK(NotFound("nothing", {}).message == "nothing");
  CHECK(InvalidArgument("no name", {{"name", ""}}).message == "no name: name=\"\"");
  CHECK(Unavailable("x", {{"a", "b=c"}}).message == "x: a=\"b=c\"");
}

TEST_CASE("an error says what was being done") {
  const Error error = In("reading the manifest", Corruption("it does not decode", {{"cut", 3}}));
  CHECK(error.code == Code::kCorruption);
  CHECK(error.message == "reading the manifest: it does not decode: cut=3");
}
