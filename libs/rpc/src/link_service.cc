#include <grpcpp/grpcpp.h>

#include <mutex>
#include <vector>

#include "link_convert.h"
#include "link_questions.h"
#include "link_stream.h"
#include "millrace/runtime/worker_desk.h"
#include "millrace/worker/v1/link.grpc.pb.h"
#include "raw_message.h"
#include "services.h"
#include "status.h"
#include "unreadable.h"

namespace millrace::rpc {
namespace {

namespace wire = worker::v1;
using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
using Stream = LinkStream<Reactor, grpc::ByteBuffer, grpc::ByteBuffer>;

/// What a worker says goes to the desk. On the control executor.
class Attached {
 public:
  explicit Attached(runtime::WorkerDesk* desk) : desk_(*desk) {}

  /// Once, before the first message.
  void Answer(std::weak_ptr<Stream> stream) { stream_ = std::move(stream); }

  void Take(grpc::ByteBuffer bytes) {
    const auto stream = stream_.lock();
    if (!stream) return;
    wire::FromWorker message;
    if (!Parse(&bytes, &message)) return stream->Close(UnreadableStatus());
    const Status taken = TakeFrom(std::move(message), *stream);
    if (!taken.ok()) stream->Close(ToStatus(taken.error()));
  }

  void End() {
    if (!worker_) return;
    worker_->OnBroken();
    desk_.Broke(instance_, worker_.get());
  }

 private:
  Status TakeFrom(wire::FromWorker message, Stream& stream) {
    if (message.has_hello()) return Open(message.hello());
    if (!worker_) return InvalidArgument("the first message of a link is Hello");
    if (message.has_reply()) {
      worker_->OnReply(std::move(*message.mutable_reply()));
    } else if (message.has_report()) {
      MILLRACE_ASSIGN(runtime::Report report, FromWire(message.report()));
      MILLRACE_ASSIGN(const runtime::Answer answer, desk_.Take(instance_, std::move(report)));
      wire::FromCoordinator out;
      ToWire(answer, out.mutable_answer());
      stream.Write(Encode(out));
    } else if (message.has_bye()) {
      desk_.Bye(instance_);
      stream.Close(grpc::Status::OK);
    } else {
      return InvalidArgument("a message of a link is none that this version knows");
    }
    return {};
  }

  Status Open(const wire::Hello& hello) {
    if (worker_) return InvalidArgument("a link says Hello once");
    instance_ = hello.instance();
    const auto write = [stream = stream_](const wire::FromCoordinator& message) {
      const auto to = stream.lock();
      return to && to->Write(Encode(message));
    };
    worker_ = std::make_shared<RemoteWorker>(write);
    MILLRACE_TRY(desk_.Open(FromWire(hello), worker_));
    wire::FromCoordinator opened;
    opened.mutable_opened();
    write(opened);
    return {};
  }

  runtime::WorkerDesk& desk_;
  std::weak_ptr<Stream> stream_;
  uint64_t instance_ = 0;
  std::shared_ptr<RemoteWorker> worker_;
};

class Call final : public Reactor {
 public:
  static Call* Start(const Services& services, grpc::CallbackServerContext* context) {
    auto* call = new Call;
    const auto attached = std::make_shared<Attached>(services.desk);
    call->stream_ = std::make_shared<Stream>(
        Stream::Wiring{services.control_executor,
                       [attached](grpc::ByteBuffer bytes) { attached->Take(std::move(bytes)); },
                       [attached](const grpc::Status&) { attached->End(); },
                       [call](const grpc::Status& status) { call->Finish(status); },
                       [context] { context->TryCancel(); }});
    attached->Answer(call->stream_);
    return call;
  }

  const std::shared_ptr<Stream>& stream() const { return stream_; }

 private:
  // Each keeps the stream, because the call may be done, and gone, before it returns.
  void OnReadDone(bool ok) override {
    const auto stream = stream_;
    stream->OnRead(ok);
  }
  void OnWriteDone(bool ok) override {
    const auto stream = stream_;
    stream->OnWritten(ok);
  }
  void OnCancel() override {
    const auto stream = stream_;
    stream->Close(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    const auto stream = stream_;
    stream->OnDone(grpc::Status::OK);
    delete this;
  }

  std::shared_ptr<Stream> stream_;
};

/// Only after a message: a caller that still sends would see a broken stream instead of the reason.
class Refused final : public Reactor {
 public:
  explicit Refused(grpc::Status why) : why_(std::move(why)) { StartRead(&unread_); }

 private:
  void OnReadDone(bool ok) override {
    wire::FromWorker message;
    Finish(ok && !Parse(&unread_, &message) ? UnreadableStatus() : why_);
  }
  void OnDone() override { delete this; }

  const grpc::Status why_;
  grpc::ByteBuffer unread_;
};

class LinkService final
    : public wire::WorkerLink::WithRawCallbackMethod_Attach<wire::WorkerLink::Service>,
      public DrainableService {
 public:
  explicit LinkService(const Serving* serving) : serving_(serving) {}

  grpc::Service* service() override { return this; }

  Reactor* Attach(grpc::CallbackServerContext* context) override {
    const Services* services = serving_->load();
    if (services == nullptr || services->desk == nullptr)
      return new Refused(NotServingStatus(services == nullptr));
    Call* call = Call::Start(*services, context);
    const std::shared_ptr<Stream> stream = call->stream();
    bool draining = false;
    {
      std::lock_guard lock(mutex_);
      std::erase_if(streams_, [](const auto& s) { return s.expired(); });
      streams_.push_back(stream);
      draining = draining_;
    }
    stream->Begin(call);
    if (draining) stream->Close(StoppingStatus());
    return call;
  }

  void Drain() override {
    std::vector<std::weak_ptr<Stream>> streams;
    {
      std::lock_guard lock(mutex_);
      draining_ = true;
      streams = streams_;
    }
    for (const auto& weak : streams)
      if (const auto stream = weak.lock()) stream->Close(StoppingStatus());
  }

 private:
  const Serving* const serving_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<Stream>> streams_;
  bool draining_ = false;
};

}  // namespace

std::unique_ptr<DrainableService> MakeLinkService(const Serving* serving) {
  return std::make_unique<LinkService>(serving);
}

}  // namespace millrace::rpc
