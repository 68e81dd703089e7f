#include "publish_stream.h"

#include <google/protobuf/arena.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <deque>
#include <exception>

#include "millrace/base/check.h"
#include "millrace/base/log.h"
#include "millrace/ingest/v1/ingest.pb.h"
#include "publish_convert.h"
#include "raw_message.h"
#include "status.h"
#include "unreadable.h"

namespace millrace::rpc {

namespace wire = ingest::v1;

namespace {

/// Thousands of small messages each, so they live in an arena.
template <typename Message>
struct InArena {
  google::protobuf::Arena arena;
  Message* const message = google::protobuf::Arena::CreateMessage<Message>(&arena);
};

/// What an answer holds while it waits.
size_t BytesOf(const ingest::PublishReply& reply) {
  size_t bytes = reply.results.size() * sizeof(ingest::EventResult);
  const ingest::EventError* counted = nullptr;
  for (const ingest::EventResult& result : reply.results) {
    const ingest::EventError* error = result.error.get();
    // Events of one failed append, which stand together, share theirs.
    if (error == nullptr || error == counted) continue;
    bytes += sizeof *error + error->reason.capacity() + error->message.capacity();
    counted = error;
  }
  return bytes;
}

/// How a call goes on after an answer: it ends when an event of it is not known to be in the log.
/// Then no later event of it is appended either (ingest::Lane), so that the producer can send all
/// again in order.
grpc::Status AfterAnswer(const ingest::PublishReply& reply) {
  for (const ingest::EventResult& result : reply.results) {
    if (result.ok() || !result.error->retryable) continue;
    return ToStatus(ingest::RequestError{
        Code::kUnavailable,
        "APPEND_FAILED",
        "the log did not take an event, and the stream ends so that none of its events goes past "
        "another; connect again and send again from the first number without an acknowledgement: " +
            result.error->message,
        "",
        {}});
  }
  return grpc::Status::OK;
}

/// A share of a total, while it is there.
class Share {
 public:
  explicit Share(std::shared_ptr<std::atomic<size_t>> total) : total_(std::move(total)) {}
  Share(const Share&) = delete;
  ~Share() { Set(0); }
  void Set(size_t bytes) { *total_ += bytes - std::exchange(bytes_, bytes); }

 private:
  const std::shared_ptr<std::atomic<size_t>> total_;
  size_t bytes_ = 0;
};

}  // namespace

/// One call: reads batches, starts them on the gateway's executor in the order read, answers them
/// in that order.
///
/// The lock is recursive because gRPC may run a reaction inside the call that starts an operation.
/// An operation is started with the lock held, so none starts after Finish.
class PublishStreams::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Reactor* reactor, const PublishStreams& streams, Executor* executor,
          ingest::Gateway* gateway, std::function<void()> cancel)
      : reactor_(reactor),
        limits_(streams.limits_),
        writes_(streams.writes_),
        held_(streams.held_),
        executor_(executor),
        gateway_(gateway),
        cancel_(std::move(cancel)) {}

  void Start() { Pump(); }
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnCancel() { Close(grpc::Status::CANCELLED); }
  /// No answer to what was read is lost; what was not read, the producer sends elsewhere.
  void Drain();
  /// gRPC is through with the reactor.
  void OnDone();

 private:
  using Request = InArena<wire::PublishStreamRequest>;
  /// A batch between its reading and the writing of its answer. The request is the gateway's, which
  /// drops it; the answer becomes a message when its turn comes, which takes more room.
  struct Batch {
    explicit Batch(std::shared_ptr<std::atomic<size_t>> total) : held(std::move(total)) {}

    Share held;
    int64_t number = 0;
    size_t bytes = 0;  ///< of the request, once answered of the answer
    bool answered = false;
    ingest::PublishReply reply;
    grpc::Status status;  ///< not OK: the call ends with it, after the answer if there is one
  };
  struct Writing {
    std::shared_ptr<Batch> batch;
    grpc::ByteBuffer out;
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

  static Task<void> Run(Ender ender, std::shared_ptr<Request> request);
  void Answer(const std::shared_ptr<Batch>& batch, grpc::Status status,
              ingest::PublishReply reply = {});
  void Write(std::shared_ptr<Batch> batch);
  bool MayRead() const;
  void OnStalled(uint64_t write);
  void Close(grpc::Status status);
  void Pump();
  void Finish(const grpc::Status& status);

  std::recursive_mutex mutex_;
  Reactor* reactor_;
  const Limits limits_;
  const std::shared_ptr<Deadlines> writes_;
  const std::shared_ptr<std::atomic<size_t>> held_;
  Executor* const executor_;
  ingest::Gateway* const gateway_;
  const std::function<void()> cancel_;

  std::unique_ptr<grpc::ByteBuffer> reading_;
  bool reads_done_ = false;
  std::deque<std::shared_ptr<Batch>> batches_;  ///< whose answers are not written yet, in order
  size_t unanswered_bytes_ = 0;
  size_t unwritten_bytes_ = 0;
  std::unique_ptr<Writing> writing_;
  uint64_t writes_begun_ = 0;
  uint64_t write_deadline_ = 0;  ///< of the write under way
  bool draining_ = false;
  std::optional<grpc::Status> closing_;  ///< nothing more is answered
  /// A batch was refused as a whole, so no later one is taken. Only on the executor.
  bool refused_ = false;
  const std::shared_ptr<ingest::Lane> lane_ = std::make_shared<ingest::Lane>();
};

