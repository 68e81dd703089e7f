#include "millrace/driver/thread_driver.h"

#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "millrace/base/log.h"

namespace millrace {

/// Threads for what blocks. The queue is bounded by who feeds it: every coroutine waits for its own
/// piece of work.
class ThreadDriver::BlockingPool {
 public:
  explicit BlockingPool(int threads) {
    try {
      for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
    } catch (...) {
      Stop();  // a thread that runs may not be destroyed: that would end the process without a word
      throw;
    }
  }
  ~BlockingPool() { Stop(); }

  void Post(std::function<void()> work) {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      queue_.push_back(std::move(work));
    }
    ready_.notify_one();
  }

  void Stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    ready_.notify_all();
    for (std::thread& t : threads_) t.join();
    threads_.clear();
    queue_.clear();
  }

 private:
  void Run() {
    for (;;) {
      std::function<void()> work;
      {
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (stopping_) return;
        work = std::move(queue_.front());
        queue_.pop_front();
      }
      work();
    }
  }

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  bool stopping_ = false;
};

class ThreadDriver::Core : public Executor {
 public:
  Core(BlockingPool* pool, const std::function<void(const std::string&)>* on_failure)
      : pool_(pool),
        on_failure_(on_failure),
        random_(std::random_device()()),
        thread_([this] { Run(); }) {}
  ~Core() override { Stop(); }

  void Post(std::function<void()> fn) override {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      queue_.push_back(std::move(fn));
    }
    ready_.notify_one();
  }

  void PostAfter(Duration delay, std::function<void()> fn) override {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      timers_.emplace(std::chrono::steady_clock::now() + delay, std::move(fn));
    }
    ready_.notify_one();
  }

  void Offload(std::function<void()> blocking, std::function<void()> done) override {
    pool_->Post([this, blocking = std::move(blocking), done = std::move(done)]() mutable {
      blocking();
      blocking = nullptr;
      Post(std::move(done));
    });
  }

  Duration Monotonic() const override {
    return std::chrono::duration_cast<Duration>(
        std::chrono::steady_clock::now().time_since_epoch());
  }
  Micros Wall() const override {
    return std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  uint64_t Random() override {
    std::lock_guard lock(mutex_);
    return random_();
  }

  void Spawn(Task<void> task) override {
    auto shared = std::make_shared<Task<void>>(std::move(task));
    Post([this, shared] {
      const auto at = tasks_.emplace(tasks_.end());
      *at = Root(std::move(*shared), at);
      at->handle().resume();
    });
  }

  void Stop() {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      stopping_ = true;
    }
    ready_.notify_one();
    thread_.join();
  }

 private:
  using Tasks = std::list<Task<void>>;

  Task<void> Root(Task<void> task, Tasks::iterator at) {
    try {
      co_await std::move(task);
    } catch (const std::exception& e) {
      LogError("a task failed", {{"error", e.what()}});
      if (*on_failure_) (*on_failure_)(e.what());
    }
    ended_.push_back(at);
  }

  /// Frees the tasks that have ended, which cannot free themselves.
  void Reap() {
    for (const Tasks::iterator at : ended_) tasks_.erase(at);
    ended_.clear();
  }

  void Run() {
    SetCurrent(this);
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      const auto now = std::chrono::steady_clock::now();
      while (!timers_.empty() && timers_.begin()->first <= now) {
        queue_.push_back(std::move(timers_.begin()->second));
        timers_.erase(timers_.begin());
      }
      if (queue_.empty()) {
        if (timers_.empty()) {
          ready_.wait(lock);
        } else {
          const auto until = timers_.begin()->first;
          ready_.wait_until(lock, until);
        }
        continue;
      }
      auto work = std::exchange(queue_, {});
      lock.unlock();
      for (auto& fn : work) {
        fn();
        fn = nullptr;
        Reap();
      }
      lock.lock();
    }
    lock.unlock();
    Reap();
    tasks_.clear();
    lock.lock();
    queue_.clear();
    timers_.clear();
    lock.unlock();
    SetCurrent(nullptr);
  }

  BlockingPool* pool_;
  const std::function<void(const std::string&)>* on_failure_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> queue_;
  std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> timers_;
  std::mt19937_64 random_;
  Tasks tasks_;
  std::vector<Tasks::iterator> ended_;
  bool stopping_ = false;
  std::thread thread_;
};

ThreadDriver::ThreadDriver(Options options)
    : options_(std::move(options)),
      pool_(std::make_unique<BlockingPool>(options_.blocking_threads)) {
  for (int i = 0; i < options_.cores; ++i)
    cores_.push_back(std::make_unique<Core>(pool_.get(), &options_.on_failure));
}

ThreadDriver::~ThreadDriver() { Stop(); }

int ThreadDriver::cores() const { return static_cast<int>(cores_.size()); }
Executor& ThreadDriver::core(int i) { return *cores_[static_cast<size_t>(i)]; }

void ThreadDriver::Stop() {
  // First what blocks: it may still post to cores; then the cores, each destroying its own tasks.
  pool_->Stop();
  for (auto& core : cores_) core->Stop();
}

namespace driver_internal {

void SpawnAndWait(Executor& executor, Task<void> task) {
  struct Gate {
    std::mutex mutex;
    std::condition_variable ended;
    bool done = false;
  };
  /// Opens the gate when the frame goes, whether the task ended or was destroyed.
  struct Opener {
    std::shared_ptr<Gate> gate;
    explicit Opener(std::shared_ptr<Gate> g) : gate(std::move(g)) {}
    Opener(const Opener&) = delete;
    ~Opener() {
      {
        std::lock_guard lock(gate->mutex);
        gate->done = true;
      }
      gate->ended.notify_one();
    }
  };
  auto gate = std::make_shared<Gate>();
  executor.Spawn([](Task<void> inner, std::shared_ptr<Gate> g) -> Task<void> {
    const Opener opener(std::move(g));
    co_await std::move(inner);
  }(std::move(task), gate));
  std::unique_lock lock(gate->mutex);
  gate->ended.wait(lock, [&] { return gate->done; });
}

}  // namespace driver_internal
}  // namespace millrace
