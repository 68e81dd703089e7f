#include "sim/step_faults.h"

#include <iterator>

#include "millrace/base/crash_point.h"

namespace millrace::sim {
namespace {

StepFaults* installed = nullptr;

}  // namespace

StepFaults::StepFaults(SimWorld* world) : world_(world) {
  installed = this;
  InstallCrashPointHandler(Pass);
}

StepFaults::~StepFaults() {
  InstallCrashPointHandler(nullptr);
  installed = nullptr;
}

void StepFaults::Arm(bool dies, Executor::Duration d) {
  if (passed_.empty()) return;
  const auto at =
      std::next(passed_.begin(), static_cast<std::ptrdiff_t>(world_->Random(passed_.size())));
  armed_ = Armed{*at, dies, d};
}

void StepFaults::Pass(std::string_view name) { installed->Passed(std::string(name)); }

void StepFaults::Passed(const std::string& name) {
  passed_.insert(name);
  if (!armed_ || armed_->at != name) return;
  const Armed fault = *armed_;
  armed_.reset();
  Happened& here = happened_[name];
  if (fault.dies) {
    ++here.died;
    throw SimCrash{name};
  }
  ++here.stood_still;
  static_cast<SimExecutor&>(Executor::Current()).Pause(fault.stands_still);
}

}  // namespace millrace::sim
