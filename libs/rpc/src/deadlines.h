#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "millrace/base/executor.h"

namespace millrace::rpc {

/// Ends what has taken longer than it may. One timer serves all, because a timer of each would stay
/// behind for what has long ended.
///
/// Threads: any. `end` runs on the executor and without a lock, possibly still when Remove returns.
class Deadlines : public std::enable_shared_from_this<Deadlines> {
 public:
  explicit Deadlines(Executor::Duration longest) : longest_(longest) {}

  /// Calls `end` when the longest time has passed, unless Remove comes first. The executor is the
  /// same in all calls.
  uint64_t Add(Executor* executor, std::function<void()> end);
  void Remove(uint64_t id);

 private:
  struct Waiting {
    Executor::Duration due;
    std::function<void()> end;
  };

  void Fire(Executor* executor);
  void Arm(Executor* executor, Executor::Duration delay);

  const Executor::Duration longest_;
  std::mutex mutex_;
  std::map<uint64_t, Waiting> waiting_;  ///< in the order of their ends
  uint64_t next_ = 0;
  bool armed_ = false;
};

}  // namespace millrace::rpc
