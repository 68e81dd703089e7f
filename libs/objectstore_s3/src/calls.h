#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "http.h"
#include "millrace/base/executor.h"
#include "millrace/base/facts.h"

namespace millrace::objectstore_s3 {

/// Threads with a connection each, and one that watches them. Work says by when its next step must
/// have ended; a call whose work is later than that ends with kUnavailable, while the thread goes
/// on waiting. A thread that comes back late is used again.
class Calls {
  struct Call;

 public:
  /// Calls that wait for a thread; a further one is refused.
  static constexpr size_t kMaxWaiting = 1'024;
  /// How long a call waits for a thread.
  static constexpr std::chrono::seconds kMaxWait{10};

  /// What a piece of work holds while it runs.
  class Work {
   public:
    Work(Calls* calls, std::shared_ptr<Call> call, Http* http)
        : calls_(calls), call_(std::move(call)), http_(http) {}

    Http& http() const { return *http_; }
    /// The next step ends within `time`.
    void Expect(std::chrono::milliseconds time) const;
    /// Runs `fn`, which uses what belongs to the caller. False, without running it: the call was
    /// given up, and the caller may be gone. It is not given up while `fn` runs.
    template <typename F>
    bool ForCaller(F fn) const {
      if (!Enter()) return false;
      fn();
      Leave();
      return true;
    }

   private:
    bool Enter() const;
    void Leave() const;

    Calls* const calls_;
    const std::shared_ptr<Call> call_;
    Http* const http_;
  };

  Calls(int threads, const std::string& ca_file);
  /// Ends exchanges under way and drops what waits.
  ~Calls();

  /// Runs `fn(work)` on one of the threads and gives its Result on the calling executor. `fn` must
  /// own what it touches: it may still run after the call has ended.
  template <typename F, typename R = std::invoke_result_t<F, const Work&>>
  Task<R> Run(F fn) {
    const Completion<R> done;
    const auto refused =
        Post([done, fn = std::move(fn)](const Work& work) mutable { done.Set(fn(work)); },
             [done](Error error) { done.Set(R(std::move(error))); });
    if (refused) co_return *refused;
    R result = co_await done;
    co_return result;
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Call {
    std::function<void(const Work&)> run;
    std::function<void(Error)> give_up;
    Clock::time_point until;
    bool for_caller = false;
    bool given_up = false;
  };

  std::optional<Error> Post(std::function<void(const Work&)> run,
                            std::function<void(Error)> give_up);
  void Stop();
  void Serve(Http* http);
  void Watch();
  std::vector<std::pair<std::shared_ptr<Call>, Error>> TakeLate();

  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::condition_variable posted_;
  std::condition_variable watch_;
  std::deque<std::shared_ptr<Call>> waiting_;
  std::list<std::shared_ptr<Call>> running_;
  size_t hung_ = 0;  ///< threads whose call was given up
  std::vector<std::unique_ptr<Http>> clients_;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::objectstore_s3
