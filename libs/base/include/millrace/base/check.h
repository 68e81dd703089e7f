#pragma once

#include <stdexcept>
#include <string>

namespace millrace {

/// A broken invariant of our own code. It halts the shard (or request) that meets it, not the
/// process: whoever runs shards and requests catches it at the outermost frame.
class InvariantViolation : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void FailCheck(const char* file, int line, const char* condition,
                            const std::string& what);

}  // namespace millrace

/// Stays on in release builds. Only for what our own bug can break; bytes from outside get an
/// Error.
#define MILLRACE_CHECK(condition, what)                              \
  do {                                                               \
    if (!(condition)) [[unlikely]]                                   \
      ::millrace::FailCheck(__FILE__, __LINE__, #condition, (what)); \
  } while (false)
