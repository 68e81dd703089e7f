#pragma once

#include <string>

#include "sim/scenario.h"

namespace millrace::sim {

/// A second process over the stores of a scenario, with links of its own.
class Rival {
 public:
  explicit Rival(Scenario* s, const std::string& name = "rival",
                 const runtime::Options& options = Scenario::Quick(),
                 Process::Role role = Process::Role::kAll)
      : links_(&s->cluster, &s->cluster.network(), &faults_),
        process_(&s->world, &s->cluster, &links_, {name, options, role}) {}

  /// It leads.
  bool started() const { return process_.started(); }
  runtime::Coordinator& coordinator() { return process_.coordinator(); }
  SimExecutor* process() { return &process_.executor(); }

 private:
  Faults faults_;
  Links links_;
  Process process_;
};

}  // namespace millrace::sim
