#include "millrace/process/crash_at.h"

#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "millrace/base/crash_point.h"

namespace millrace::process {
namespace {

/// The Nth time that a crash point is passed. Set once, before any other thread.
struct Place {
  std::string name;
  std::atomic<long> passes_left = 0;

  void Parse(const char* variable) {
    const char* value = std::getenv(variable);
    if (value == nullptr) return;
    const std::string text = value;
    const size_t colon = text.rfind(':');
    name = text.substr(0, colon);
    passes_left = colon == text.npos ? 1 : std::strtol(text.c_str() + colon + 1, nullptr, 10);
  }
  bool IsHere(std::string_view passed) { return passed == name && passes_left.fetch_sub(1) == 1; }
};

Place crash;  // NOLINT
Place fault;  // NOLINT

void AtCrashPoint(std::string_view name) {
  if (crash.IsHere(name)) raise(SIGKILL);
  if (fault.IsHere(name)) throw std::runtime_error("thrown at " + std::string(name));
}

}  // namespace

void InstallCrashAtFromEnvironment() {
  crash.Parse("MILLRACE_CRASH_AT");
  fault.Parse("MILLRACE_THROW_AT");
  if (!crash.name.empty() || !fault.name.empty()) InstallCrashPointHandler(AtCrashPoint);
}

}  // namespace millrace::process
