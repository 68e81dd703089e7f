#include "millrace/runtime/troubles.h"

#include "millrace/base/log.h"
#include "millrace/base/time.h"

namespace millrace::runtime {
namespace {

constexpr auto kWarnAgain = std::chrono::minutes(1);

}  // namespace

void Troubles::Failed(std::string_view part, std::string_view advice, const Error& error) {
  const Executor& executor = Executor::Current();
  const auto now = executor.Monotonic();
  const auto [at, first] = failing_.try_emplace(std::string(part));
  Trouble& trouble = at->second;
  if (first) trouble.since = executor.Wall();
  if (first) trouble.began = now;
  trouble.advice = advice;
  trouble.error = error.message;
  if (!first && now - trouble.warned < kWarnAgain) return;
  trouble.warned = now;
  LogWarn("a part fails, it is tried again", {{"of", subject_},
                                              {"part", part},
                                              {"since", FormatTimestamp(trouble.since)},
                                              {"do", trouble.advice},
                                              {"error", trouble.error}});
}

void Troubles::Worked(std::string_view part) {
  const auto at = failing_.find(part);
  if (at == failing_.end()) return;
  LogInfo("a part works again",
          {{"of", subject_}, {"part", part}, {"failed_since", FormatTimestamp(at->second.since)}});
  failing_.erase(at);
}

bool Troubles::failing_for(std::string_view part, Executor::Duration least) const {
  const auto at = failing_.find(part);
  return at != failing_.end() && Executor::Current().Monotonic() - at->second.began >= least;
}

std::string Troubles::Text() const {
  std::string text;
  for (const auto& [part, trouble] : failing_)
    text += (text.empty() ? "" : "; ") + Text(part, trouble);
  return text;
}

std::string Troubles::Text(std::string_view part) const {
  const auto at = failing_.find(part);
  return at == failing_.end() ? "" : Text(part, at->second);
}

std::string Troubles::Text(std::string_view part, const Trouble& trouble) {
  return std::string(part) + " fails since " + FormatTimestamp(trouble.since) +
         " and is tried again: " + trouble.advice + " error=\"" + trouble.error + "\"";
}

}  // namespace millrace::runtime
