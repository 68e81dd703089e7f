#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "connection.h"
#include "millrace/base/executor.h"

namespace millrace::serving_postgres {

/// Threads with a connection each, which do one piece of work after another. A server that does not
/// answer is waited for here, so that it holds up nothing else of the process.
class Lane {
 public:
  /// Pieces of work that wait; a further one is refused.
  static constexpr size_t kMaxWaiting = 1'024;

  Lane(const std::string& conninfo, Connection::Use use, size_t threads);
  /// Waits for the pieces under way and drops the others.
  ~Lane();

  /// Runs `fn(connection)` on one of the threads and gives its Result on the calling executor. `fn`
  /// must own what it touches: it may still run after the awaiting frame was destroyed.
  template <typename F, typename T = std::invoke_result_t<F, Connection&>>
  Task<T> Run(F fn) {
    const Completion<T> done;
    const bool taken = Post(
        [fn = std::move(fn), done](Connection& connection) mutable { done.Set(fn(connection)); });
    if (!taken)
      done.Set(T(ResourceExhausted("too many calls wait for PostgreSQL: it is slow or gone")));
    T value = co_await done;
    co_return value;
  }

 private:
  using Work = std::function<void(Connection&)>;

  bool Post(Work work);
  void Loop(Connection& connection);

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Work> queue_;
  bool stopping_ = false;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::serving_postgres
