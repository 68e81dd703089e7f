#include "sim/sim_link.h"

#include <algorithm>

namespace millrace::sim {
namespace {

constexpr auto kPatience = std::chrono::seconds(1);

Error NoAnswer() { return Unavailable("injected: the other process does not answer"); }

/// Runs a task of another process there, for at most `patience`.
template <typename R>
Task<R> At(SimExecutor* there, Task<R> task, Executor::Duration patience) {
  const auto answer = std::make_shared<std::optional<R>>();
  there->Spawn([](Task<R> inner, std::shared_ptr<std::optional<R>> out) -> Task<void> {
    R r = co_await std::move(inner);
    out->emplace(std::move(r));
  }(std::move(task), answer));
  const auto until = Executor::Current().Monotonic() + patience;
  while (!answer->has_value()) {
    if (!there->alive() || Executor::Current().Monotonic() >= until) co_return NoAnswer();
    co_await Delay(std::chrono::milliseconds(5));
  }
  co_return std::move(**answer);
}

Task<Status> OpenAt(CoordinatorAt at, runtime::Hello hello,
                    std::shared_ptr<runtime::WorkerQuestions> worker) {
  co_return at.coordinator->desk().Open(std::move(hello), std::move(worker));
}

Task<Result<runtime::Answer>> TakeAt(CoordinatorAt at, uint64_t instance, runtime::Report report) {
  co_return at.coordinator->desk().Take(instance, std::move(report));
}

Task<Status> ByeAt(CoordinatorAt at, uint64_t instance) {
  at.coordinator->desk().Bye(instance);
  co_return Status();
}

Task<> BrokeAt(CoordinatorAt at, uint64_t instance,
               std::shared_ptr<runtime::WorkerQuestions> worker) {
  at.coordinator->desk().Broke(instance, worker.get());
  co_return;
}

}  // namespace

/// Asks the worker from the process of a coordinator. It never touches a worker that is dead.
class SimLink::Questions : public runtime::WorkerQuestions {
 public:
  Questions(SimExecutor* worker_at, std::shared_ptr<Link> way,
            std::shared_ptr<runtime::WorkerQuestions> worker)
      : worker_at_(worker_at), way_(std::move(way)), worker_(std::move(worker)) {}

  Task<Result<runtime::Report>> ReportNow() override {
    MILLRACE_CO_TRY(co_await Pass());
    auto r = co_await At(worker_at_, worker_->ReportNow(), kPatience);
    co_return r;
  }
  Task<Result<std::vector<operations::ProducerInfo>>> FindProducers(std::string name_space,
                                                                    std::string stream,
                                                                    Principal principal,
                                                                    std::string prefix) override {
    MILLRACE_CO_TRY(co_await Pass());
    auto r = co_await At(worker_at_,
                         worker_->FindProducers(std::move(name_space), std::move(stream),
                                                std::move(principal), std::move(prefix)),
                         kPatience);
    co_return r;
  }
  Task<Status> WaitApplied(ShardId shard, Offset offset, Executor::Duration patience,
                           operations::Operations::Left left) override {
    MILLRACE_CO_TRY(co_await Pass());
    auto r = co_await At(worker_at_,
                         worker_->WaitApplied(std::move(shard), offset, patience, std::move(left)),
                         patience + kPatience);
    co_return r;
  }
  void Wake() override {
    if (worker_at_->alive()) worker_at_->Post([worker = worker_] { worker->Wake(); });
  }

 private:
  Task<Status> Pass() {
    MILLRACE_CO_TRY(co_await way_->Question());
    if (!worker_at_->alive()) co_return NoAnswer();
    co_return Status();
  }

  SimExecutor* const worker_at_;
  const std::shared_ptr<Link> way_;
  const std::shared_ptr<runtime::WorkerQuestions> worker_;
};

Task<Status> SimLink::Open(runtime::Hello hello, std::shared_ptr<runtime::WorkerQuestions> worker) {
  MILLRACE_CO_TRY(co_await way_->There());
  at_ = find_();
  if (at_.executor == nullptr || !at_.executor->alive()) co_return NoAnswer();
  instance_ = hello.process.instance;
  questions_ = std::make_shared<Questions>(worker_, way_, std::move(worker));
  auto opened = co_await At(at_.executor, OpenAt(at_, std::move(hello), questions_), kPatience);
  MILLRACE_CO_TRY(co_await way_->Back());
  co_return opened;
}

Task<Result<runtime::Answer>> SimLink::Send(runtime::Report report) {
  MILLRACE_CO_TRY(co_await way_->There());
  if (at_.executor == nullptr || !at_.executor->alive()) co_return NoAnswer();
  auto answer = co_await At(at_.executor, TakeAt(at_, instance_, std::move(report)), kPatience);
  MILLRACE_CO_TRY(co_await way_->Back());
  co_return answer;
}

Task<> SimLink::Bye() {
  const Status arrives = co_await way_->There();
  if (!arrives.ok() || at_.executor == nullptr || !at_.executor->alive()) co_return;
  const Status said = co_await At(at_.executor, ByeAt(at_, instance_), kPatience);
  said.Ignore("who does not hear it counts rounds");
}

void SimLink::Reset() {
  if (!questions_ || at_.executor == nullptr || !at_.executor->alive() || way_->broken_there())
    return;
  at_.executor->Spawn(BrokeAt(at_, instance_, questions_));
}

}  // namespace millrace::sim
