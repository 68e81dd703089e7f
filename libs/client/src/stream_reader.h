#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

namespace millrace::client {

/// Reads the messages that answer one call. gRPC's own threads take them off the wire and answer
/// the server's pings, so a caller may take its time between two calls of Next; one message waits
/// for it. Threads: one caller.
template <typename Reply>
class StreamReader final : private grpc::ClientReadReactor<Reply> {
 public:
  /// `begin` starts the call with the stub's `async()` method.
  using Begin = std::function<void(grpc::ClientContext*, grpc::ClientReadReactor<Reply>*)>;

  explicit StreamReader(const Begin& begin) {
    begin(&context_, this);
    // Reads are started by the caller, between two reactions, when gRPC could think that all is
    // done.
    this->AddHold();
    this->StartRead(&incoming_);
    this->StartCall();
  }
  /// Cancels what is not at its end, and waits for that.
  ~StreamReader() override {
    context_.TryCancel();
    Finish();
  }

  /// The next message. It is empty if the stream has ended, and then Finish tells why. It is also
  /// empty if no message came within `patience`; the call is then cancelled.
  std::optional<Reply> Next(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [this] { return ready_ || ended_; })) {
      late_ = true;
      lock.unlock();
      context_.TryCancel();
      return std::nullopt;
    }
    if (!ready_) return std::nullopt;
    const auto pause = Clock::now() - ready_since_;
    longest_pause_ =
        std::max(longest_pause_, std::chrono::duration_cast<std::chrono::seconds>(pause));
    ready_ = false;
    Reply reply = std::exchange(incoming_, {});
    lock.unlock();
    this->StartRead(&incoming_);
    return reply;
  }

  /// Ends a Next under way soon, and every later one at once. From any thread.
  void Cancel() { context_.TryCancel(); }

  /// After Next gave nothing.
  grpc::Status Finish() {
    std::unique_lock lock(mutex_);
    const bool release = std::exchange(held_, false);
    lock.unlock();
    if (release) this->RemoveHold();
    lock.lock();
    changed_.wait(lock, [this] { return status_.has_value(); });
    if (late_) return {grpc::StatusCode::DEADLINE_EXCEEDED, "nothing came from the server in time"};
    return *status_;
  }

  /// The longest time for which a message waited for Next.
  std::chrono::seconds longest_pause() const { return longest_pause_; }

 private:
  using Clock = std::chrono::steady_clock;

  void OnReadDone(bool ok) override {
    std::lock_guard lock(mutex_);
    (ok ? ready_ : ended_) = true;
    ready_since_ = Clock::now();
    changed_.notify_all();
  }
  void OnDone(const grpc::Status& status) override {
    std::lock_guard lock(mutex_);
    status_ = status;
    changed_.notify_all();
  }

  grpc::ClientContext context_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Reply incoming_;
  bool ready_ = false;  ///< `incoming_` is there
  bool ended_ = false;  ///< no further message comes
  bool late_ = false;   ///< none came in time
  bool held_ = true;    ///< gRPC may not call OnDone yet
  std::optional<grpc::Status> status_;
  Clock::time_point ready_since_;
  std::chrono::seconds longest_pause_{0};
};

}  // namespace millrace::client
