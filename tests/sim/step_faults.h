#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "sim/sim_world.h"

namespace millrace::sim {

/// Faults at named steps: the process that next passes a crash point dies there, or stands still.
/// Points that were passed before are as likely as each other, however often they are passed. One
/// at a time in a program.
class StepFaults {
 public:
  explicit StepFaults(SimWorld* world);
  ~StepFaults();
  StepFaults(const StepFaults&) = delete;

  /// At some point the next process dies, or stands still for `d`.
  void Arm(bool dies, Executor::Duration d);
  void Disarm() { armed_.reset(); }

  struct Happened {
    int64_t died = 0;
    int64_t stood_still = 0;
  };
  /// By the point's name.
  const std::map<std::string, Happened>& happened() const { return happened_; }

 private:
  struct Armed {
    std::string at;
    bool dies = false;
    Executor::Duration stands_still{0};
  };
  static void Pass(std::string_view name);
  void Passed(const std::string& name);

  SimWorld* const world_;
  std::set<std::string> passed_;
  std::optional<Armed> armed_;
  std::map<std::string, Happened> happened_;
};

}  // namespace millrace::sim
