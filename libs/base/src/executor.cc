#include "millrace/base/executor.h"

namespace millrace {
namespace {
thread_local Executor* current = nullptr;
}

Executor& Executor::Current() {
  MILLRACE_CHECK(current != nullptr, "no executor runs this code");
  return *current;
}

Executor* Executor::SetCurrent(Executor* e) { return std::exchange(current, e); }

Task<> Delay(Executor::Duration d) {
  Completion<bool> done;
  Executor::Current().PostAfter(d, [done] { done.Set(true); });
  co_await done;
}

void Event::Notify() {
  for (const auto& waiter : std::exchange(waiters_, {})) waiter.Set(true);
}

Task<> Event::Wait() {
  const Completion<bool> woken;
  waiters_.push_back(woken);
  co_await woken;
}

Task<> Event::WaitFor(Executor::Duration timeout) {
  const Completion<bool> woken;
  waiters_.push_back(woken);
  Executor::Current().PostAfter(timeout, [woken] { woken.Set(false); });
  const bool notified = co_await woken;
  if (!notified) waiters_.remove_if([&](const auto& w) { return w.SameAs(woken); });
}

}  // namespace millrace
