#pragma once

#include <chrono>
#include <coroutine>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "millrace/base/task.h"
#include "millrace/base/time.h"

namespace millrace {

/// Where coroutines run: one thread at a time, in the order posted. The only way for code up to
/// rank 5 to wait, to learn the time and to start something beside itself. The thread driver gives
/// one per core; the deterministic driver gives one per simulated process, over a simulated clock.
class Executor {
 public:
  using Duration = std::chrono::microseconds;

  virtual ~Executor() = default;

  /// Runs `fn` later on this executor. From any thread.
  virtual void Post(std::function<void()> fn) = 0;
  /// Runs `fn` on this executor when `delay` has passed. From any thread.
  virtual void PostAfter(Duration delay, std::function<void()> fn) = 0;
  /// Runs `blocking` where it may block (a pool of threads), then `done` on this executor.
  virtual void Offload(std::function<void()> blocking, std::function<void()> done) = 0;
  /// Monotonic; only differences mean something.
  virtual Duration Monotonic() const = 0;
  /// Microseconds since the epoch, UTC. Never an input of a fold; for append times, logs and
  /// metrics.
  virtual Micros Wall() const = 0;
  /// A number nobody can predict (thread driver) or one from the seed (deterministic driver).
  virtual uint64_t Random() = 0;

  /// Starts `task` on this executor and keeps it until it ends. An exception that leaves it goes to
  /// the driver's handler. From any thread.
  virtual void Spawn(Task<void> task) = 0;

  /// The executor that runs the calling code. Only inside something an executor runs.
  static Executor& Current();

 protected:
  /// Marks the calling thread as running `e` (nullptr: none); gives what it was before.
  static Executor* SetCurrent(Executor* e);
};

/// A value that one side sets once, from any thread, and one coroutine awaits on its own executor.
/// If the awaiting frame is destroyed first, the value is dropped. Copies share.
template <typename T>
class Completion {
 public:
  Completion() : state_(std::make_shared<State>()) {}

  /// Only the first Set counts.
  void Set(T value) const {
    std::lock_guard lock(state_->mutex);
    if (state_->value) return;
    state_->value.emplace(std::move(value));
    if (!state_->waiter) return;
    // Under the lock, which a frame that goes takes too: else its executor could go in between.
    state_->home->Post([state = state_] {
      std::coroutine_handle<> h;
      {
        std::lock_guard inner(state->mutex);
        h = std::exchange(state->waiter, nullptr);
      }
      if (h) h.resume();
    });
  }

  bool SameAs(const Completion& o) const { return state_ == o.state_; }

  auto operator co_await() const noexcept {
    struct Awaiter {
      std::shared_ptr<State> state;

      explicit Awaiter(std::shared_ptr<State> s) : state(std::move(s)) {}
      Awaiter(const Awaiter&) = delete;
      ~Awaiter() {
        std::lock_guard lock(state->mutex);
        state->waiter = nullptr;
      }
      bool await_ready() {
        std::lock_guard lock(state->mutex);
        return state->value.has_value();
      }
      bool await_suspend(std::coroutine_handle<> h) {
        std::lock_guard lock(state->mutex);
        if (state->value) return false;
        state->waiter = h;
        state->home = &Executor::Current();
        return true;
      }
      T await_resume() {
        std::lock_guard lock(state->mutex);
        return std::move(*state->value);
      }
    };
    return Awaiter{state_};
  }

 private:
  struct State {
    std::mutex mutex;
    std::optional<T> value;
    std::coroutine_handle<> waiter;
    Executor* home = nullptr;
  };

  std::shared_ptr<State> state_;
};

/// Waits. A frame destroyed while waiting is not resumed.
Task<> Delay(Executor::Duration d);

/// Runs `fn` where it may block and gives its value on the calling executor. `fn` must own what it
/// touches: it may still run after the awaiting frame was destroyed.
template <typename F, typename T = std::invoke_result_t<F>>
Task<T> Offload(F fn) {
  Completion<T> completion;
  auto slot = std::make_shared<std::optional<T>>();
  Executor::Current().Offload([slot, fn = std::move(fn)]() mutable { slot->emplace(fn()); },
                              [slot, completion] { completion.Set(std::move(**slot)); });
  T value = co_await completion;
  co_return value;
}

/// Runs `task` on another executor and gives its value on the calling one. If the calling frame is
/// destroyed, the task still runs to its end, so it must not use that frame.
template <typename T>
Task<T> RunOn(Executor& executor, Task<T> task) {
  const Completion<T> completion;
  executor.Spawn([](Task<T> inner, Completion<T> done) -> Task<void> {
    T value = co_await std::move(inner);
    done.Set(std::move(value));
  }(std::move(task), completion));
  T value = co_await completion;
  co_return value;
}

/// Wakes coroutines of the same executor that wait for a condition: `while (!ready) co_await
/// changed.Wait();`. Not for use across executors. A wait ends at the next Notify or after
/// `timeout`. However many waits there are and were, few timers are pending: one serves all.
class Event {
 public:
  Event() : state_(std::make_shared<State>()) {}

  void Notify();
  Task<> Wait();
  Task<> WaitFor(Executor::Duration timeout);

 private:
  struct Waiter {
    Completion<bool> woken;
    Executor::Duration until = Executor::Duration::max();
  };
  struct State {
    std::list<Waiter> waiters;
    std::set<Executor::Duration> timers;  ///< when those pending fire
  };
  static void SetTimer(const std::shared_ptr<State>& state, Executor::Duration at);
  static void Fire(const std::shared_ptr<State>& state, Executor::Duration at);

  std::shared_ptr<State> state_;
};

}  // namespace millrace
