#include "millrace/runtime/leadership.h"

#include "leading.h"

namespace millrace::runtime {

TEST_CASE_METHOD(Leading,
                 "a process waits for the silence of a leader, but not of its predecessor") {
  const auto waits = [&](uint64_t predecessor) {
    Leadership next(&reader, &writer, {"leader", 100}, std::chrono::seconds(2), nullptr,
                    predecessor);
    const auto begun = executor.Monotonic();
    REQUIRE(executor.RunUntilDone(next.WaitForTurn()).ok());
    return executor.Monotonic() - begun;
  };
  CHECK(waits(99) < std::chrono::seconds(1));
  CHECK(waits(98) >= std::chrono::seconds(9));
  CHECK(waits(0) >= std::chrono::seconds(9));
}

}  // namespace millrace::runtime
