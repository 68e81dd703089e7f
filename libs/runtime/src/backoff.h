#pragma once

#include <algorithm>

#include "millrace/base/executor.h"

namespace millrace::runtime {

/// Doubles from first to last while failures go on.
class Backoff {
 public:
  Backoff(Executor::Duration first, Executor::Duration last)
      : first_(first), last_(last), next_(first) {}
  void Reset() { next_ = first_; }
  Executor::Duration Next() {
    const auto now = next_;
    next_ = std::min(next_ * 2, last_);
    return now;
  }

 private:
  Executor::Duration first_;
  Executor::Duration last_;
  Executor::Duration next_;
};

}  // namespace millrace::runtime
