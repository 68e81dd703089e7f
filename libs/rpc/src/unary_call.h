#pragma once

#include <grpcpp/support/server_callback.h>

#include <exception>
#include <memory>
#include <mutex>
#include <utility>

#include "deadlines.h"
#include "millrace/base/executor.h"
#include "status.h"

namespace millrace::rpc {

inline grpc::ServerUnaryReactor* EndAtOnce(grpc::CallbackServerContext* context,
                                           const grpc::Status& status) {
  grpc::ServerUnaryReactor* call = context->DefaultReactor();
  call->Finish(status);
  return call;
}

template <typename Reply>
struct Answer {
  grpc::Status status;
  Reply reply;
};

/// How long calls may take, and what those hear that take longer.
struct Cap {
  std::shared_ptr<Deadlines> deadlines;
  grpc::Status status;
};

/// A unary call that a task on an executor answers. It ends with the first of: the answer, the
/// caller's cancellation or deadline, the cap, and the end of the executor.
template <typename Reply>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  /// `reply` is gRPC's and lives until the call is done. No cap: for work that waits for nothing.
  static grpc::ServerUnaryReactor* Start(Executor& executor, Reply* reply, const Cap* cap,
                                         Task<Answer<Reply>> work) {
    auto* call = new UnaryCall(reply);
    const auto link = call->link_;
    if (cap != nullptr) {
      call->deadlines_ = cap->deadlines;
      call->deadline_ =
          cap->deadlines->Add(&executor, [link, status = cap->status] { link->End({status, {}}); });
    }
    executor.Spawn(Run(Ender(link), std::move(work)));
    return call;
  }

 private:
  /// Outlives the reactor for those who come too late.
  struct Link {
    std::mutex mutex;
    UnaryCall* call;

    void End(Answer<Reply> answer) {
      UnaryCall* ended = nullptr;
      {
        std::lock_guard lock(mutex);
        ended = std::exchange(call, nullptr);
      }
      if (ended == nullptr) return;
      if (answer.status.ok()) *ended->reply_ = std::move(answer.reply);
      ended->Finish(std::move(answer.status));
    }
  };

  /// Ends the call when its task is destroyed without an answer.
  class Ender {
   public:
    explicit Ender(std::shared_ptr<Link> link) : link_(std::move(link)) {}
    Ender(Ender&&) noexcept = default;
    ~Ender() {
      if (link_) link_->End({LostStatus(), {}});
    }
    void End(Answer<Reply> answer) const { link_->End(std::move(answer)); }

   private:
    std::shared_ptr<Link> link_;
  };

  explicit UnaryCall(Reply* reply) : reply_(reply), link_(std::make_shared<Link>()) {
    link_->call = this;
  }

  static Task<void> Run(Ender ender, Task<Answer<Reply>> work) {
    Answer<Reply> answer;
    try {
      answer = co_await std::move(work);
    } catch (const std::exception& e) {
      answer.status = ToStatus(Internal(std::string("the call failed: ") + e.what()));
    }
    ender.End(std::move(answer));
  }

  void OnCancel() override { link_->End({grpc::Status::CANCELLED, {}}); }
  void OnDone() override {
    if (deadlines_) deadlines_->Remove(deadline_);
    delete this;
  }

  Reply* reply_;
  std::shared_ptr<Link> link_;
  std::shared_ptr<Deadlines> deadlines_;
  uint64_t deadline_ = 0;
};

}  // namespace millrace::rpc
