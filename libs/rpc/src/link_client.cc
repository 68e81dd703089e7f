#include "millrace/rpc/link_client.h"

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>

#include "link_convert.h"
#include "link_questions.h"
#include "link_stream.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/worker/v1/link.grpc.pb.h"

namespace millrace::rpc {
namespace {

namespace wire = worker::v1;
using Reactor = grpc::ClientBidiReactor<wire::FromWorker, wire::FromCoordinator>;
using Stream = LinkStream<Reactor, wire::FromCoordinator, wire::FromWorker>;

constexpr auto kOpenPatience = std::chrono::seconds(3);
constexpr auto kAnswerPatience = std::chrono::seconds(5);
constexpr int kMaxMessageBytes = 32 << 20;
/// The coordinator takes pings every five seconds.
constexpr int kKeepaliveMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;
/// A worker is missed after a few seconds, so it does not wait longer before it tries again.
constexpr int kReconnectMs = 500;

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& coordinator) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMs);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(coordinator, grpc::InsecureChannelCredentials(), arguments);
}

/// What the worker knows of one opened link. On its executor.
struct Session : std::enable_shared_from_this<Session> {
  std::shared_ptr<runtime::WorkerQuestions> worker;
  std::weak_ptr<Stream> stream;
  bool opened = false;
  std::optional<Result<runtime::Answer>> answer;
  std::optional<grpc::Status> ended;
  Event changed;
  /// By the number of a question under way: whether its caller left.
  std::map<int64_t, std::shared_ptr<std::atomic<bool>>> questions;

  void Take(wire::FromCoordinator message);
  void End(grpc::Status status);
  bool Write(wire::FromWorker message) {
    const auto to = stream.lock();
    return to && to->Write(std::move(message));
  }
  /// Waits until something of it holds, or it ended, or patience ends.
  template <typename Holds>
  Task<bool> WaitUntil(Holds holds, Executor::Duration patience) {
    Executor& executor = Executor::Current();
    const auto deadline = executor.Monotonic() + patience;
    while (!holds() && !ended && executor.Monotonic() < deadline)
      co_await changed.WaitFor(deadline - executor.Monotonic());
    co_return holds();
  }
};

/// Asks the worker, and gives the answer to the link.
Task<> AnswerQuestion(std::shared_ptr<Session> session, wire::Question question) {
  wire::FromWorker message;
  wire::Reply* reply = message.mutable_reply();
  reply->set_number(question.number());
  const auto left = std::make_shared<std::atomic<bool>>(false);
  session->questions[question.number()] = left;
  const std::shared_ptr<runtime::WorkerQuestions> worker = session->worker;
  if (question.has_report_now()) {
    const auto report = co_await worker->ReportNow();
    report.ok() ? ToWire(*report, reply->mutable_report())
                : ToWire(report.error(), reply->mutable_failure());
  } else if (question.has_find_producers()) {
    const wire::FindProducers& find = question.find_producers();
    Principal principal{find.principal()};
    const auto producers = co_await worker->FindProducers(find.namespace_(), find.stream(),
                                                          std::move(principal), find.id_prefix());
    producers.ok() ? ToWire(*producers, reply->mutable_producers())
                   : ToWire(producers.error(), reply->mutable_failure());
  } else if (question.has_wait_applied()) {
    const wire::WaitApplied& wait = question.wait_applied();
    Status applied;
    auto shard = ShardFromWire(wait.shard());
    if (shard.ok()) {
      applied = co_await worker->WaitApplied(std::move(*shard), Offset(wait.offset()),
                                             Executor::Duration(wait.patience_us()), left);
    } else {
      applied = shard.error();
    }
    applied.ok() ? static_cast<void>(reply->mutable_applied())
                 : ToWire(applied.error(), reply->mutable_failure());
  } else {
    ToWire(InvalidArgument("this version of the worker does not know the question"),
           reply->mutable_failure());
  }
  session->questions.erase(question.number());
  session->Write(std::move(message));
}

void Session::Take(wire::FromCoordinator message) {
  if (message.has_opened()) {
    opened = true;
    changed.Notify();
  } else if (message.has_answer()) {
    answer = FromWire(message.answer());
    changed.Notify();
  } else if (message.has_wake()) {
    worker->Wake();
  } else if (message.has_forget()) {
    const auto at = questions.find(message.forget().number());
    if (at != questions.end()) *at->second = true;
  } else if (message.has_question()) {
    if (questions.size() < RemoteWorker::kMostQuestions) {
      Executor::Current().Spawn(
          AnswerQuestion(shared_from_this(), std::move(*message.mutable_question())));
      return;
    }
    wire::FromWorker full;
    full.mutable_reply()->set_number(message.question().number());
    ToWire(Unavailable("too many questions wait for the worker"),
           full.mutable_reply()->mutable_failure());
    Write(std::move(full));
  }
}

void Session::End(grpc::Status status) {
  ended = std::move(status);
  for (const auto& [number, left] : questions) *left = true;
  changed.Notify();
}

}  // namespace

struct LinkClient::State {
  explicit State(std::string address)
      : coordinator(std::move(address)), channel(OpenChannel(coordinator)) {}

  class Call;

  /// A stream in place of the one before. Null: the link is closed.
  static std::shared_ptr<Stream> Connect(const std::shared_ptr<State>& state,
                                         const std::shared_ptr<Session>& session);

  const std::string coordinator;
  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<wire::WorkerLink::Stub> stub = wire::WorkerLink::NewStub(channel);
  LogRateLimit once_a_minute{60};
  std::shared_ptr<Session> session;  ///< on the executor

