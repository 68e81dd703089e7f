#include "millrace/base/executor.h"

#include <algorithm>

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
  for (const Waiter& waiter : std::exchange(state_->waiters, {})) waiter.woken.Set(true);
}

Task<> Event::Wait() {
  const Completion<bool> woken;
  state_->waiters.push_back({woken});
  co_await woken;
}

Task<> Event::WaitFor(Executor::Duration timeout) {
  const Completion<bool> woken;
  const Executor::Duration until = Executor::Current().Monotonic() + timeout;
  state_->waiters.push_back({woken, until});
  SetTimer(state_, until);
  co_await woken;
}

/// A timer that fires earlier sees to it that there is a later one, if somebody still waits then.
void Event::SetTimer(const std::shared_ptr<State>& state, Executor::Duration at) {
  if (!state->timers.empty() && *state->timers.begin() <= at) return;
  state->timers.insert(at);
  Executor::Current().PostAfter(at - Executor::Current().Monotonic(),
                                [state, at] { Fire(state, at); });
}

void Event::Fire(const std::shared_ptr<State>& state, Executor::Duration at) {
  state->timers.erase(at);
  const Executor::Duration now = std::max(at, Executor::Current().Monotonic());
  Executor::Duration next = Executor::Duration::max();
  std::erase_if(state->waiters, [&](const Waiter& waiter) {
    if (waiter.until <= now) {
      waiter.woken.Set(false);
      return true;
    }
    next = std::min(next, waiter.until);
    return false;
  });
  if (next != Executor::Duration::max()) SetTimer(state, next);
}

}  // namespace millrace
