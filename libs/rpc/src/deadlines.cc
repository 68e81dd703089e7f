#include "deadlines.h"

#include <vector>

namespace millrace::rpc {

uint64_t Deadlines::Add(Executor* executor, std::function<void()> end) {
  std::lock_guard lock(mutex_);
  waiting_.emplace_hint(waiting_.end(), next_,
                        Waiting{executor->Monotonic() + longest_, std::move(end)});
  if (!armed_) Arm(executor, longest_);
  return next_++;
}

void Deadlines::Remove(uint64_t id) {
  std::lock_guard lock(mutex_);
  waiting_.erase(id);
}

void Deadlines::Fire(Executor* executor) {
  std::vector<std::function<void()>> ends;
  {
    std::lock_guard lock(mutex_);
    armed_ = false;
    const Executor::Duration now = executor->Monotonic();
    while (!waiting_.empty() && waiting_.begin()->second.due <= now) {
      ends.push_back(std::move(waiting_.begin()->second.end));
      waiting_.erase(waiting_.begin());
    }
    if (!waiting_.empty()) Arm(executor, waiting_.begin()->second.due - now);
  }
  for (const auto& end : ends) end();
}

void Deadlines::Arm(Executor* executor, Executor::Duration delay) {
  armed_ = true;
  executor->PostAfter(delay, [self = shared_from_this(), executor] { self->Fire(executor); });
}

}  // namespace millrace::rpc
