#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "millrace/base/executor.h"
#include "millrace/base/facts.h"

namespace millrace::log_kafka {

/// A few threads for calls that block. Calls beyond a bound are refused: a broker that hangs makes
/// callers wait no longer than the calls before theirs.
class Callers {
 public:
  Callers(size_t threads, size_t most_waiting);
  ~Callers();

  /// Runs `call` on one of the threads and gives its Result on the calling executor. `call` must
  /// own what it touches: it may still run after the awaiting frame was destroyed.
  template <typename F, typename R = std::invoke_result_t<F>>
  Task<R> Call(F call) {
    const Completion<R> done;
    const bool taken = Post([done, call = std::move(call)]() mutable { done.Set(call()); });
    if (!taken) co_return Unavailable("too many calls wait for the Kafka brokers");
    R result = co_await done;
    co_return result;
  }

  /// Whether `job` will run: false if too many wait.
  bool Post(std::function<void()> job);
  /// Runs `job` later, whatever waits: for what gives something back, which is bounded by what was
  /// taken.
  void PostAlways(std::function<void()> job);

 private:
  void Run();

  const size_t most_waiting_;
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::log_kafka
