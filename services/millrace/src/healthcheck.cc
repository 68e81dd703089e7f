#include "healthcheck.h"

#include "millrace/admin/fetch.h"

namespace millrace {

int RunHealthcheck(const HealthcheckOptions& options, const cli::Console& console) {
  constexpr std::chrono::seconds kPatience(3);
  constexpr int kHttpOk = 200;
  const auto page = admin::Fetch(options.admin, options.live ? "/livez" : "/readyz", kPatience);
  if (!page.ok()) return console.Fail(page.error());
  if (page->status == kHttpOk) return console.Finish();
  console.Note("error: the process is not well: " + page->body);
  return cli::kExitRuntime;
}

}  // namespace millrace
