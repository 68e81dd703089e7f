#include "millrace/process/failures.h"

#include <sys/resource.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "millrace/base/descriptors.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"

namespace millrace::process {
namespace {

/// For what nobody can catch, such as an exception in a thread of the HTTP server.
[[noreturn]] void EndWithLine() {
  std::string what = "unknown";
  if (const std::exception_ptr thrown = std::current_exception()) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      what = e.what();
    } catch (...) {
      what = "no std::exception";
    }
  }
  EndProcess(what);
}

void RaiseOpenFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
    LogWarn("the limit of open files cannot be raised", {{"error", std::strerror(errno)}});
}

}  // namespace

void EndProcess(const std::string& what) {
  LogError(
      "a task or thread ended by an exception, so the process ends; start it again, and report "
      "this",
      {{"error", what}});
  std::abort();
}

Status PrepareProcess() {
  std::set_terminate(EndWithLine);
  RaiseOpenFileLimit();
  if (const int limit = descriptors::Limit(); limit < descriptors::kLeast)
    return InvalidArgument("the limit of open files is too low, raise it (ulimit -n)",
                           {{"limit", limit}, {"least", descriptors::kLeast}});
  return {};
}

int FailConfig(const std::string& program, const Error& error) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), error.message.c_str());
  const bool told = error.code == Code::kInvalidArgument || error.code == Code::kConflict ||
                    error.code == Code::kUnavailable;
  return told ? kExitConfig : EXIT_FAILURE;
}

int FailStart(const std::string& program, const Error& error) {
  const int code = FailConfig(program, error);
  return error.code == Code::kUnavailable ? EXIT_FAILURE : code;
}

}  // namespace millrace::process
