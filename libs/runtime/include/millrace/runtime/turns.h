#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "millrace/base/executor.h"

namespace millrace::runtime {

/// One holder at a time for each key: for steps that must not overtake each other while they wait.
/// One executor. A turn ends with the object, also when its frame is destroyed.
class Turns {
  struct State {
    std::set<std::string> taken;
    Event freed;
  };

 public:
  class Turn {
   public:
    Turn(std::shared_ptr<State> state, std::string key)
        : state_(std::move(state)), key_(std::move(key)) {}
    Turn(Turn&& other) noexcept = default;
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (!state_) return;
      state_->taken.erase(key_);
      state_->freed.Notify();
    }

   private:
    std::shared_ptr<State> state_;
    std::string key_;
  };

  /// Waits until nobody has the key's turn.
  Task<Turn> Take(std::string key) {
    const std::shared_ptr<State> state = state_;
    while (state->taken.contains(key)) co_await state->freed.Wait();
    state->taken.insert(key);
    co_return Turn(state, key);
  }

 private:
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace millrace::runtime
