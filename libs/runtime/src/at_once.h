#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "millrace/base/executor.h"
#include "millrace/base/result.h"

namespace millrace::runtime {

/// Runs tasks on the calling executor, up to `limit` of them at a time, and ends with the last.
/// Gives the first error. A caller that is destroyed leaves them running.
inline Task<Status> RunAll(std::vector<Task<Status>> tasks, size_t limit) {
  struct Run {
    std::vector<Task<Status>> tasks;
    size_t next = 0;
    size_t lanes = 0;
    Status failed;
    Completion<bool> ended;
  };
  if (tasks.empty()) co_return Status();
  auto run = std::make_shared<Run>();
  run->tasks = std::move(tasks);
  run->lanes = std::min(limit, run->tasks.size());
  const auto lane = [](std::shared_ptr<Run> of) -> Task<> {
    while (of->next < of->tasks.size()) {
      Task<Status> task = std::move(of->tasks[of->next++]);
      const Status status = co_await std::move(task);
      if (!status.ok() && of->failed.ok()) of->failed = status;
    }
    if (--of->lanes == 0) of->ended.Set(true);
  };
  for (size_t i = run->lanes; i > 0; --i) Executor::Current().Spawn(lane(run));
  co_await run->ended;
  co_return run->failed;
}

/// Runs a task on the calling executor and waits for its value no longer than `patience`. Nothing:
/// the task goes on by itself, so it must not use the caller's frame.
template <typename T>
Task<std::optional<T>> WaitAtMost(Task<T> task, Executor::Duration patience) {
  struct Run {
    std::optional<T> value;
    Event ended;
  };
  const auto run = std::make_shared<Run>();
  const auto go = [](Task<T> of, std::shared_ptr<Run> to) -> Task<> {
    T value = co_await std::move(of);
    to->value.emplace(std::move(value));
    to->ended.Notify();
  };
  Executor& executor = Executor::Current();
  const auto deadline = executor.Monotonic() + patience;
  executor.Spawn(go(std::move(task), run));
  while (!run->value && executor.Monotonic() < deadline)
    co_await run->ended.WaitFor(deadline - executor.Monotonic());
  co_return std::move(run->value);
}

}  // namespace millrace::runtime
