#include "progress.h"

#include "millrace/base/log.h"

namespace millrace::log_kafka {
namespace {

/// Then the places are dropped; the view's next checkpoint brings newer ones.
constexpr int kMostTries = 10;
/// After a failure. The brokers make the topic of consumer groups when they are first asked for it.
constexpr auto kPause = std::chrono::seconds(1);

}  // namespace

ProgressNotes::ProgressNotes(std::shared_ptr<Admin> admin, std::string group)
    : admin_(std::move(admin)), group_(std::move(group)), thread_([this] { Run(); }) {}

ProgressNotes::~ProgressNotes() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void ProgressNotes::Note(const Progress& progress) {
  {
    std::lock_guard lock(mutex_);
    Waiting& waiting = waiting_[group_ + "-" + progress.view];
    waiting.places[{progress.topic, progress.partition.value}] = progress.next;
    waiting.failed = 0;
  }
  changed_.notify_one();
}

void ProgressNotes::Run() {
  LogRateLimit hourly(3'600);
  std::string last;  // the group that was asked for last, so that one that fails delays no other
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    auto next = waiting_.upper_bound(last);
    if (next == waiting_.end()) next = waiting_.begin();
    auto [group, tried] = std::move(*next);
    waiting_.erase(next);
    last = group;

    lock.unlock();
    const Status committed = admin_->CommitOffsets(group, tried.places);
    lock.lock();
    if (committed.ok()) continue;
    if (stopping_) return;
    hourly.Warn(
        "consumer groups do not show how far views have come; results do not depend on it: let the "
        "user READ the groups, and let no other consumer join them",
        {{"error", committed.error().message}});
    Waiting& waiting = waiting_[group];
    if (waiting.places.empty()) waiting.failed = tried.failed + 1;
    waiting.places.merge(tried.places);  // what was noted since stays
    if (waiting.failed >= kMostTries) waiting_.erase(group);
    changed_.wait_for(lock, kPause, [&] { return stopping_; });
  }
}

}  // namespace millrace::log_kafka
