#include "topic_settings.h"

#include <cstdlib>

#include "bounds.h"
#include "millrace/base/facts.h"

namespace millrace::log_kafka {
namespace {

using Must = Setting::Must;

/// It has a meaning for compacted topics only, which ours never are, and the brokers store any
/// number up to 2^63 with the topic from its first moment on: docs/adr/0029.
constexpr const char* kIdSetting = "min.compaction.lag.ms";

bool Allows(const Setting& wanted, const std::string& has) {
  if (wanted.must == Must::kAny) return true;
  if (wanted.must == Must::kEqual) return has == wanted.value;
  return std::strtoll(has.c_str(), nullptr, 10) >= std::strtoll(wanted.value.c_str(), nullptr, 10);
}

}  // namespace

std::vector<Setting> TopicSettings(const Options& options, const std::string& id) {
  return {
      {"cleanup.policy", "delete"},
      {"message.timestamp.type", "LogAppendTime"},
      {"unclean.leader.election.enable", "false"},
      {"min.insync.replicas", std::to_string(options.min_insync_replicas), Must::kAtLeast},
      {"max.message.bytes", std::to_string(kMaxBatchBytes), Must::kAtLeast},
      {"retention.ms", "-1"},
      {"retention.bytes", "-1"},
      {kIdSetting, id, Must::kAny},
  };
}

std::vector<Setting> ForeignSettings() {
  return {{"cleanup.policy", "delete"}, {"unclean.leader.election.enable", "false"}};
}

bool HasAppendTimes(const std::map<std::string, std::string>& settings) {
  const auto at = settings.find("message.timestamp.type");
  return at != settings.end() && at->second == "LogAppendTime";
}

Status CheckSettings(const std::string& topic, const std::map<std::string, std::string>& has,
                     const std::vector<Setting>& wanted) {
  for (const Setting& setting : wanted) {
    const auto at = has.find(setting.name);
    const std::string value = at == has.end() ? "" : at->second;
    if (Allows(setting, value)) continue;
    return InvalidArgument(
        "a topic has a setting under which its log could lose or change records: set it as wanted",
        {{"topic", topic},
         {"setting", setting.name},
         {"has", value},
         {setting.must == Must::kAtLeast ? "wanted_at_least" : "wanted", setting.value}});
  }
  return {};
}

std::string IdOf(const std::map<std::string, std::string>& settings) {
  const auto at = settings.find(kIdSetting);
  return at == settings.end() || at->second == "0" ? "" : at->second;
}

}  // namespace millrace::log_kafka