class PublishStreams::Call final : public Reactor {
 public:
  Call(const PublishStreams& streams, Executor* executor, ingest::Gateway* gateway,
       std::function<void()> cancel)
      : session_(std::make_shared<Session>(this, streams, executor, gateway, std::move(cancel))) {}
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

PublishStreams::Reactor* PublishStreams::Open(Executor* executor, ingest::Gateway* gateway,
                                              std::function<void()> cancel) {
  auto* call = new Call(*this, executor, gateway, std::move(cancel));
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
  const auto bytes = std::exchange(reading_, nullptr);
  const auto request = std::make_shared<Request>();
  if (!ok) {
    reads_done_ = true;
  } else if (closing_) {
    // It comes too late.
  } else if (auto batch = std::make_shared<Batch>(held_); !Parse(bytes.get(), request->message)) {
    reads_done_ = true;
    batch->answered = true;
    batch->status = UnreadableStatus();
    batches_.push_back(std::move(batch));
  } else {
    batch->number = request->message->batch();
    batch->bytes = request->message->ByteSizeLong();
    // Texts lie outside of the arena.
    batch->held.Set(batch->bytes + request->arena.SpaceAllocated());
    unanswered_bytes_ += batch->bytes;
    batches_.push_back(batch);
    executor_->Spawn(Run(Ender(shared_from_this(), std::move(batch)), request));
  }
  Pump();
}

Task<void> PublishStreams::Session::Run(Ender ender, std::shared_ptr<Request> request) {
  Session& session = ender.session();
  if (session.refused_ || session.lane_->broken) co_return;
  grpc::Status status;
  ingest::PublishReply reply;
  try {
    const wire::PublishRequest* message = &request->message->request();
    std::shared_ptr<const wire::PublishRequest> view(std::move(request), message);
    auto accept = session.gateway_->Accept(Principal(), FromWire(std::move(view)), session.lane_);
    reply = co_await std::move(accept);
    status = reply.error ? ToStatus(*reply.error) : AfterAnswer(reply);
  } catch (const std::exception& e) {
    status = ToStatus(Internal(std::string("the batch failed: ") + e.what()));
  }
  // A refusal comes before the first suspension, so the batches behind this one have not begun.
  if (reply.results.empty() && !status.ok()) session.refused_ = true;
  session.Answer(ender.batch(), std::move(status), std::move(reply));
}

void PublishStreams::Session::Answer(const std::shared_ptr<Batch>& batch, grpc::Status status,
                                     ingest::PublishReply reply) {
  std::lock_guard lock(mutex_);
  if (std::exchange(batch->answered, true)) return;
  batch->status = std::move(status);
  batch->reply = std::move(reply);
  unanswered_bytes_ -= std::exchange(batch->bytes, BytesOf(batch->reply));
  unwritten_bytes_ += batch->bytes;
  batch->held.Set(batch->bytes);
  Pump();
}

void PublishStreams::Session::Write(std::shared_ptr<Batch> batch) {
  unwritten_bytes_ -= batch->bytes;
  InArena<wire::PublishStreamReply> reply;
  reply.message->set_batch(batch->number);
  ToWire(batch->reply, reply.message->mutable_reply());
  batch->reply = {};
  writing_ = std::make_unique<Writing>();
  writing_->out = Encode(*reply.message);
  batch->held.Set(writing_->out.Length());
  writing_->batch = std::move(batch);
  const uint64_t write = ++writes_begun_;
  write_deadline_ = writes_->Add(executor_, [weak = weak_from_this(), write] {
    if (const auto session = weak.lock()) session->OnStalled(write);
  });
  reactor_->StartWrite(&writing_->out);
}

void PublishStreams::Session::OnWritten(bool ok) {
  std::lock_guard lock(mutex_);
  writes_->Remove(write_deadline_);
  writing_ = nullptr;
  if (!ok) Close(grpc::Status::CANCELLED);
  Pump();
}

void PublishStreams::Session::OnStalled(uint64_t write) {
  static LogRateLimit limit(10);
  std::lock_guard lock(mutex_);
  if (reactor_ == nullptr || writing_ == nullptr || write != writes_begun_) return;
  limit.Warn("a producer does not take its answers; its stream is ended",
             {{"unwritten_batches", batches_.size() + 1}});
  cancel_();
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

bool PublishStreams::Session::MayRead() const {
  // Whoever has nothing under way may always read, so nobody waits for the producers of others.
  const bool idle = batches_.empty() && writing_ == nullptr;
  if (!idle && *held_ > limits_.held_bytes) return false;
  return batches_.size() < limits_.batches && unwritten_bytes_ <= limits_.unwritten_bytes &&
         (unanswered_bytes_ < limits_.bytes || unanswered_bytes_ == 0);
}

void PublishStreams::Session::Pump() {
  std::lock_guard lock(mutex_);
  if (reactor_ == nullptr) return;
  if (writing_ == nullptr && !closing_ && !batches_.empty() && batches_.front()->answered) {
    auto batch = std::move(batches_.front());
    batches_.pop_front();
    if (!batch->status.ok()) {
      closing_ = batch->status;
      batches_.clear();
    }
    if (batch->status.ok() || !batch->reply.results.empty()) Write(std::move(batch));
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
  if (!MayRead()) return;
  reading_ = std::make_unique<grpc::ByteBuffer>();
  reactor_->StartRead(reading_.get());
}

}  // namespace millrace::rpc
