#pragma once

#include <vector>

#include "millrace/doctor/probe.h"
#include "millrace/log_kafka/options.h"

namespace millrace::log_kafka {

/// Looks whether the topics of logs of ours in a Kafka cluster have settings under which records
/// can be lost or changed. Makes nothing.
class TopicsProbe : public doctor::Probe {
 public:
  /// `ours`: topics that belong to us if they are there, whoever made them.
  TopicsProbe(Options options, std::vector<std::string> ours)
      : options_(std::move(options)), ours_(std::move(ours)) {}

  Task<doctor::Findings> Run() override;

 private:
  const Options options_;
  const std::vector<std::string> ours_;
};

}  // namespace millrace::log_kafka
