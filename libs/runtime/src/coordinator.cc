#include "millrace/runtime/coordinator.h"

#include "millrace/base/log.h"

namespace millrace::runtime {
namespace {

constexpr auto kRetry = std::chrono::milliseconds(200);

}  // namespace

Coordinator::Coordinator(Wiring wiring, control::ControlReader* control,
                         control::ControlWriter* writer)
    : wiring_(std::move(wiring)),
      control_(*control),
      leadership_(
          control, writer, wiring_.self, wiring_.options.beat_interval,
          [this](int64_t number) { return desk_.roster().LeaderIsDeaf(number); },
          wiring_.predecessor),
      desk_({wiring_.options.beat_interval == Options::Duration(0),
             [this](uint64_t instance) { return balancer_.AnswerTo(instance); },
             [this] { balancer_.Wake(); }},
            control),
      definitions_({wiring_.ports, wiring_.options, wiring_.stop_appending, wiring_.stop_lost,
                    [this] { desk_.WakeAll(); }},
                   control, &leadership_),
      balancer_(control, &leadership_, &desk_),
      keeper_(control, writer, &leadership_, wiring_.options),
      housekeeping_(
          wiring_.ports, wiring_.options, [this] { return leadership_.leads(); }, &control->fold()),
      retention_({wiring_.ports, wiring_.options,
                  [this](std::string topic) { return definitions_.TakeTopic(std::move(topic)); },
                  [this] { return desk_.Reports(); }},
                 control, &leadership_),
      results_(wiring_.ports, control, &desk_),
      changes_(control) {}

Task<Status> Coordinator::Start() {
  Executor& executor = Executor::Current();
  if (!std::exchange(follows_, true)) {
    executor.Spawn(desk_.Rounds());
    executor.Spawn(MetricsLoop());
  }
  MILLRACE_CO_TRY(co_await Lead());
  executor.Spawn(Follow());
  executor.Spawn(balancer_.Loop());
  executor.Spawn(keeper_.Loop());
  executor.Spawn(leadership_.Beat());
  executor.Spawn(housekeeping_.Loop());
  executor.Spawn(retention_.Loop());
  executor.Spawn(LeadAgain());
  co_return Status();
}

Task<Status> Coordinator::Lead() {
  MILLRACE_CO_TRY(co_await leadership_.WaitForTurn());
  // The first claim names the cluster. No shard stands before it, so nothing has been written yet.
  const bool is_new = control_.fold().cluster().empty();
  if (!is_new) MILLRACE_CO_TRY(co_await OwnStores());
  MILLRACE_CO_TRY(co_await leadership_.Claim());
  if (is_new) MILLRACE_CO_TRY(co_await OwnStores());
  MILLRACE_CO_TRY(co_await balancer_.PlanOnce());
  auto followed = co_await FollowOnce();
  co_return followed;
}

Task<Status> Coordinator::OwnStores() {
  if (wiring_.own_stores == nullptr) co_return Status();
  auto asked = wiring_.own_stores(control_.fold().cluster());
  auto owned = co_await std::move(asked);
  co_return owned;
}

/// Waits for its turn once more each time another process has taken the lead.
Task<> Coordinator::LeadAgain() {
  LogRateLimit once_a_minute(60);
  // Who is alone claims at its start only, else two of them would claim for ever.
  while (!stopped_ && wiring_.options.beat_interval > Options::Duration(0)) {
    if (!leadership_.leads()) {
      const Status leads = co_await Lead();
      if (leads.ok()) continue;
      if (!stopped_)
        once_a_minute.Warn("this coordinator cannot lead; it tries again",
                           {{"error", leads.error().message}});
    }
    co_await Delay(kRetry);
  }
}

void Coordinator::Stop() {
  stopped_ = true;
  balancer_.Stop();
  desk_.Stop();
  keeper_.Stop();
  housekeeping_.Stop();
  retention_.Stop();
}

Task<> Coordinator::Follow() {
  bool due = true;  // something is defined or dropped that was not seen to
  while (!stopped_) {
    const control::Changes changes = changes_.Take();
    if (!changes.empty()) balancer_.Wake();
    due |= changes.definitions();
    Status status;
    if (due || (definitions_.due_again() && definitions_.UntilNextTry() == Executor::Duration(0)))
      status = co_await FollowOnce();
    if (status.ok()) {
      due = false;
      definitions_.troubles().Worked("reconcile");
    } else {
      due = true;
      definitions_.troubles().Failed("reconcile", "see to the log and its disk", status.error());
      co_await Delay(kRetry);
      continue;
    }
    if (!changes_.empty()) continue;
    if (definitions_.due_again()) {
      co_await changes_.filled().WaitFor(definitions_.UntilNextTry());
    } else {
      co_await changes_.filled().Wait();
    }
  }
}

/// Does what the fold asks of a coordinator now.
Task<Status> Coordinator::FollowOnce() {
  MILLRACE_CO_TRY(co_await definitions_.Follow());
  co_await definitions_.RemoveDroppedTopics();
  co_return Status();
}

}  // namespace millrace::runtime
