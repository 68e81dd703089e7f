#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "millrace/base/executor.h"

namespace millrace {

/// Runs executors on real threads: one thread a core, and a bounded pool for what blocks.
///
/// Life: build, spawn tasks on cores, Stop() (or destroy). Stop destroys the tasks that have not
/// ended, on their own cores, so what they use must outlive the driver. Threads: any.
class ThreadDriver {
 public:
  struct Options {
    int cores = 2;
    int blocking_threads = 8;
    /// Called when an exception leaves a spawned task: a broken invariant that nobody nearer
    /// caught.
    std::function<void(const std::string& what)> on_failure;
  };

  /// Throws std::system_error if the system gives it too few threads; those it had are ended.
  explicit ThreadDriver(Options options);
  ~ThreadDriver();

  int cores() const;
  Executor& core(int i);
  /// No task runs after it returns. Idempotent.
  void Stop();

 private:
  class Core;
  class BlockingPool;

  Options options_;
  std::unique_ptr<BlockingPool> pool_;
  std::vector<std::unique_ptr<Core>> cores_;
};

/// Runs `task` on `executor` and waits for its value. Not from an executor's own thread.
template <typename T>
T RunBlocking(Executor& executor, Task<T> task);

namespace driver_internal {
/// Spawns `task` and waits until it ends.
void SpawnAndWait(Executor& executor, Task<void> task);
}  // namespace driver_internal

template <typename T>
T RunBlocking(Executor& executor, Task<T> task) {
  std::optional<T> value;
  driver_internal::SpawnAndWait(executor, [](Task<T> inner, std::optional<T>* out) -> Task<void> {
    T v = co_await std::move(inner);
    out->emplace(std::move(v));
  }(std::move(task), &value));
  MILLRACE_CHECK(value.has_value(), "the driver stopped before the task ended");
  return std::move(*value);
}

}  // namespace millrace
