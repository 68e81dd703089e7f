#pragma once

#include <grpcpp/support/status.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "millrace/base/executor.h"

namespace millrace::rpc {

/// One end of a stream of messages in both directions, for either side of gRPC. It writes one
/// message at a time, in order, and reads the next one when the last was taken: so who does not
/// take messages is sent none, and neither side holds more than kMostUnwritten.
///
/// It outlives the gRPC call that it serves, for those who come too late. Threads: any.
template <typename Reactor, typename In, typename Out>
class LinkStream : public std::enable_shared_from_this<LinkStream<Reactor, In, Out>> {
 public:
  struct Wiring {
    Executor* executor;
    std::function<void(In)> take;  ///< a message, on the executor
    /// The stream has ended and takes nothing more. Once, last, on the executor.
    std::function<void(grpc::Status)> ended;
    /// Lets gRPC end the call with this status; no write is under way. Once.
    std::function<void(const grpc::Status&)> end;
    std::function<void()> cancel;  ///< the call, so that a write under way ends
  };

  static constexpr size_t kMostUnwritten = 4'096;

  explicit LinkStream(Wiring wiring) : wiring_(std::move(wiring)) {}

  void Begin(Reactor* reactor) {
    std::lock_guard lock(mutex_);
    reactor_ = reactor;
    Read();
  }

  /// False: the stream has ended, or ends because its other side takes nothing.
  bool Write(Out message) {
    std::lock_guard lock(mutex_);
    if (reactor_ == nullptr || closing_) return false;
    if (unwritten_.size() == kMostUnwritten) {
      Close({grpc::StatusCode::RESOURCE_EXHAUSTED, "the other side does not read"});
      return false;
    }
    unwritten_.push_back(std::move(message));
    Pump();
    return true;
  }

  /// What was not written is dropped. OK: the call ends, or has ended, by itself.
  void Close(grpc::Status status) {
    std::lock_guard lock(mutex_);
    if (closing_) return;
    closing_ = std::move(status);
    if (writing_) wiring_.cancel();
    Pump();
  }

  // What gRPC says.
  void OnRead(bool ok) {
    std::lock_guard lock(mutex_);
    if (!ok) return Close(grpc::Status::OK);
    if (closing_) return;
    wiring_.executor->Post([self = this->shared_from_this()] {
      self->wiring_.take(std::move(self->reading_));
      std::lock_guard inner(self->mutex_);
      self->reading_ = In();
      self->Read();
    });
  }
  void OnWritten(bool ok) {
    std::lock_guard lock(mutex_);
    writing_.reset();
    if (!ok) Close(grpc::Status::OK);
    Pump();
  }
  void OnDone(grpc::Status status) {
    std::lock_guard lock(mutex_);
    reactor_ = nullptr;
    wiring_.executor->Post([self = this->shared_from_this(), status = std::move(status)] {
      self->wiring_.ended(status);
    });
  }

 private:
  void Read() {
    if (reactor_ != nullptr && !closing_) reactor_->StartRead(&reading_);
  }
  void Pump() {
    if (reactor_ == nullptr || writing_ || ended_) return;
    if (closing_) {
      ended_ = true;
      wiring_.end(*closing_);
    } else if (!unwritten_.empty()) {
      writing_ = std::make_unique<Out>(std::move(unwritten_.front()));
      unwritten_.pop_front();
      reactor_->StartWrite(writing_.get());
    }
  }

  const Wiring wiring_;
  std::recursive_mutex mutex_;  ///< gRPC may call back before a call into it returns
  Reactor* reactor_ = nullptr;
  In reading_;
  std::unique_ptr<Out> writing_;
  std::deque<Out> unwritten_;
  std::optional<grpc::Status> closing_;
  bool ended_ = false;
};

}  // namespace millrace::rpc
