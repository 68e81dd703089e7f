#include "millrace/log_kafka/topics_probe.h"

#include <set>

#include "admin.h"
#include "callers.h"

namespace millrace::log_kafka {
namespace {

using doctor::Failed;
using doctor::Findings;
using doctor::Grade;

constexpr const char* kPart = "log";

Result<Findings> Look(const Options& options, const std::vector<std::string>& ours) {
  MILLRACE_ASSIGN(const auto admin, Admin::Open(options));
  MILLRACE_ASSIGN(const auto listed, admin->List());
  Findings findings{{kPart, "brokers", Grade::kOk, "they answer at " + options.brokers}};
  std::set<std::string> topics(ours.begin(), ours.end());
  for (const TopicSpec& topic : listed) topics.insert(topic.name);
  size_t safe = 0;
  for (const std::string& topic : topics) {
    const Status checked = admin->CheckTopic(topic);
    if (checked.ok()) ++safe;
    if (checked.ok() || checked.error().code == Code::kNotFound) continue;
    findings.push_back(Failed(kPart, "topic settings", checked.error(),
                              "kafka-configs.sh --alter --topic " + topic +
                                  " --add-config SETTING=VALUE, with what is wanted"));
  }
  findings.push_back({kPart, "topic settings", Grade::kOk,
                      std::to_string(safe) + " topics are set as they must be"});
  return findings;
}

}  // namespace

Task<Findings> TopicsProbe::Run() {
  Callers callers(1, 1);
  auto looking = callers.Call([options = options_, ours = ours_] { return Look(options, ours); });
  const Result<Findings> looked = co_await std::move(looking);
  if (looked.ok()) co_return *looked;
  Findings unreached{Failed(kPart, "brokers", looked.error())};
  co_return unreached;
}

}  // namespace millrace::log_kafka