  std::mutex mutex;
  std::condition_variable changed;
  bool closed = false;
  int calls = 0;  ///< that gRPC is not done with
  std::weak_ptr<Stream> newest;
};

class LinkClient::State::Call final : public Reactor {
 public:
  /// `of` counts it already.
  static std::shared_ptr<Stream> Start(std::shared_ptr<State> of,
                                       const std::shared_ptr<Session>& session) {
    auto* call = new Call(std::move(of));
    call->stream_ = std::make_shared<Stream>(Stream::Wiring{
        &Executor::Current(),
        [session](wire::FromCoordinator message) { session->Take(std::move(message)); },
        [session](grpc::Status status) { session->End(std::move(status)); },
        [call](const grpc::Status& status) {
          // What the coordinator ended it with would be lost.
          if (!status.ok()) call->context_.TryCancel();
          call->RemoveHold();
        },
        [call] { call->context_.TryCancel(); }});
    const std::shared_ptr<Stream> stream = call->stream_;
    call->of_->stub->async()->Attach(&call->context_, call);
    // Writes come from outside of its reactions.
    call->AddHold();
    stream->Begin(call);
    call->StartCall();
    return stream;
  }

 private:
  explicit Call(std::shared_ptr<State> of) : of_(std::move(of)) {}

  // Each keeps the stream, because the call may be done, and gone, before it returns.
  void OnReadDone(bool ok) override {
    const auto stream = stream_;
    stream->OnRead(ok);
  }
  void OnWriteDone(bool ok) override {
    const auto stream = stream_;
    stream->OnWritten(ok);
  }
  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<State> of = of_;
    stream_->OnDone(status);
    delete this;
    std::lock_guard lock(of->mutex);
    --of->calls;
    of->changed.notify_all();
  }

  const std::shared_ptr<State> of_;
  grpc::ClientContext context_;
  std::shared_ptr<Stream> stream_;
};

std::shared_ptr<Stream> LinkClient::State::Connect(const std::shared_ptr<State>& state,
                                                   const std::shared_ptr<Session>& session) {
  std::shared_ptr<Stream> before;
  {
    std::lock_guard lock(state->mutex);
    if (state->closed) return nullptr;
    before = state->newest.lock();
    ++state->calls;
  }
  if (before) before->Close(grpc::Status::CANCELLED);
  // Not under the lock, which the end of a call takes.
  const std::shared_ptr<Stream> stream = Call::Start(state, session);
  session->stream = stream;
  bool closed = false;
  {
    std::lock_guard lock(state->mutex);
    state->newest = stream;
    closed = state->closed;
  }
  if (closed) stream->Close(grpc::Status::CANCELLED);
  return stream;
}

LinkClient::LinkClient(std::string coordinator)
    : state_(std::make_shared<State>(std::move(coordinator))) {}

LinkClient::~LinkClient() { Close(); }

void LinkClient::Close() {
  std::unique_lock lock(state_->mutex);
  state_->closed = true;
  const auto stream = state_->newest.lock();
  lock.unlock();
  if (stream) stream->Close(grpc::Status::CANCELLED);
  lock.lock();
  state_->changed.wait(lock, [this] { return state_->calls == 0; });
}

Task<Status> LinkClient::Open(runtime::Hello hello,
                              std::shared_ptr<runtime::WorkerQuestions> worker) {
  const std::shared_ptr<State> state = state_;
  const auto session = std::make_shared<Session>();
  session->worker = std::move(worker);
  const std::shared_ptr<Stream> stream = State::Connect(state, session);
  if (!stream) co_return Unavailable("the link is closed");
  state->session = session;
  wire::FromWorker message;
  ToWire(hello, message.mutable_hello());
  stream->Write(std::move(message));
  const auto is_open = [&] { return session->opened; };
  const bool opened = co_await session->WaitUntil(is_open, kOpenPatience);
  if (opened) co_return Status();
  stream->Close(grpc::Status::CANCELLED);
  const std::string why = session->ended ? session->ended->error_message() : "it does not answer";
  state->once_a_minute.Warn(
      "a coordinator does not take this worker's reports; the worker tries again each second",
      {{"coordinator", state->coordinator}, {"error", why}});
  co_return Unavailable("the link to a coordinator cannot be opened",
                        {{"coordinator", state->coordinator}, {"error", why}});
}

Task<Result<runtime::Answer>> LinkClient::Send(runtime::Report report) {
  const std::shared_ptr<Session> session = state_->session;
  const auto stream = session ? session->stream.lock() : nullptr;
  if (!stream) co_return Unavailable("the link is broken");
  session->answer.reset();
  wire::FromWorker message;
  ToWire(report, message.mutable_report());
  stream->Write(std::move(message));
  const auto is_answered = [&] { return session->answer.has_value(); };
  const bool answered = co_await session->WaitUntil(is_answered, kAnswerPatience);
  if (answered) co_return std::move(*session->answer);
  // A late answer would be taken for that to the next report.
  stream->Close(grpc::Status::CANCELLED);
  co_return Unavailable("the link to a coordinator broke", {{"coordinator", state_->coordinator}});
}

Task<> LinkClient::Bye() {
  const std::shared_ptr<Session> session = state_->session;
  const auto stream = session ? session->stream.lock() : nullptr;
  if (!stream) co_return;
  wire::FromWorker message;
  message.mutable_bye();
  stream->Write(std::move(message));
  const auto has_ended = [&] { return session->ended.has_value(); };
  const bool heard = co_await session->WaitUntil(has_ended, kAnswerPatience);
  static_cast<void>(heard);
}

}  // namespace millrace::rpc
