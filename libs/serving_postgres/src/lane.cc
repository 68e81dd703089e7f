#include "lane.h"

namespace millrace::serving_postgres {

Lane::Lane(const std::string& conninfo, Connection::Use use, size_t threads) {
  for (size_t i = 0; i < threads; ++i)
    connections_.push_back(std::make_unique<Connection>(conninfo, use));
  for (const auto& connection : connections_)
    threads_.emplace_back([this, c = connection.get()] { Loop(*c); });
}

Lane::~Lane() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool Lane::Post(Work work) {
  {
    std::lock_guard lock(mutex_);
    if (queue_.size() >= kMaxWaiting) return false;
    queue_.push_back(std::move(work));
  }
  ready_.notify_one();
  return true;
}

void Lane::Loop(Connection& connection) {
  for (;;) {
    Work work;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work(connection);
  }
}

}  // namespace millrace::serving_postgres
