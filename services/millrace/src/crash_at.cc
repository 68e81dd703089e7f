#include "crash_at.h"

#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "millrace/base/crash_point.h"

namespace millrace {
namespace {

std::string crash_name;             // NOLINT: set once, before any other thread
std::atomic<long> passes_left = 0;  // NOLINT

void AtCrashPoint(std::string_view name) {
  if (name == crash_name && passes_left.fetch_sub(1) == 1) raise(SIGKILL);
}

}  // namespace

void InstallCrashAtFromEnvironment() {
  const char* value = std::getenv("MILLRACE_CRASH_AT");
  if (value == nullptr) return;
  const std::string text = value;
  const size_t colon = text.rfind(':');
  crash_name = text.substr(0, colon);
  passes_left = colon == text.npos ? 1 : std::strtol(text.c_str() + colon + 1, nullptr, 10);
  InstallCrashPointHandler(AtCrashPoint);
}

}  // namespace millrace
