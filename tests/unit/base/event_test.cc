#include "support/catch.h"
#include "support/test_executor.h"

using namespace millrace;
using std::chrono::seconds;

namespace {

/// Counts the timers that are asked for.
class Counting : public test::TestExecutor {
 public:
  void PostAfter(Duration delay, std::function<void()> fn) override {
    ++timers;
    TestExecutor::PostAfter(delay, std::move(fn));
  }
  int timers = 0;
};

Task<> WaitFor(Event* event, Executor::Duration timeout, std::vector<Executor::Duration>* woken) {
  co_await event->WaitFor(timeout);
  woken->push_back(Executor::Current().Monotonic());
}

Task<bool> WaitAndNotify(Event* event, int times) {
  for (int i = 0; i < times; ++i) {
    Executor::Current().Post([event] { event->Notify(); });
    co_await event->WaitFor(seconds(10));
  }
  co_return true;
}

}  // namespace

TEST_CASE("waits that are notified leave no timers behind") {
  Counting executor;
  Event event;
  executor.RunUntilDone(WaitAndNotify(&event, 1000));
  CHECK(executor.timers == 1);
}

TEST_CASE("each wait ends at its own time, whatever the others of the event wait for") {
  Counting executor;
  Event event;
  std::vector<Executor::Duration> woken;
  for (const int s : {10, 2, 30, 2, 7}) executor.Spawn(WaitFor(&event, seconds(s), &woken));
  executor.RunFor(seconds(20));
  CHECK(woken == std::vector<Executor::Duration>{seconds(2), seconds(2), seconds(7), seconds(10)});
  event.Notify();
  executor.RunFor(seconds(1));
  REQUIRE(woken.size() == 5);
  CHECK(woken.back() < seconds(21));
  executor.Spawn(WaitFor(&event, seconds(5), &woken));
  executor.RunFor(seconds(6));
  CHECK(woken.size() == 6);
}
