#pragma once

#include <map>
#include <string>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/log_kafka/options.h"

namespace millrace::log_kafka {

/// One setting of a topic, and what a check allows.
struct Setting {
  enum class Must { kEqual, kAtLeast, kAny };

  const char* name;
  std::string value;
  Must must = Must::kEqual;
};

/// Those of a topic that holds a log: docs/formats/kafka.md.
std::vector<Setting> TopicSettings(const Options& options, const std::string& id);

/// Those without which nobody else's topic can be read as a log either.
std::vector<Setting> ForeignSettings();

/// kInvalidArgument names the first setting that is not as it must be, and what to set.
Status CheckSettings(const std::string& topic, const std::map<std::string, std::string>& has,
                     const std::vector<Setting>& wanted);

bool HasAppendTimes(const std::map<std::string, std::string>& settings);

/// Empty: the topic was not made by a log of ours.
std::string IdOf(const std::map<std::string, std::string>& settings);

}  // namespace millrace::log_kafka
