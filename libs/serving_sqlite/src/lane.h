#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "millrace/base/executor.h"
#include "sqlite.h"

namespace millrace::serving_sqlite {

/// Threads with a connection each, which do one piece of work after another. SQLite's locks are
/// waited for here, so that they hold up nothing else of the process. The queue is bounded by who
/// feeds it: every coroutine waits for its own piece of work.
class Lane {
 public:
  explicit Lane(std::vector<std::unique_ptr<Connection>> connections);
  /// Waits for the pieces under way and drops the others.
  ~Lane();

  /// Runs `fn(connection)` on one of the threads and gives its value on the calling executor. `fn`
  /// must own what it touches: it may still run after the awaiting frame was destroyed.
  template <typename F, typename T = std::invoke_result_t<F, Connection&>>
  Task<T> Run(F fn) {
    const Completion<T> done;
    Post([fn = std::move(fn), done](Connection& connection) mutable { done.Set(fn(connection)); });
    T value = co_await done;
    co_return value;
  }

 private:
  using Work = std::function<void(Connection&)>;

  void Post(Work work);
  void Loop(Connection& connection);

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Work> queue_;
  bool stopping_ = false;
  const std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::serving_sqlite
