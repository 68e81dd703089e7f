#include "link_questions.h"

#include <algorithm>
#include <optional>

#include "link_convert.h"
#include "millrace/base/facts.h"
#include "millrace/worker/v1/link.pb.h"

namespace millrace::rpc {
namespace {

namespace wire = worker::v1;

/// For an answer that the worker has at once, and on top of what it may wait for.
constexpr auto kPatience = std::chrono::seconds(3);
/// How soon a caller that left is noticed.
constexpr auto kLookAtCaller = std::chrono::milliseconds(100);

Error NoAnswer() { return Unavailable("the worker does not answer"); }

}  // namespace

struct RemoteWorker::Asked {
  std::optional<wire::Reply> reply;
  Event changed;
};

/// A question under way. Whoever asked may be gone before the answer comes.
class RemoteWorker::Question {
 public:
  Question(RemoteWorker* of, int64_t number) : asked_(of->asked_), number_(number) {
    (*asked_)[number] = mine_;
  }
  ~Question() { asked_->erase(number_); }
  Question(const Question&) = delete;

  Asked& mine() const { return *mine_; }

 private:
  const std::shared_ptr<std::map<int64_t, std::shared_ptr<Asked>>> asked_;
  const int64_t number_;
  const std::shared_ptr<Asked> mine_ = std::make_shared<Asked>();
};

Task<Result<wire::Reply>> RemoteWorker::Ask(wire::Question question, Executor::Duration patience,
                                            operations::Operations::Left left) {
  if (asked_->size() >= kMostQuestions)
    co_return Unavailable("too many questions wait for the worker", {{"most", kMostQuestions}});
  Executor& executor = Executor::Current();
  const auto deadline = executor.Monotonic() + patience;
  const int64_t number = ++last_;
  const Question under_way(this, number);
  question.set_number(number);
  wire::FromCoordinator message;
  *message.mutable_question() = std::move(question);
  if (broken_ || !write_(std::move(message))) co_return NoAnswer();
  Asked& asked = under_way.mine();
  while (!asked.reply && !broken_) {
    const auto now = executor.Monotonic();
    const bool caller_left = left && *left;
    if (now >= deadline || caller_left) {
      wire::FromCoordinator forget;
      forget.mutable_forget()->set_number(number);
      write_(std::move(forget));
      co_return caller_left ? Unavailable("the caller left") : NoAnswer();
    }
    const auto rest = deadline - now;
    co_await asked.changed.WaitFor(left ? std::min<Executor::Duration>(rest, kLookAtCaller) : rest);
  }
  if (!asked.reply) co_return NoAnswer();
  if (asked.reply->has_failure()) co_return FromWire(asked.reply->failure());
  co_return std::move(*asked.reply);
}

Task<Result<runtime::Report>> RemoteWorker::ReportNow() {
  wire::Question question;
  question.mutable_report_now();
  MILLRACE_CO_ASSIGN(const wire::Reply reply,
                     co_await Ask(std::move(question), kPatience, nullptr));
  co_return FromWire(reply.report());
}

Task<Result<std::vector<operations::ProducerInfo>>> RemoteWorker::FindProducers(
    std::string name_space, std::string stream, Principal principal, std::string prefix) {
  wire::Question question;
  wire::FindProducers* find = question.mutable_find_producers();
  find->set_namespace_(name_space);
  find->set_stream(stream);
  find->set_principal(principal.name);
  find->set_id_prefix(prefix);
  MILLRACE_CO_ASSIGN(const wire::Reply reply,
                     co_await Ask(std::move(question), kPatience, nullptr));
  co_return FromWire(reply.producers());
}

Task<Status> RemoteWorker::WaitApplied(ShardId shard, Offset offset, Executor::Duration patience,
                                       operations::Operations::Left left) {
  wire::Question question;
  wire::WaitApplied* wait = question.mutable_wait_applied();
  wait->set_shard(shard.ToString());
  wait->set_offset(offset.value);
  wait->set_patience_us(patience.count());
  const auto reply = co_await Ask(std::move(question), patience + kPatience, std::move(left));
  if (!reply.ok()) co_return reply.error();
  co_return Status();
}

void RemoteWorker::Wake() {
  wire::FromCoordinator message;
  message.mutable_wake();
  write_(std::move(message));
}

void RemoteWorker::OnReply(wire::Reply reply) {
  const auto at = asked_->find(reply.number());
  if (at == asked_->end()) return;
  at->second->reply = std::move(reply);
  at->second->changed.Notify();
}

void RemoteWorker::OnBroken() {
  broken_ = true;
  for (const auto& [number, asked] : *asked_) asked->changed.Notify();
}

}  // namespace millrace::rpc
