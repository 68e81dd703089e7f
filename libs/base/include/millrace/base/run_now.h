#pragma once

#include <utility>

#include "millrace/base/check.h"
#include "millrace/base/task.h"

namespace millrace {

/// Runs a task to its end on this thread, and gives its result. For tasks that block instead of
/// waiting through an executor, such as those of a client library; another one breaks a check.
template <typename T>
T RunNow(Task<T> task) {
  task.handle().resume();
  MILLRACE_CHECK(task.done(), "a task that must not wait for an executor waits for one");
  return task.handle().promise().Take();
}

}  // namespace millrace
