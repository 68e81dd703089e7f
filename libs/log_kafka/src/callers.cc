#include "callers.h"

namespace millrace::log_kafka {

Callers::Callers(size_t threads, size_t most_waiting) : most_waiting_(most_waiting) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

/// What waits still runs: it may give back what a later part of the shutdown needs.
Callers::~Callers() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    posted_.notify_all();
  }
  for (std::thread& t : threads_) t.join();
}

bool Callers::Post(std::function<void()> job) {
  std::lock_guard lock(mutex_);
  if (jobs_.size() >= most_waiting_) return false;
  jobs_.push_back(std::move(job));
  posted_.notify_one();
  return true;
}

void Callers::PostAlways(std::function<void()> job) {
  std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  posted_.notify_one();
}

void Callers::Run() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      posted_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace millrace::log_kafka
