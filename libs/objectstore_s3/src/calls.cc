#include "calls.h"

namespace millrace::objectstore_s3 {
namespace {

/// How late a call is noticed to be late.
constexpr std::chrono::milliseconds kLook{100};

}  // namespace

void Calls::Work::Expect(std::chrono::milliseconds time) const {
  std::lock_guard lock(calls_->mutex_);
  call_->until = Clock::now() + time;
}

bool Calls::Work::Enter() const {
  std::lock_guard lock(calls_->mutex_);
  if (call_->given_up) return false;
  call_->for_caller = true;
  return true;
}

void Calls::Work::Leave() const {
  std::lock_guard lock(calls_->mutex_);
  call_->for_caller = false;
  call_->until = Clock::now() + kMaxWait;
}

Calls::Calls(int threads, const std::string& ca_file) {
  for (int i = 0; i < threads; ++i) clients_.push_back(std::make_unique<Http>(ca_file, &stopping_));
  try {
    for (const auto& client : clients_)
      threads_.emplace_back([this, http = client.get()] { Serve(http); });
    threads_.emplace_back([this] { Watch(); });
  } catch (...) {
    Stop();  // a thread that runs may not be destroyed: that would end the process without a word
    throw;
  }
}

Calls::~Calls() { Stop(); }

void Calls::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  posted_.notify_all();
  watch_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::optional<Error> Calls::Post(std::function<void(const Work&)> run,
                                 std::function<void(Error)> give_up) {
  std::lock_guard lock(mutex_);
  if (hung_ == clients_.size())
    return Unavailable("the object store does not answer: all connections wait for it",
                       {{"connections", hung_}});
  if (waiting_.size() >= kMaxWaiting)
    return Unavailable("too many calls wait for the object store: it is slow or gone",
                       {{"waiting", waiting_.size()}});
  waiting_.push_back(std::make_shared<Call>(
      Call{std::move(run), std::move(give_up), Clock::now() + kMaxWait, false, false}));
  posted_.notify_one();
  watch_.notify_one();
  return std::nullopt;
}

void Calls::Serve(Http* http) {
  std::unique_lock lock(mutex_);
  for (;;) {
    posted_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    const std::shared_ptr<Call> call = waiting_.front();
    waiting_.pop_front();
    const auto at = running_.insert(running_.end(), call);
    lock.unlock();
    call->run(Work(this, call, http));
    call->run = nullptr;  // frees what it owns here, where it may block
    lock.lock();
    running_.erase(at);
    if (call->given_up) --hung_;
  }
}

void Calls::Watch() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (running_.empty() && waiting_.empty()) {
      watch_.wait(lock);
      continue;
    }
    watch_.wait_for(lock, kLook);
    const auto late = TakeLate();
    if (late.empty()) continue;
    lock.unlock();
    for (const auto& [call, error] : late) call->give_up(error);
    lock.lock();
  }
}

/// Those that are late now, with what to tell them. Under the lock.
std::vector<std::pair<std::shared_ptr<Calls::Call>, Error>> Calls::TakeLate() {
  std::vector<std::pair<std::shared_ptr<Call>, Error>> late;
  const auto now = Clock::now();
  for (const auto& call : running_) {
    if (call->given_up || call->for_caller || now < call->until) continue;
    call->given_up = true;
    ++hung_;
    late.emplace_back(call, Unavailable("the object store did not answer in time, and a connection "
                                        "still waits for it",
                                        {{"connections_that_wait", hung_}}));
  }
  while (!waiting_.empty() && now >= waiting_.front()->until) {
    late.emplace_back(waiting_.front(),
                      Unavailable("all connections to the object store are busy: it is slow, or "
                                  "more threads are needed",
                                  {{"connections", clients_.size()}}));
    waiting_.pop_front();
  }
  return late;
}

}  // namespace millrace::objectstore_s3
