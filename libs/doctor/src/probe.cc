#include "millrace/doctor/probe.h"

#include <algorithm>

#include "millrace/base/executor.h"
#include "step.h"

namespace millrace::doctor {

std::string_view GradeName(Grade grade) {
  switch (grade) {
    case Grade::kOk:
      return "ok";
    case Grade::kWarn:
      return "warn";
    case Grade::kFail:
      return "FAIL";
  }
  return "FAIL";
}

Finding Failed(std::string part, std::string check, const Error& error, std::string advice) {
  return {std::move(part), std::move(check), Grade::kFail, error.message, std::move(advice)};
}

Task<bool> Step(std::string part, std::string check, Task<Status> step, Findings* findings) {
  const auto begin = Executor::Current().Monotonic();
  const Status done = co_await std::move(step);
  const auto took = (Executor::Current().Monotonic() - begin).count() / 1'000;
  if (done.ok()) {
    findings->push_back({part, check, Grade::kOk, "works, in " + std::to_string(took) + " ms"});
  } else {
    findings->push_back(Failed(part, check, done.error()));
  }
  co_return done.ok();
}

bool AnyFailed(const Findings& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& f) { return f.grade == Grade::kFail; });
}

}  // namespace millrace::doctor
