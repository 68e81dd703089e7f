#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/base/task.h"

namespace millrace::doctor {

enum class Grade { kOk, kWarn, kFail };
/// "ok", "warn", "FAIL".
std::string_view GradeName(Grade grade);

/// What one check found.
struct Finding {
  std::string part;   ///< "log", "objects", "serving", ...
  std::string check;  ///< "append", "lifecycle rules", ...
  Grade grade = Grade::kOk;
  std::string found;
  std::string advice{};  ///< what to change; empty: nothing
};
using Findings = std::vector<Finding>;

/// A failed check; the message of an error says what to do.
Finding Failed(std::string part, std::string check, const Error& error, std::string advice = {});
bool AnyFailed(const Findings& findings);

/// Examines one thing that Millrace stands on. Threads: one executor. One Run at a time.
class Probe {
 public:
  virtual ~Probe() = default;

  /// The first finding is whether the thing can be reached and used at all. Where that failed there
  /// are no others.
  virtual Task<Findings> Run() = 0;
};

}  // namespace millrace::doctor
