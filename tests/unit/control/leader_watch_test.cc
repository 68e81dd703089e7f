#include "millrace/control/leader_watch.h"

#include "support/catch.h"

namespace millrace::control {
namespace {

using std::chrono::seconds;

struct Watched {
  bool Round(bool at_end = true) { return watch.Round(leader, now += seconds(1), at_end); }

  LeaderState leader{1, 5, {"a", 1}, false};
  LeaderWatch::Duration now{0};
  LeaderWatch watch{0};
};

}  // namespace

TEST_CASE_METHOD(Watched, "who watches claims after ten rounds without a record of the leader") {
  CHECK_FALSE(Round());
  for (int i = 1; i < LeaderWatch::kSilentRounds; ++i) CHECK_FALSE(Round());
  ++leader.k;
  for (int i = 0; i < LeaderWatch::kSilentRounds; ++i) CHECK_FALSE(Round());
  CHECK(Round());
}

TEST_CASE_METHOD(Watched, "a round that did not read the log to its end is no evidence") {
  CHECK_FALSE(Round());
  for (int i = 0; i < 50; ++i) CHECK_FALSE(Round(i % 10 != 9));
}

TEST_CASE_METHOD(Watched, "a watcher that was paused takes nobody for dead") {
  CHECK_FALSE(Round());
  for (int i = 1; i < LeaderWatch::kSilentRounds; ++i) CHECK_FALSE(Round());
  now += seconds(60);
  for (int i = 0; i < LeaderWatch::kSilentRounds; ++i) CHECK_FALSE(Round());
  CHECK(Round());
}

TEST_CASE_METHOD(Watched, "a leader that said that it goes is followed at once") {
  CHECK_FALSE(Round());
  ++leader.k;
  leader.left = true;
  CHECK_FALSE(Round(false));
  CHECK(Round());
}

TEST_CASE("where nobody leads the first one that has read the log claims") {
  LeaderWatch watch(2);
  CHECK(watch.Round({}, seconds(1), true));
}

}  // namespace millrace::control
