#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "millrace/base/executor.h"
#include "millrace/base/task.h"

namespace millrace::test {

/// Runs coroutines on the thread that calls RunUntilDone. Time is simulated: when nothing is left
/// to run it jumps to the next timer, so no test sleeps. Offload runs inline.
///
/// `patience` is for bodies with threads of their own: simulated time then runs with real time, and
/// jumps when nothing was posted for so long.
class TestExecutor : public Executor {
 public:
  explicit TestExecutor(std::chrono::milliseconds patience = std::chrono::milliseconds(0))
      : patience_(patience) {}
  ~TestExecutor() override { spawned_.clear(); }

  void Post(std::function<void()> fn) override {
    std::lock_guard lock(mutex_);
    ready_.push_back(std::move(fn));
    posted_.notify_all();
  }
  void PostAfter(Duration delay, std::function<void()> fn) override {
    std::lock_guard lock(mutex_);
    timers_.emplace(now_ + std::max(delay, Duration(0)), std::move(fn));
    posted_.notify_all();
  }
  void Offload(std::function<void()> blocking, std::function<void()> done) override {
    Post([blocking = std::move(blocking), done = std::move(done)] {
      blocking();
      done();
    });
  }
  Duration Monotonic() const override {
    std::lock_guard lock(mutex_);
    return now_;
  }
  Micros Wall() const override { return wall_at_start_ + Monotonic().count(); }
  uint64_t Random() override { return random_ = random_ * 6364136223846793005u + 1; }
  void Spawn(Task<void> task) override {
    Post([this, held = std::make_shared<Task<void>>(std::move(task))] {
      spawned_.push_back(std::move(*held));
      spawned_.back().handle().resume();
      spawned_.remove_if([](const Task<void>& t) { return t.done(); });
    });
  }

  /// Moves the wall clock alone, as an operator would; backwards too.
  void ShiftWall(Micros by) { wall_at_start_ += by; }

  /// Runs everything that is ready, and timers as time reaches them, until `task` ends; gives its
  /// value or throws what it threw. Throws if nothing can happen any more for ten seconds.
  template <typename T>
  T RunUntilDone(Task<T> task) {
    auto* const before = SetCurrent(this);
    struct Restore {
      Executor* before;
      ~Restore() { SetCurrent(before); }
    } restore{before};
    task.handle().resume();
    while (!task.done()) RunOne();
    return task.handle().promise().Take();
  }
  /// As RunUntilDone(Delay(d)).
  void RunFor(Duration d) { RunUntilDone(Delay(d)); }

 private:
  void RunOne() {
    std::function<void()> fn;
    {
      std::unique_lock lock(mutex_);
      if (ready_.empty()) {
        Duration patience = std::chrono::seconds(10);
        if (!timers_.empty())
          patience = std::min<Duration>(timers_.begin()->first - now_, patience_);
        posted_.wait_for(lock, patience, [&] { return !ready_.empty(); });
      }
      if (ready_.empty()) {
        if (timers_.empty()) throw std::logic_error("nothing is left to run but the task waits");
        now_ = std::max(now_, timers_.begin()->first);
        ready_.push_back(std::move(timers_.begin()->second));
        timers_.erase(timers_.begin());
      }
      fn = std::move(ready_.front());
      ready_.pop_front();
    }
    fn();
  }

  const std::chrono::milliseconds patience_;
  mutable std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<std::function<void()>> ready_;
  std::multimap<Duration, std::function<void()>> timers_;
  Duration now_{0};
  Micros wall_at_start_ = 1'000'000'000 * kSecond;
  uint64_t random_ = 1;
  std::list<Task<void>> spawned_;
};

}  // namespace millrace::test
