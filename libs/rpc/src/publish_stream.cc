#include "publish_stream.h"

#include <google/protobuf/arena.h>

#include <deque>
#include <exception>

#include "millrace/ingest/v1/ingest.pb.h"
#include "publish_convert.h"
#include "status.h"

namespace millrace::rpc {

namespace wire = ingest::v1;

/// One call: reads batches, starts them on the gateway's executor in the order read, answers them
/// in that order.
///
/// The lock is recursive because gRPC may run a reaction inside the call that starts an operation.
/// An operation is started with the lock held, so none starts after Finish.
class PublishStreams::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Reactor* reactor, Limits limits, Executor* executor, ingest::Gateway* gateway)
      : reactor_(reactor), limits_(limits), executor_(executor), gateway_(gateway) {}

  void Start() { Pump(); }
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnCancel() { Close(grpc::Status::CANCELLED); }
  /// No answer to what was read is lost; what was not read, the producer sends elsewhere.
  void Drain();
  /// gRPC is through with the reactor.
  void OnDone();

 private:
  /// A batch between its reading and the writing of its answer.
  struct Batch {
    google::protobuf::Arena arena;  ///< of both messages: thousands of small ones each
    wire::PublishStreamRequest* const request =
        google::protobuf::Arena::CreateMessage<wire::PublishStreamRequest>(&arena);
    wire::PublishStreamReply* const reply =
        google::protobuf::Arena::CreateMessage<wire::PublishStreamReply>(&arena);
    size_t bytes = 0;
    bool answered = false;
    grpc::Status status;
  };
  /// Answers a batch whose task was destroyed.
  class Ender {
   public:
    Ender(std::shared_ptr<Session> session, std::shared_ptr<Batch> batch)
        : session_(std::move(session)), batch_(std::move(batch)) {}
    Ender(Ender&&) noexcept = default;
    ~Ender() {
      if (session_) session_->Answer(batch_, LostStatus());
    }
    Session& session() const { return *session_; }
    const std::shared_ptr<Batch>& batch() const { return batch_; }

   private:
    std::shared_ptr<Session> session_;
    std::shared_ptr<Batch> batch_;
  };

  static Task<void> Run(Ender ender);
  void Answer(const std::shared_ptr<Batch>& batch, grpc::Status status);
  void Close(grpc::Status status);
  void Pump();
  void Finish(const grpc::Status& status);

  std::recursive_mutex mutex_;
  Reactor* reactor_;
  const Limits limits_;
  Executor* const executor_;
  ingest::Gateway* const gateway_;

  std::shared_ptr<Batch> reading_;
  bool reads_done_ = false;
  std::deque<std::shared_ptr<Batch>> batches_;  ///< unanswered, in order
  std::shared_ptr<Batch> writing_;
  size_t bytes_ = 0;
  bool draining_ = false;
  std::optional<grpc::Status> closing_;  ///< nothing more is answered
  /// A batch was refused as a whole, so no later one is taken. Only on the executor.
  bool refused_ = false;
};

class PublishStreams::Call final : public Reactor {
 public:
  Call(Limits limits, Executor* executor, ingest::Gateway* gateway)
      : session_(std::make_shared<Session>(this, limits, executor, gateway)) {}
  const std::shared_ptr<Session>& session() const { return session_; }

 private:
  // Each keeps the session, because the call may be done, and gone, before it returns.
  void OnReadDone(bool ok) override {
    const auto session = session_;
    session->OnRead(ok);
  }
  void OnWriteDone(bool ok) override {
    const auto session = session_;
    session->OnWritten(ok);
  }
  void OnCancel() override {
    const auto session = session_;
    session->OnCancel();
  }
  void OnDone() override {
    const auto session = session_;
    session->OnDone();
    delete this;
  }

  const std::shared_ptr<Session> session_;
};

PublishStreams::Reactor* PublishStreams::Refuse(const grpc::Status& status) {
  class Refused final : public Reactor {
   public:
    explicit Refused(const grpc::Status& why) { Finish(why); }

   private:
    void OnDone() override { delete this; }
  };
  return new Refused(status);
}

PublishStreams::Reactor* PublishStreams::Open(Executor* executor, ingest::Gateway* gateway) {
  auto* call = new Call(limits_, executor, gateway);
  const auto session = call->session();
  bool draining = false;
  {
    std::lock_guard lock(mutex_);
    std::erase_if(sessions_, [](const auto& s) { return s.expired(); });
    sessions_.push_back(session);
    draining = draining_;
  }
  if (draining) {
    session->Drain();
  } else {
    session->Start();
  }
  return call;
}

