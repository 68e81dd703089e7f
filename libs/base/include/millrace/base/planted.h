#pragma once

#include <string_view>

namespace millrace {

/// Known mistakes that a test build can commit on purpose, one at a time, to show that the proof finds them. In every other build
/// Planted() is false at compile time and the code behind it is gone.
#ifdef MILLRACE_PLANTED_BUGS
inline std::string_view planted_bug;  // NOLINT: set by the test that plants it
inline bool Planted(std::string_view bug) { return bug == planted_bug; }
#else
constexpr bool Planted(std::string_view /*bug*/) { return false; }
#endif

}  // namespace millrace
