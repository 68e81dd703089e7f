#pragma once

#include <string>

#include "millrace/base/result.h"

namespace millrace::log_embedded {

/// Makes the directory if it is not there and locks it; gives the descriptor that holds the lock.
/// kConflict: another process has it. kInvalidArgument: it cannot be made or written. kUnavailable:
/// a failure that may pass.
Result<int> LockDirectory(const std::string& directory);

}  // namespace millrace::log_embedded
