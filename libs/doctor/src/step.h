#pragma once

#include <string>

#include "millrace/doctor/probe.h"

namespace millrace::doctor {

/// Runs a step and adds what came of it. Gives whether it went well.
Task<bool> Step(std::string part, std::string check, Task<Status> step, Findings* findings);

}  // namespace millrace::doctor
