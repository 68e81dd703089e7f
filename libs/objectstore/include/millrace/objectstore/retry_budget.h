#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace millrace {

/// How many further tries all calls to a store may make together. A further try takes one; a call
/// that succeeds at its first try gives a part of one back. So where everything fails there are
/// soon no second tries. Threads: any.
class RetryBudget {
 public:
  RetryBudget(double most, double given_back)
      : most_(static_cast<int64_t>(most * kParts)),
        given_back_(static_cast<int64_t>(given_back * kParts)),
        left_(most_) {}

  bool Take() {
    int64_t now = left_;
    while (now >= kParts)
      if (left_.compare_exchange_weak(now, now - kParts)) return true;
    return false;
  }
  void GiveBack() {
    int64_t now = left_;
    while (now < most_ && !left_.compare_exchange_weak(now, std::min(most_, now + given_back_))) {
    }
  }

 private:
  static constexpr int64_t kParts = 1'000;  ///< of a try, so that it is a whole number

  const int64_t most_;
  const int64_t given_back_;
  std::atomic<int64_t> left_;
};

}  // namespace millrace