void PublishStreams::Drain() {
  std::vector<std::weak_ptr<Session>> sessions;
  {
    std::lock_guard lock(mutex_);
    draining_ = true;
    sessions = sessions_;
  }
  for (const auto& weak : sessions)
    if (const auto session = weak.lock()) session->Drain();
}

void PublishStreams::Session::OnRead(bool ok) {
  std::lock_guard lock(mutex_);
  auto batch = std::exchange(reading_, nullptr);
  if (!ok) {
    reads_done_ = true;
  } else if (!closing_) {
    batch->bytes = batch->request->ByteSizeLong();
    batch->reply->set_batch(batch->request->batch());
    bytes_ += batch->bytes;
    batches_.push_back(batch);
    executor_->Spawn(Run(Ender(shared_from_this(), std::move(batch))));
  }
  Pump();
}

Task<void> PublishStreams::Session::Run(Ender ender) {
  Session& session = ender.session();
  const std::shared_ptr<Batch>& batch = ender.batch();
  if (session.refused_) co_return;
  grpc::Status status;
  try {
    std::shared_ptr<const wire::PublishRequest> request(batch, &batch->request->request());
    auto accept = session.gateway_->Accept(Principal(), FromWire(std::move(request)));
    const ingest::PublishReply reply = co_await std::move(accept);
    if (reply.error) {
      status = ToStatus(*reply.error);
    } else {
      ToWire(reply, batch->reply->mutable_reply());
    }
  } catch (const std::exception& e) {
    status = ToStatus(Internal(std::string("the batch failed: ") + e.what()));
  }
  // A refusal comes before the first suspension, so the batches behind this one have not begun.
  if (!status.ok()) session.refused_ = true;
  session.Answer(batch, std::move(status));
}

void PublishStreams::Session::Answer(const std::shared_ptr<Batch>& batch, grpc::Status status) {
  std::lock_guard lock(mutex_);
  if (std::exchange(batch->answered, true)) return;
  batch->status = std::move(status);
  Pump();
}

void PublishStreams::Session::OnWritten(bool ok) {
  std::lock_guard lock(mutex_);
  bytes_ -= writing_->bytes;
  writing_ = nullptr;
  if (!ok) Close(grpc::Status::CANCELLED);
  Pump();
}

void PublishStreams::Session::Drain() {
  std::lock_guard lock(mutex_);
  draining_ = true;
  Pump();
}

void PublishStreams::Session::Close(grpc::Status status) {
  std::lock_guard lock(mutex_);
  if (!closing_) closing_ = std::move(status);
  batches_.clear();
  Pump();
}

void PublishStreams::Session::OnDone() {
  std::lock_guard lock(mutex_);
  reactor_ = nullptr;
  batches_.clear();
}

void PublishStreams::Session::Finish(const grpc::Status& status) {
  if (reactor_ != nullptr) std::exchange(reactor_, nullptr)->Finish(status);
}

void PublishStreams::Session::Pump() {
  std::lock_guard lock(mutex_);
  if (reactor_ == nullptr) return;
  if (writing_ == nullptr && !closing_ && !batches_.empty() && batches_.front()->answered) {
    auto batch = std::move(batches_.front());
    batches_.pop_front();
    if (batch->status.ok()) {
      writing_ = std::move(batch);
      reactor_->StartWrite(writing_->reply);
    } else {
      closing_ = batch->status;
      batches_.clear();
    }
  }
  if (reactor_ == nullptr || writing_ != nullptr) {
    // Finish waits for the write.
  } else if (closing_) {
    return Finish(*closing_);
  } else if (batches_.empty() && reads_done_) {
    return Finish(grpc::Status::OK);
  } else if (batches_.empty() && draining_) {
    // The producer sends elsewhere what was not answered, also what a read under way still brings.
    closing_ = StoppingStatus();
    return Finish(*closing_);
  }
  if (reactor_ == nullptr || reading_ != nullptr || reads_done_ || closing_ || draining_) return;
  if (batches_.size() >= limits_.batches || (bytes_ >= limits_.bytes && bytes_ > 0)) return;
  reading_ = std::make_shared<Batch>();
  reactor_->StartRead(reading_->request);
}

}  // namespace millrace::rpc
