#include <fstream>
#include <iterator>
#include <string>

#include "millrace/sql/planner.h"
#include "support/catch.h"

using namespace millrace;

TEST_CASE("every script of docs/sql.md plans") {
  std::ifstream in(MILLRACE_DOCS "/sql.md");
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::string open = "```sql\n";
  int scripts = 0;
  for (size_t at = text.find(open); at != std::string::npos; at = text.find(open, at)) {
    at += open.size();
    const std::string script = text.substr(at, text.find("```", at) - at);
    const auto plans = PlanScript(script);
    INFO(script << (plans.ok() ? "" : plans.error().message));
    CHECK(plans.ok());
    ++scripts;
  }
  CHECK(scripts == 2);
}
