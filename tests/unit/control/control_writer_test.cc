#include "millrace/control/control_writer.h"

#include "millrace/log/in_memory_log.h"
#include "support/catch.h"
#include "support/test_executor.h"

namespace millrace::control {
namespace {

/// Counts what runs.
class Counting : public test::TestExecutor {
 public:
  void Post(std::function<void()> fn) override {
    ++posts;
    TestExecutor::Post(std::move(fn));
  }
  int64_t posts = 0;
};

/// Writes `n` records at once; gives how often anything ran for it.
int64_t PostsOf(int n) {
  Counting executor;
  InMemoryLog log;
  ControlReader control(&log);
  ControlWriter writer(&log, &control);
  REQUIRE(executor.RunUntilDone(control.Start()).ok());
  executor.Spawn(control.Follow());
  int valid = 0;
  int stale = 0;
  Event ended;
  const auto write = [&](int number) -> Task<> {
    Record claim = Claim{number, "c", {"node-" + std::to_string(number), 1}};
    const auto verdict = co_await writer.Write(std::move(claim));
    ++(verdict.ok() && *verdict == Verdict::kValid ? valid : stale);
    ended.Notify();
  };
  const auto all = [&]() -> Task<bool> {
    while (valid + stale < n) co_await ended.Wait();
    co_return true;
  };
  for (int i = 1; i <= n; ++i) executor.Spawn(write(i));
  executor.RunUntilDone(all());
  control.Stop();
  CHECK(valid == n);
  const int64_t posts = executor.posts;
  executor.RunFor(std::chrono::seconds(2));
  return posts;
}

}  // namespace

TEST_CASE("who waits for a verdict is woken by that record alone") {
  const int64_t few = PostsOf(50);
  CHECK(PostsOf(400) < 8 * few + 400);
}

}  // namespace millrace::control
